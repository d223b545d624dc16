"""What the gate finds: one finding for each compared figure, and the verdict on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coremlbench.timing.run_comparison import Decision

Quantity = Literal["time", "size", "accuracy"]
"""What is compared: seconds of a call, bytes of a package, or the share of images that it classifies correctly."""


@dataclass(frozen=True)
class GateLimits:
    """The changes that are allowed; ``None`` where nothing is to be checked.

    ``slower`` and ``larger`` are shares of the figure before (0.05 for 5%), ``less_accurate`` is in accuracy itself
    (0.005 for half a point).
    """

    slower: float | None = None
    larger: float | None = None
    less_accurate: float | None = None


@dataclass(frozen=True)
class Finding:
    """One compared figure and its decision.

    Attributes:
        subject: The package, and for times the runtime and unit.
        before: Seconds of a call, bytes, or a share of images; ``None`` if there is no figure. ``after`` likewise.
        change: The relative change of a time or a size, the difference of an accuracy; positive is more.
        low: Lower end of the interval of a time's change; ``high`` is the upper one. ``None`` for exact figures.
        limit: The allowed change, in the same units; for an accuracy it is negative.
        rounds: Rounds of the shorter run.
        advised_rounds: Rounds of each run with which the gate could tell, where it cannot.
        reason: What else there is to say, in sentences; "" for nothing.
    """

    quantity: Quantity
    subject: str
    decision: Decision
    limit: float
    before: float | None = None
    after: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    advised_rounds: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class GateResult:
    """The findings, the worst first, with the decision on the whole.

    ``before`` and ``after`` are what was compared, as the user named it.
    """

    before: str
    after: str
    decision: Decision
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


_ORDER: tuple[Decision, ...] = ("failed", "cannot tell", "passed")


def gate_result(before: str, after: str, findings: Sequence[Finding], notes: Sequence[str]) -> GateResult:
    """Return the result of at least one finding: it failed if one failed, and passed if all passed."""
    ordered = tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.decision)))
    return GateResult(before, after, ordered[0].decision, ordered, tuple(dict.fromkeys(notes)))
