"""The figures of two runners in one report: side by side, and never in one ratio."""

from __future__ import annotations

from dataclasses import replace

from coremlbench.report.build import build_report
from coremlbench.report.csv_rows import figure_rows
from coremlbench.report.render.summary import summary
from coremlbench.report.render.views import short_notes
from coremlbench.report.types import Report, Source
from coremlbench.types.timing import TimingRecord
from tests import record_samples as samples


def by_native_runner(record: TimingRecord, *units: str) -> TimingRecord:
    """The record with the cells of some units timed by the native runner; without units all of Core ML's."""
    rows = (
        replace(row, runner="native") if row.runtime == "coreml" and (not units or row.unit in units) else row
        for row in record.measurements
    )
    return replace(record, measurements=tuple(rows))


def report_of(*records: TimingRecord) -> Report:
    sources = [Source(record, f"{record.id}/run.json") for record in records]
    return build_report(sources, made="2026-11-23T20:00:00+00:00")


def test_each_runner_has_rows_and_an_answer_of_its_own() -> None:
    python, native = samples.timing(70, stand_in=False), by_native_runner(samples.timing(71, stand_in=False))
    report = report_of(python, native)
    coreml = [row for row in report.timing if row.runtime == "coreml"]
    assert sum(row.runner == "native" for row in coreml) == sum(row.runner == "python" for row in coreml) > 0
    assert all(row.earlier == 0 for row in coreml), "one runner's figure is no earlier figure of the other's"
    assert all(("native runner" in short_notes(row)) == (row.runner == "native") for row in coreml)
    first, second = report.answers
    assert {(first.runner, first.record), (second.runner, second.record)} == {
        ("python", python.id),
        ("native", native.id),
    }
    texts = {answer.runner: answer.text for answer in report.answers}
    assert texts["native"].endswith("; native runner.")
    assert "native" not in texts["python"]
    assert any(row.text.startswith("Timed by the native runner") for row in report.warnings)


def test_units_of_two_runners_have_no_ratio() -> None:
    report = report_of(by_native_runner(samples.timing(70, stand_in=False), "CPU_AND_NE"))
    assert len(report.answers) == 2
    assert all(answer.ratio is None for answer in report.answers)


def test_the_first_table_takes_the_figures_of_one_runner() -> None:
    """The native runner's calls do without Python, so the fastest cell of both would always be one of its."""
    python, native = samples.timing(70, stand_in=False), by_native_runner(samples.timing(71, stand_in=False))
    both, alone = summary(report_of(python, native)), summary(report_of(native))
    of_python = summary(report_of(python)).rows
    assert [row.cells[:3] for row in both.rows] == [row.cells[:3] for row in of_python], "unit, how sure, a call"
    units = [row.cells[alone.columns.index("Best unit")] for row in alone.rows]
    assert units
    assert all(cell.note.endswith(", native runner") and cell.record == native.id for cell in units if cell.figure)


def test_the_figures_for_spreadsheets_name_the_runner() -> None:
    python, native = samples.timing(70, stand_in=False), by_native_runner(samples.timing(71, stand_in=False))
    rows = [row for row in figure_rows(report_of(python, native)) if row["table"] == "timing"]
    runners = {(row["record"], row["runner"]) for row in rows if row["runtime"] == "coreml"}
    assert runners == {(python.id, "python"), (native.id, "native")}
