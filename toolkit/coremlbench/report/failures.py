"""The report's rows on failed runs, variants and cells; equal failures share a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coremlbench.failures.listing import failures_in
from coremlbench.failures.log_noise import without_noise
from coremlbench.report.types import FailureRow
from coremlbench.types.failure import Failure
from coremlbench.types.process import CrashReport
from coremlbench.types.records import Record

NOT_FAILURES = ("running", "interrupted")
"""Kinds of failure that are not reported: a run in progress, and one that the user stopped."""


def failure_rows(records: Sequence[Record]) -> tuple[FailureRow, ...]:
    """Return the failures of all records, newest first.

    Failures of one machine with the same subject, kind and phase share a row, which describes the newest of them.
    ``records`` are oldest first.
    """
    rows: dict[tuple[str, str, str, str], FailureRow] = {}
    for record in records:
        for part, failure, times in failures_in(record):
            if failure.kind in NOT_FAILURES:
                continue
            subject = _subject(record, part)
            key = (record.machine.id, subject, failure.kind, failure.evidence.phase)
            older = rows.pop(key, None)
            row = _row(record, subject, failure, times)
            if older is not None:
                ids = older.records if older.record == record.id else (record.id, *older.records)
                row = replace(row, count=older.count + times, records=ids)
            rows[key] = row
    return tuple(reversed(rows.values()))


def _subject(record: Record, part: str) -> str:
    run = record.experiment if record.kind == "training" else f"{record.experiment}, {record.kind}"
    return f"{run}: {part}" if part else run


def _crash_lines(report: CrashReport | None) -> tuple[str, ...]:
    """Return the system's crash report as lines: exception, termination, messages, stack frames."""
    if report is None:
        return ()
    lines = (report.exception, report.termination, *report.messages, *report.frames)
    return tuple(line for line in lines if line)


def _row(record: Record, subject: str, failure: Failure, times: int) -> FailureRow:
    evidence = failure.evidence
    return FailureRow(
        record=record.id,
        machine=record.machine.id,
        subject=subject,
        kind=failure.kind,
        reason=failure.reason,
        hint=failure.hint,
        count=times,
        records=(record.id,),
        phase=evidence.phase,
        signal=evidence.signal,
        returncode=evidence.returncode,
        exception=evidence.exception,
        matched=without_noise(evidence.matched),
        crash=_crash_lines(evidence.crash_report),
        stack=evidence.stack,
        log_tail=without_noise(evidence.log_tail),
        peak_bytes=evidence.peak_bytes,
    )
