"""The estimated time of a run, from the newest comparable run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coremlbench.system.formatting import format_count
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord

NOTHING_COMPARABLE = "not estimated, as no such run ended on this machine yet"


@dataclass(frozen=True)
class Estimate:
    """Estimated seconds, ``None`` where nothing comparable is known, and the sentence on where they are from."""

    seconds: float | None
    basis: str


def estimate(
    records: Sequence[Record], *, kind: str, experiment: str, machine: str, size: float, unit: str
) -> Estimate:
    """Return the estimated time of a run from past ones: that of the newest that ended, scaled by its size.

    ``size`` counts what the time mostly depends on, in ``unit``: images times epochs of a training, packages of a
    conversion, rounds of a matrix. ``machine`` is the id of this machine.
    """
    for record in sorted(records, key=lambda record: record.started, reverse=True):
        past = run_size(record)
        same = (record.kind, record.experiment, record.machine.id) == (kind, experiment, machine)
        if same and past > 0 and record.seconds > 0 and _is_whole(record):
            scaled = f", scaled from {past:,.0f} to {format_count(round(size), unit)}" if past != size else ""
            return Estimate(record.seconds * size / past, f"as {record.id} took{scaled}")
    return Estimate(None, NOTHING_COMPARABLE)


def run_size(record: Record) -> float:
    """Return the size of a run that ended, in what its time mostly depends on; 0 where it is not known."""
    if isinstance(record, TrainingRecord):
        images = record.dataset.train + record.dataset.validation if record.dataset is not None else 0
        return images * max(1, len(record.epochs))
    if isinstance(record, TimingRecord):
        return sum(map(len, record.orders))
    return len(record.variants)


def _is_whole(record: Record) -> bool:
    """Return whether a run ended well and did all of its work by itself."""
    resumed = isinstance(record, TrainingRecord) and bool(record.resumed_from)
    return not isinstance(record.outcome, Failure) and not resumed
