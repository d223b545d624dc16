"""Rows of records and of a report for spreadsheets and data frames: flat, with figures in SI units.

A row of ``figure_rows`` is one figure, so that reports with other tables have the same columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from coremlbench.report.labels import outcome_label
from coremlbench.report.types import Report
from coremlbench.system.machine import format_machine
from coremlbench.system.proportions import accuracy_bounds
from coremlbench.types.records import Record
from coremlbench.types.training_records import Trained, TrainingRecord

Cell = str | int | float | None
Row = dict[str, Cell]
RUN_COLUMNS = (
    *("id", "kind", "experiment", "machine", "machine_id", "started", "seconds", "outcome", "test_accuracy"),
    *("accuracy_low", "accuracy_high", "test_images", "data", "peak_bytes", "deviations", "coremlbench"),
)
FIGURE_COLUMNS = (
    *("table", "machine", "model", "variant", "batch", "runtime", "unit", "runner", "kind", "figure", "value", "low"),
    *("high", "measure", "of", "data", "record"),
)
"""The columns of ``figure_rows``: ``of`` is the number of rounds, runs or images that a figure rests on."""


def run_rows(records: Sequence[Record]) -> list[Row]:
    """Return a row for each run: what ran, where, for how long, how it ended, and its accuracy with its interval."""
    return [_run_row(record) for record in records]


def _run_row(record: Record) -> Row:
    outcome = record.outcome
    data = record.dataset if isinstance(record, TrainingRecord) else None
    trained = outcome if isinstance(outcome, Trained) else None
    images = data.test if data is not None and trained is not None else 0
    low, high = accuracy_bounds(trained.test_accuracy if trained else None, images)
    return {
        "id": record.id,
        "kind": record.kind,
        "experiment": record.experiment,
        "machine": format_machine(record.machine),
        "machine_id": record.machine.id,
        "started": record.started,
        "seconds": record.seconds,
        "outcome": outcome_label(record),
        "test_accuracy": trained.test_accuracy if trained else None,
        "accuracy_low": low,
        "accuracy_high": high,
        "test_images": images or None,
        "data": data.name if data is not None else None,
        "peak_bytes": record.peak_bytes or None,
        "deviations": "; ".join(record.deviations),
        "coremlbench": record.coremlbench,
    }


def figure_rows(report: Report) -> list[Row]:
    """Return a row for each figure of a report's tables, with all of ``FIGURE_COLUMNS``."""
    machines = {row.id: row.name for row in report.machines}
    rows: Iterable[Row] = (*_timing_rows(report), *_variant_rows(report), *_training_rows(report))
    return [
        {column: row.get(column) for column in FIGURE_COLUMNS}
        | {"machine": machines.get(str(row["machine"]), row["machine"])}
        for row in rows
    ]


def _timing_rows(report: Report) -> Iterator[Row]:
    for cell in report.timing:
        base: Row = {
            "table": "timing",
            "machine": cell.machine,
            "model": cell.model,
            "variant": cell.variant,
            "batch": cell.batch,
            "runtime": cell.runtime,
            "unit": cell.unit,
            "runner": cell.runner,
            "kind": cell.kind,
            "of": cell.rounds,
            "record": cell.record,
        }
        seconds = {"p50": cell.p50, "p90": cell.p90, "p95": cell.p95, "p99": cell.p99}
        seconds |= {
            "compile": cell.compile_seconds,
            "first load": cell.first_load_seconds,
            "cached load": cell.cached_load_seconds,
            "first call": cell.first_predict_seconds,
        }
        for figure, value in seconds.items():
            if value is not None:
                bounds: Row = {"low": cell.low, "high": cell.high} if figure == "p50" else {}
                yield base | {"figure": figure, "value": value, "measure": "s"} | bounds
        if cell.energy_joules is not None:
            yield base | {"figure": "energy a call", "value": cell.energy_joules, "measure": "J"}


def _variant_rows(report: Report) -> Iterator[Row]:
    for row in report.variants:
        base: Row = {
            "table": "variants",
            "machine": row.machine,
            "model": row.model,
            "variant": row.variant,
            "batch": row.batch,
            "runtime": row.runtime,
            "kind": row.verdict or row.status,
            "of": row.images or None,
            "data": row.data,
            "record": row.record,
        }
        yield base | {"figure": "size", "value": row.bytes, "measure": "B", "of": None}
        for figure, value in (("accuracy of the original", row.accuracy_before), ("accuracy", row.accuracy_after)):
            if value is not None:
                low, high = accuracy_bounds(value, row.images)
                yield base | {"figure": figure, "value": value, "low": low, "high": high, "measure": "share"}
        for figure, value, measure in (
            ("same class", row.agreement, "share"),
            ("largest error", row.relative_error, "share of the range"),
            ("signal to noise", row.signal_to_noise, "dB"),
        ):
            if value is not None:
                yield base | {"figure": figure, "value": value, "measure": measure}


def _training_rows(report: Report) -> Iterator[Row]:
    for row in report.training:
        base: Row = {
            "table": "training",
            "machine": row.machine,
            "model": row.experiment,
            "unit": row.device,
            "kind": row.work,
            "data": row.data,
            "record": row.record,
        }
        if row.seconds is not None:
            bounds: Row = {"low": row.low, "high": row.high, "of": row.runs}
            yield base | {"figure": row.metric, "value": row.seconds, "measure": "s"} | bounds
        if row.accuracy is not None:
            low, high = accuracy_bounds(row.accuracy, row.test_images)
            accuracy: Row = {"figure": "test accuracy", "value": row.accuracy, "low": low, "high": high}
            yield base | accuracy | {"measure": "share", "of": row.test_images or None}
