"""The report's history: which runs belong together, what a step is called, and how it is shown."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from coremlbench.report.history import history_rows
from coremlbench.report.history_types import HistoryRow
from coremlbench.report.render import html, markdown
from coremlbench.report.types import Report
from coremlbench.types.timing import Measurement, TimingRecord
from tests import record_samples as samples
from tests.report.test_build import report_of


def runs(scales: Sequence[float], newer_from: int = 99) -> list[TimingRecord]:
    """Return matrices of one cell, whose calls take so many times as long; from one on the system is newer."""
    records = []
    for number, scale in enumerate(scales):
        record = samples.timing(number, scale=scale, models=("lenet",))
        if number >= newer_from:
            record = replace(record, machine=replace(samples.AIR, system_version="26.4"))
        records.append(replace(record, measurements=record.measurements[:1]))
    return records


STEPPED = runs([1.0] * 6 + [1.12] * 4, newer_from=6)


def row_of(records: Sequence[TimingRecord]) -> HistoryRow:
    (row,) = history_rows(records)
    return row


def test_a_step_is_told_with_its_interval_and_the_system_that_came_with_it() -> None:
    row = row_of(STEPPED)
    assert (len(row.points), len(row.steps)) == (10, 1)
    step = row.steps[0]
    assert step.record == STEPPED[6].id
    assert step.low < 0.12 < step.high
    assert step.text.startswith("slower by 12% (1")
    assert step.text.endswith(") since macOS 26.4")
    faster = row_of(runs([1.12] * 6 + [1.0] * 4)).steps[0]
    assert faster.text.startswith("faster by 11% (")
    assert faster.text.endswith(") since 2026-01-01")


def test_a_new_runtime_is_told_where_the_system_is_the_same() -> None:
    records = [
        replace(record, measurements=(replace(record.measurements[0], runtime_version="27.0"),))
        if number >= 6
        else record
        for number, record in enumerate(runs([1.0] * 6 + [1.12] * 4))
    ]
    assert row_of(records).steps[0].text.endswith(" since 27.0 of 2026-01-01")


def newer_runtime(cell: Measurement) -> Measurement:
    return replace(cell, runtime_version="27.0")


def test_only_equal_cells_in_five_full_runs_are_a_history() -> None:
    assert history_rows(runs([1.0] * 4)) == ()
    assert len(row_of(runs([1.0] * 5)).points) == 5
    quick = [replace(record, quick=True) for record in runs([1.0] * 5)]
    assert history_rows(quick) == ()
    elsewhere = [replace(record, machine=samples.PRO) for record in STEPPED[6:]]
    assert history_rows([*STEPPED[:4], *elsewhere]) == ()
    retrained = [
        replace(
            record, models=tuple(replace(model, source=replace(model.source, sha256="new")) for model in record.models)
        )
        for record in STEPPED[6:]
    ]
    assert row_of([*STEPPED[:6], *retrained]).steps == ()


def test_histories_with_a_step_come_first() -> None:
    records = [
        replace(record, measurements=(*steady.measurements, *replace_unit(record)))
        for record, steady in zip(STEPPED, runs([1.0] * 10), strict=True)
    ]
    rows = history_rows(records)
    assert [(row.unit, len(row.steps)) for row in rows] == [("ALL", 1), ("CPU_AND_NE", 0)]


def replace_unit(record: TimingRecord) -> list[Measurement]:
    return [replace(cell, unit="ALL") for cell in record.measurements]


@pytest.fixture(scope="module")
def report() -> Report:
    return report_of(*STEPPED)


def test_every_form_of_the_report_shows_the_step(report: Report) -> None:
    text = report.history[0].steps[0].text
    page = html.render(report).decode()
    assert 'id="history"' in page
    assert 'href="#history"' in page
    assert text in page
    assert f"10 runs: {text}" in page  # the plot's alternative text
    lines = markdown.render(report).decode().splitlines()
    assert "## The same cells over time" in lines
    assert any("slower by 12%" in line for line in lines)


def test_a_report_without_history_does_not_mention_it() -> None:
    short = report_of(*STEPPED[:4])
    assert 'id="history"' not in html.render(short).decode()
    assert "over time" not in markdown.render(short).decode()
