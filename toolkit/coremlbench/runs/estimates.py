"""Estimate how long a run will take: from this machine's own past runs, else from a short probe of its speed.

Each phase has a cost on a reference machine: seconds that do not depend on the work, and seconds for each item. Past
runs tell by which factor this machine is slower, phase by phase. Without any, the factor follows from the throughput of
a matrix product at this moment, which also shows what else the machine is doing.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from coremlbench.runs import store
from coremlbench.runs.record_paths import record_paths
from coremlbench.system.formatting import format_count, format_seconds
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import RunRecord, TrainingRecord

R = TypeVar("R", bound=Record)

REFERENCE_GIGAFLOPS = 120.0
"""What the probe measures on the reference machine: two cores of a Xeon with AVX-512."""
MAX_HISTORY = 30
NEAREST_RUNS = 3
"""Of the past runs, those whose work is the nearest in size, and of equal ones the newest, give the factors."""
MIN_PHASE_SECONDS = 0.2
"""Phases of a past run that were shorter say nothing of the machine's speed."""
MIN_SHOWN_SECONDS = 10.0
HISTORY_FACTOR, PROBE_FACTOR = 1.5, 2.0
"""By how much an estimate may be off, from past runs and from a probe."""


@dataclass(frozen=True)
class PhaseCost:
    """What a phase costs on the reference machine, and how it follows the probe on another: 1 in proportion."""

    fixed: float
    per_item: float = 0.0
    exponent: float = 0.5

    def seconds(self, items: float) -> float:
        """Return the seconds on the reference machine."""
        return self.fixed + self.per_item * items


@dataclass(frozen=True)
class TimeEstimate:
    """The expected seconds of a run, and of how many past runs of this machine they follow; 0 for a probe."""

    seconds: float
    runs: int

    @property
    def sentence(self) -> str:
        """Return, for instance, "about 7 min, by 3 earlier runs of this machine"."""
        seconds = self.seconds
        if seconds < 100:
            about = f"{max(5, 5 * round(seconds / 5))} s"
        else:
            about = f"{round(seconds / 60)} min" if seconds < 5400 else format_seconds(seconds)
        source = f"{format_count(self.runs, 'earlier run')} of this machine" if self.runs else "a short probe"
        factor = HISTORY_FACTOR if self.runs else PROBE_FACTOR
        return f"about {about}, by {source}; other work on the machine can change it by a factor of {factor:g} or more"


CREATE_ML = {
    "setup": PhaseCost(0.3),
    "data": PhaseCost(0.5, 0.006, 0.75),
    "extract": PhaseCost(2.0, 1 / 311, 1.0),
    "train": PhaseCost(5.0, 0.00076, 0.75),
    "evaluate": PhaseCost(0.3),
    "export": PhaseCost(2.0, 0.0065, 0.75),
}
"""Items: pictures still to be drawn, extractions, rows times iterations over 25, and test pictures."""
SECONDS_PER_IMAGE = {
    "tinyvgg": (6.4e-3, 1.6e-3),
    "efficientnetb0": (3.2e-2, 2e-2),
    "lenet": (2.7e-4, 1.1e-4),
    "mnist-cnn": (3.9e-4, 1.6e-4),
    "fashion-mnist": (7.5e-5, 5e-5),
    "cifar10-resnet50": (9.1e-3, 3.9e-3),
}
"""For each TensorFlow experiment the seconds of training and of testing an image on the reference machine."""
PROCESS = PhaseCost(3.0)
"""What a process of the matrix takes besides its timed calls and its warm-up."""
VARIANT = PhaseCost(7.0)
"""The conversion and comparison of a package."""


def tensorflow_costs(experiment: str) -> dict[str, PhaseCost]:
    """Return the costs of a TensorFlow experiment's phases; items are images times epochs, and test images."""
    train, test = SECONDS_PER_IMAGE.get(experiment, (1e-3, 5e-4))
    return {
        "data": PhaseCost(0.5),
        "start TensorFlow": PhaseCost(3.0),
        "build": PhaseCost(0.5),
        "train": PhaseCost(1.0, train, 0.75),
        "evaluate": PhaseCost(0.5, test, 0.75),
        "save": PhaseCost(0.3),
    }


def estimate_training(
    expected: Mapping[str, float],
    costs: Mapping[str, PhaseCost],
    history: Sequence[TrainingRecord],
    gigaflops: float | None = None,
    past_gigaflops: Mapping[str, float] | None = None,
) -> TimeEstimate | None:
    """Return the expected time of a training with so many items in each phase.

    ``history`` holds finished runs of this machine, and ``past_gigaflops`` what the probe gave before them, by their
    ids: where it is known, the factors of a past run are those of the machine as busy as it is now. ``gigaflops`` is
    what the probe gives now. ``None`` without a past run and a probe.
    """
    near = _nearest(expected, costs, history)
    if not near and gigaflops is None:
        return None
    changes = {
        record.id: past_gigaflops[record.id] / gigaflops
        for record in near
        if gigaflops and past_gigaflops and record.id in past_gigaflops
    }
    factors = {phase: _factors(phase, cost, near, changes) for phase, cost in costs.items()}
    overall = [factor for values in factors.values() for factor in values]
    total = 0.0
    for phase, cost in costs.items():
        if factors[phase]:
            factor = statistics.median(factors[phase])
        elif overall:
            factor = statistics.median(overall)
        else:
            factor = probe_factor(cost, gigaflops)
        total += factor * cost.seconds(expected.get(phase, 0.0))
    return TimeEstimate(total, len(near))


