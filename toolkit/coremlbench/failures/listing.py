"""All failures of all records: runs that failed, variants that would not convert, cells that could not be timed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from coremlbench.system.machine import format_machine
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import Measurement, TimingRecord
from coremlbench.types.training_records import TrainingRecord

RUNNING = "running"


@dataclass(frozen=True)
class FailureEntry:
    """One failure and where it stands.

    ``part`` says which part of the run failed, nothing when it is the whole run; ``times`` how often that part failed
    so. ``attempt`` counts from 1. ``machine`` is in words, ``machine_id`` the same for all runs on one machine.
    """

    run: str
    record: Literal["training", "conversion", "timing"]
    experiment: str
    started: str
    machine: str
    machine_id: str
    failure: Failure
    part: str = ""
    times: int = 1
    attempt: int = 1


def find_failures(records: Iterable[Record]) -> tuple[FailureEntry, ...]:
    """Return every failure, by machine and experiment, oldest first; a run that goes on is none."""
    found = [
        FailureEntry(
            run=record.id,
            record=record.kind,
            experiment=record.experiment,
            started=record.started,
            machine=format_machine(record.machine),
            machine_id=record.machine.id,
            failure=failure,
            part=part,
            times=times,
            attempt=record.attempt if isinstance(record, TrainingRecord) else 1,
        )
        for record in records
        for part, failure, times in failures_in(record)
        if failure.kind != RUNNING
    ]
    return tuple(sorted(found, key=lambda each: (each.machine, each.machine_id, each.experiment, each.started)))


def failures_in(record: Record) -> Iterator[tuple[str, Failure, int]]:
    """Yield what failed in a record: the part of it (nothing for the whole run), how, and how often it failed so."""
    if isinstance(record.outcome, Failure):
        yield "", record.outcome, 1
    if isinstance(record, ConversionRecord):
        for variant in record.variants:
            if variant.failure is not None:
                yield f"{variant.name}, batch {variant.batch}", variant.failure, 1
    elif isinstance(record, TimingRecord):
        for measurement in record.measurements:
            cell = (
                f"{measurement.model}, {measurement.variant}, batch {measurement.batch}, {measurement.runtime} "
                f"{measurement.unit}{' (stand-in)' if measurement.stand_in else ''}"
            )
            for failure, times in _of_measurement(measurement):
                yield cell, failure, times


def _of_measurement(measurement: Measurement) -> Iterator[tuple[Failure, int]]:
    """Yield the cell's failure, and those of its rounds: each kind once, with how many rounds failed so."""
    by_kind: dict[str, list[Failure]] = {}
    for each in measurement.rounds:
        if each.failure is not None:
            by_kind.setdefault(each.failure.kind, []).append(each.failure)
    own = measurement.failure
    if own is not None:
        yield own, max(1, len(by_kind.pop(own.kind, [])))
    for failures in by_kind.values():
        yield failures[0], len(failures)
