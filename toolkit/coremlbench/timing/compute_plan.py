"""Core ML's compute plans: on which device each operation of a model is planned to run.

The requested units are only a request: Core ML may run a whole model on the CPU although the Neural Engine was
requested. Only its compute plan (macOS 14.4 and later) shows this.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from coremlbench.system import serialization
from coremlbench.types.timing import ComputePlan, PlannedOp, UnitName

DEVICE_THRESHOLD = 0.8
"""The share of the estimated cost from which a measurement is said to have run on a device.

The cost of an operation is Core ML's own estimate of its share of the whole prediction. With 80% on one device, the
other operations take most of the time only if they are four times as slow as estimated; with 51% they could take half
of it. Most networks run on one device either wholly or not at all.
"""

MACOS_NEEDED = (14, 4)

DEVICE_NAMES = {"NE": "Neural Engine", "GPU": "GPU", "CPU": "CPU"}

REQUESTED_DEVICE: dict[UnitName, str] = {"CPU_ONLY": "CPU", "CPU_AND_GPU": "GPU", "CPU_AND_NE": "NE"}
"""The device that each unit requests; ``ALL`` requests none in particular."""


def make_plan(rows: Sequence[PlannedOp], unit: UnitName) -> ComputePlan:
    """Return the plan of these operations: their number and their share of the known cost, by device.

    ``elsewhere`` holds the operations that are not on the requested device, or for ``ALL`` not on the device with the
    largest share; the costliest first.
    """
    ops = Counter(row.device for row in rows)
    total = math.fsum(row.cost for row in rows)
    costs = {device: math.fsum(row.cost for row in rows if row.device == device) for device in ops}
    plan = ComputePlan(ops=dict(ops), cost={device: cost / total for device, cost in costs.items()} if total else {})
    shares = _device_shares(plan)
    expected = REQUESTED_DEVICE.get(unit) or max(shares, key=lambda device: shares[device], default="")
    elsewhere = sorted((row for row in rows if row.device != expected), key=lambda row: -row.cost)
    return replace(plan, elsewhere=tuple(elsewhere))


def from_result(result: Mapping[str, Any]) -> ComputePlan:
    """Return the plan from the result of ``workers/plan.py``."""
    return serialization.from_json(ComputePlan, dict(result))


def ran_on(plan: ComputePlan | None, unit: UnitName) -> str:
    """Return a phrase that says where a measurement ran, according to its plan.

    ``Neural Engine``, ``GPU`` or ``CPU`` when ``DEVICE_THRESHOLD`` of the estimated cost is on that device, or that
    share of the operations where Core ML estimates no costs. Otherwise "asked for the Neural Engine, planned on CPU",
    with shares when there are several devices; "not known" without a plan.
    """
    if unit in ("host-cpu", "host-gpu"):
        return unit.removeprefix("host-").upper()
    if unit == "CPU_ONLY":
        return "CPU"
    if plan is None or not plan.ops:
        reason = plan.failure if plan is not None else ""
        return f"not known: {reason}" if reason else "not known"
    shares = _device_shares(plan)
    main = max(shares, key=lambda device: shares[device])
    requested = REQUESTED_DEVICE.get(unit)
    if shares[main] >= DEVICE_THRESHOLD and requested in (None, main):
        return DEVICE_NAMES.get(main, main)
    planned = f"planned on {_list_devices(shares)}"
    return planned if requested is None else f"asked for the {DEVICE_NAMES[requested]}, {planned}"


def _device_shares(plan: ComputePlan) -> dict[str, float]:
    """Return the share of each device in the estimated cost, or in the number of operations without costs."""
    return plan.cost or {device: count / sum(plan.ops.values()) for device, count in plan.ops.items()}


def _list_devices(shares: Mapping[str, float]) -> str:
    """Return the devices in words, with percentages when there are several, the largest share first."""
    present = sorted(((share, device) for device, share in shares.items() if share > 0), reverse=True)
    if len(present) == 1:
        return DEVICE_NAMES.get(present[0][1], present[0][1])
    *others, last = [f"{DEVICE_NAMES.get(device, device)} ({100 * share:.0f}%)" for share, device in present]
    return f"{', '.join(others)} and {last}"