def probe_factor(cost: PhaseCost, gigaflops: float | None) -> float:
    """Return how much longer than on the reference machine a phase takes, by the probe's result."""
    return (REFERENCE_GIGAFLOPS / gigaflops) ** cost.exponent if gigaflops else 1.0


def _nearest(
    expected: Mapping[str, float], costs: Mapping[str, PhaseCost], history: Sequence[TrainingRecord]
) -> list[TrainingRecord]:
    """Return the past runs whose work is the nearest in size, the newest of equal ones."""
    target = sum(cost.seconds(expected.get(phase, 0.0)) for phase, cost in costs.items())

    def distance(record: TrainingRecord) -> float:
        items = {phase.name: phase.items for phase in record.phases}
        work = sum(cost.seconds(items.get(phase, 0.0)) for phase, cost in costs.items() if phase != "data")
        return round(abs(work / target - 1) if work > target else abs(target / work - 1), 1)

    newest_first = sorted(history, key=lambda record: record.started, reverse=True)
    return sorted(newest_first, key=distance)[:NEAREST_RUNS]  # a stable sort


def _factors(
    phase: str, cost: PhaseCost, records: Iterable[TrainingRecord], changes: Mapping[str, float]
) -> list[float]:
    """Return the factors of a phase in past runs; none for the data, which only a machine's first run prepares.

    ``changes`` are the ratios of the probe before a past run to the probe now, by the ids of runs.
    """
    return [
        recorded.seconds / cost.seconds(recorded.items) * changes.get(record.id, 1.0) ** cost.exponent
        for record in records
        for recorded in record.phases
        if recorded.name == phase != "data" and recorded.seconds >= MIN_PHASE_SECONDS
    ]


def estimate_matrix(
    packages: Mapping[str, int],
    cells: int,
    processes: int,
    seconds_each: float,
    history: Sequence[RunRecord],
    gigaflops: float | None = None,
) -> TimeEstimate | None:
    """Return the expected time of conversions, ``packages`` by model, and of a matrix of ``cells``.

    Each cell is timed in ``processes`` of ``seconds_each`` with its warm-up. Past conversions and matrices tell what a
    package and a process take besides; a model without a past conversion takes what others took.
    """
    matrices = [record for record in history if isinstance(record, TimingRecord)][-NEAREST_RUNS:]
    overheads = [
        timed.seconds - timed.warmup_seconds - timed.calls * (timed.mean or 0.0)
        for record in matrices
        for cell in record.measurements
        for timed in cell.rounds
        if timed.failure is None
    ]
    by_model: dict[str, float] = {}
    for record in history:
        if isinstance(record, ConversionRecord) and record.variants:
            by_model[record.experiment] = record.seconds / len(record.variants)
    if not overheads and not by_model and gigaflops is None:
        return None
    overhead = statistics.median(overheads) if overheads else PROCESS.fixed * probe_factor(PROCESS, gigaflops)
    other = statistics.median(by_model.values()) if by_model else VARIANT.fixed * probe_factor(VARIANT, gigaflops)
    converting = sum(count * by_model.get(model, other) for model, count in packages.items())
    runs = len(matrices) + len(by_model) if overheads or by_model else 0
    return TimeEstimate(converting + cells * processes * (overhead + seconds_each), runs)


# --- past runs, and the probe -------------------------------------------------------------------------------


def past_runs(results: Path, kind: type[R], machine: str, experiments: Sequence[str] = ()) -> list[R]:
    """Return finished records of a machine below a results folder, oldest first, at most ``MAX_HISTORY``."""
    try:
        paths = list(record_paths(results))
    except OSError:
        return []
    named = [path for path in paths if not experiments or any(f"-{name}-" in path.parent.name for name in experiments)]
    records, _ = store.load_all(*named[-MAX_HISTORY:])
    return [
        record
        for record in records
        if isinstance(record, kind) and record.machine.id == machine and not isinstance(record.outcome, Failure)
    ]


def comparable_trainings(records: Iterable[TrainingRecord], options: Mapping[str, object]) -> list[TrainingRecord]:
    """Return the whole runs among past ones that have the given options, or any options if none has."""
    whole = [record for record in records if not record.resumed_from and not record.stand_in]
    alike = [record for record in whole if all(record.options.get(name) == value for name, value in options.items())]
    return alike or whole
