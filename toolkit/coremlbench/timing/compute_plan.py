"""Where Core ML plans to run a model, and what may be said of a row of figures because of it.

What is asked for is not what runs: Core ML may plan a model for the Neural Engine wholly on the CPU, and says so
nowhere but in its compute plan (macOS 14.4 and later).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from coremlbench.system import serialization
from coremlbench.types.timing import ComputePlan, PlannedOp, UnitName

THRESHOLD = 0.8
"""The share of the planned cost from which a row bears a unit's name.

The cost of an op is Core ML's own estimate of its share of the whole prediction. From four fifths on, what is left
elsewhere cannot be most of a row's time unless it is four times as slow as estimated; at a plain majority it could be
half of it. Most networks lie at one of the ends: all on the unit, or nothing.
"""

MACOS_NEEDED = (14, 4)

NAMES = {"NE": "Neural Engine", "GPU": "GPU", "CPU": "CPU"}

ASKED: dict[UnitName, str] = {"CPU_ONLY": "CPU", "CPU_AND_GPU": "GPU", "CPU_AND_NE": "NE"}
"""The device that each unit is asked for; ``ALL`` asks for none."""


def make_plan(rows: Sequence[PlannedOp], unit: UnitName) -> ComputePlan:
    """Return the plan whose ops and costs are these: shares of the cost that is known, by device.

    ``elsewhere`` are the ops that are not on the device that the unit asks for, for ``ALL`` on the one with most.
    """
    ops = Counter(row.device for row in rows)
    total = math.fsum(row.cost for row in rows)
    known = {device: math.fsum(row.cost for row in rows if row.device == device) for device in ops}
    cost = {device: each / total for device, each in known.items()} if total else {}
    shares = cost or {device: count / len(rows) for device, count in ops.items()}
    wanted = ASKED.get(unit) or max(shares, key=lambda device: shares[device], default="")
    left = sorted((row for row in rows if row.device != wanted), key=lambda row: -row.cost)
    return ComputePlan(ops=dict(ops), cost=cost, elsewhere=tuple(left))


def from_result(result: Mapping[str, Any]) -> ComputePlan:
    """Return the plan that the plan worker saved."""
    return serialization.from_json(ComputePlan, dict(result))


def ran_on(plan: ComputePlan | None, unit: UnitName) -> str:
    """Return in words where a row ran as far as the plan tells.

    ``Neural Engine``, ``GPU`` or ``CPU`` when ``THRESHOLD`` of the planned cost is there; of ops, where Core ML
    estimates no costs. Else "asked for the Neural Engine, planned on CPU", with the shares when there are several.
    """
    if unit in ("host-cpu", "host-gpu"):
        return unit.removeprefix("host-").upper()
    if unit == "CPU_ONLY":
        return "CPU"
    if plan is None or not plan.ops:
        reason = plan.failure if plan is not None else ""
        return f"not known: {reason}" if reason else "not known"
    shares = plan.cost or {device: count / sum(plan.ops.values()) for device, count in plan.ops.items()}
    most = max(shares, key=lambda device: shares[device])
    asked = ASKED.get(unit)
    if shares[most] >= THRESHOLD and asked in (None, most):
        return NAMES.get(most, most)
    planned = f"planned on {_places(shares)}"
    return planned if asked is None else f"asked for the {NAMES[asked]}, {planned}"


def _places(shares: Mapping[str, float]) -> str:
    present = sorted(((share, device) for device, share in shares.items() if share > 0), reverse=True)
    if len(present) == 1:
        return NAMES.get(present[0][1], present[0][1])
    *others, last = [f"{NAMES.get(device, device)} ({100 * share:.0f}%)" for share, device in present]
    return f"{', '.join(others)} and {last}"
