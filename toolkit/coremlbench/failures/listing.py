"""List all failures in records: of runs, of variants that could not be converted, of cells that could not be timed."""

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
    """One failure with the run it belongs to.

    ``part`` is the part of the run that failed, empty for the whole run; ``times`` how often that part failed in this
    way. ``attempt`` counts from 1. ``machine`` is a text to show, ``machine_id`` identifies the machine.
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
    """Return every failure, by machine and experiment, oldest first; a run that is still running is not one."""
    entries = [
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
    return tuple(sorted(entries, key=lambda entry: (entry.machine, entry.machine_id, entry.experiment, entry.started)))


def failures_in(record: Record) -> Iterator[tuple[str, Failure, int]]:
    """Yield the failures in a record: part of the run (empty for the whole), failure, and number of times."""
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
            for failure, times in _cell_failures(measurement):
                yield cell, failure, times


def _cell_failures(measurement: Measurement) -> Iterator[tuple[Failure, int]]:
    """Yield the failures of a cell and of its rounds: each kind once, with the number of rounds."""
    by_kind: dict[str, list[Failure]] = {}
    for timing_round in measurement.rounds:
        if timing_round.failure is not None:
            by_kind.setdefault(timing_round.failure.kind, []).append(timing_round.failure)
    cell_failure = measurement.failure
    if cell_failure is not None:
        yield cell_failure, max(1, len(by_kind.pop(cell_failure.kind, [])))
    for failures in by_kind.values():
        yield failures[0], len(failures)
