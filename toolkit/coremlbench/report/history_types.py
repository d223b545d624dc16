"""The rows of the report's history, flat as those of ``report.types``: times are seconds, changes shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coremlbench.types.timing import RunnerName


@dataclass(frozen=True)
class HistoryPoint:
    """One run of a history: the seconds of a call, their interval over the rounds, and the software.

    The interval is at the level of ``timing.statistics``.
    """

    record: str
    started: str
    seconds: float
    low: float | None
    high: float | None
    system: str
    runtime_version: str


@dataclass(frozen=True)
class HistoryStep:
    """A step: the first run after it, the change of the time (0.12 is slower by 12%) with its interval, in words too.

    ``since`` is what changed with that run: the system's or the runtime's version, else its date.
    """

    record: str
    change: float
    low: float
    high: float
    since: str
    text: str


@dataclass(frozen=True)
class HistoryRow:
    """A cell in at least ``MIN_RUNS`` runs of ``timing.history``, oldest first, and the steps in it."""

    kind: Literal["core-ml", "host", "stand-in"]
    machine: str
    model: str
    variant: str
    batch: int
    runtime: str
    unit: str
    points: tuple[HistoryPoint, ...]
    steps: tuple[HistoryStep, ...] = ()
    runner: RunnerName = "python"
