"""The report's rows on history: the same model in the same cell of the same machine, run after run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coremlbench.report.history_types import HistoryPoint, HistoryRow, HistoryStep
from coremlbench.report.timing import figure_kind, finished_rounds
from coremlbench.report.types import FigureKind
from coremlbench.timing.history import MIN_RUNS, Step, find_steps
from coremlbench.timing.statistics import Estimate, estimate
from coremlbench.types.timing import Measurement, RunnerName, TimingRecord


class HistoryKey(NamedTuple):
    """What is the same in all runs of a history. ``source`` is the SHA-256 of the model before its conversion."""

    kind: FigureKind
    machine: str
    model: str
    source: str
    variant: str
    batch: int
    runtime: str
    unit: str
    runner: RunnerName


def history_rows(records: Sequence[TimingRecord]) -> tuple[HistoryRow, ...]:
    """Return the histories, those with steps first; ``records`` are oldest first. Quick runs are left out."""
    histories: dict[HistoryKey, list[HistoryPoint]] = {}
    for record in records:
        sources = {model.name: model.source.sha256 for model in record.models}
        for cell in record.measurements:
            figure = None if record.quick else _figure(cell)
            if figure is not None:
                key = HistoryKey(
                    kind=figure_kind(cell),
                    machine=record.machine.id,
                    model=cell.model,
                    source=sources.get(cell.model, ""),
                    variant=cell.variant,
                    batch=cell.batch,
                    runtime=cell.runtime,
                    unit=cell.unit,
                    runner=cell.runner,
                )
                histories.setdefault(key, []).append(_point(record, cell, figure))
    long = {key: points for key, points in histories.items() if len(points) >= MIN_RUNS}
    rows = [_row(key, points, len(long)) for key, points in long.items()]
    return tuple(sorted(rows, key=lambda row: not row.steps))


def _figure(cell: Measurement) -> Estimate | None:
    medians = [timed.p50 for timed in finished_rounds(cell) if timed.p50]
    return estimate(medians) if medians and cell.failure is None else None


def _point(record: TimingRecord, cell: Measurement, figure: Estimate) -> HistoryPoint:
    return HistoryPoint(
        record=record.id,
        started=record.started,
        seconds=figure.seconds,
        low=figure.low,
        high=figure.high,
        system=f"{record.machine.system} {record.machine.system_version}".strip(),
        runtime_version=cell.runtime_version,
    )


def _row(key: HistoryKey, points: Sequence[HistoryPoint], histories: int) -> HistoryRow:
    steps = find_steps([point.seconds for point in points], histories=histories)
    row = HistoryRow(
        kind=key.kind,
        machine=key.machine,
        model=key.model,
        variant=key.variant,
        batch=key.batch,
        runtime=key.runtime,
        unit=key.unit,
        runner=key.runner,
        points=tuple(points),
    )
    return replace(row, steps=tuple(_describe(step, points) for step in steps))


def _describe(step: Step, points: Sequence[HistoryPoint]) -> HistoryStep:
    before, first = points[step.index - 1], points[step.index]
    since = first.started[:10]
    if first.system != before.system:
        since = first.system
    elif first.runtime_version != before.runtime_version:
        since = f"{first.runtime_version} of {first.started[:10]}"
    word, sign = ("slower", 1) if step.change > 0 else ("faster", -1)
    low, high = sorted(sign * 100 * value for value in (step.low, step.high))
    decimals = 0 if abs(step.change) >= 0.095 else 1
    text = f"{word} by {100 * abs(step.change):.{decimals}f}% ({low:.{decimals}f} to {high:.{decimals}f}) since {since}"
    return HistoryStep(first.record, step.change, step.low, step.high, since, text)
