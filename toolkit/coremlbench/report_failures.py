"""The report's rows on what did not finish: runs, variants and cells, those that ended alike in one row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from coremlbench.coreml_types import ConversionRecord, Measurement, Record, TimingRecord
from coremlbench.report_types import FailureRow
from coremlbench.types import CrashReport, Failure

NO_FAILURE = ("running", "interrupted")
"""A run that goes on, and one that somebody stopped, say nothing of the machine."""


def failures_of(records: Sequence[Record]) -> tuple[FailureRow, ...]:
    """Return the failures of all records, newest first; of those that ended alike on one machine, the newest.

    ``records`` are oldest first.
    """
    rows: dict[tuple[str, str, str, str], FailureRow] = {}
    for record in records:
        for subject, failure in _failures(record):
            if failure.kind in NO_FAILURE:
                continue
            key = (record.machine.id, subject, failure.kind, failure.evidence.phase)
            older = rows.pop(key, None)
            row = _row(record, subject, failure)
            if older is not None:
                ids = older.records if older.record == record.id else (record.id, *older.records)
                row = replace(row, count=older.count + 1, records=ids)
            rows[key] = row
    return tuple(reversed(rows.values()))


def _failures(record: Record) -> Iterator[tuple[str, Failure]]:
    """Yield what failed in a record, and how: the run itself, its variants, its cells and their rounds."""
    if isinstance(record.outcome, Failure):
        subject = record.experiment if record.kind == "training" else f"{record.experiment}, {record.kind}"
        yield subject, record.outcome
    if isinstance(record, ConversionRecord):
        for variant in record.variants:
            if variant.failure is not None:
                yield f"{record.experiment}, {variant.name}, batch {variant.batch}: conversion", variant.failure
    if isinstance(record, TimingRecord):
        for cell in record.measurements:
            yield from _of_cell(cell)


def _of_cell(cell: Measurement) -> Iterator[tuple[str, Failure]]:
    subject = f"{cell.model}, {cell.variant}, batch {cell.batch}: {cell.unit} by {cell.runtime}"
    if cell.stand_in:
        subject += " (stand-in for Core ML)"
    if cell.failure is not None:
        yield subject, cell.failure
        return
    yield from ((subject, each.failure) for each in cell.rounds if each.failure is not None)


def _crash(report: CrashReport | None) -> tuple[str, ...]:
    """Return what the system noted of a crash, a line each."""
    if report is None:
        return ()
    noted = (report.exception, report.termination, *report.messages, *report.frames)
    return tuple(line for line in noted if line)


def _row(record: Record, subject: str, failure: Failure) -> FailureRow:
    evidence = failure.evidence
    return FailureRow(
        record=record.id,
        machine=record.machine.id,
        subject=subject,
        kind=failure.kind,
        reason=failure.reason,
        hint=failure.hint,
        count=1,
        records=(record.id,),
        phase=evidence.phase,
        signal=evidence.signal,
        returncode=evidence.returncode,
        exception=evidence.exception,
        matched=evidence.matched,
        crash=_crash(evidence.crash_report),
        stack=evidence.stack,
        log_tail=evidence.log_tail,
        peak_bytes=evidence.peak_bytes,
    )
