"""The report's part on batches and input shapes."""

from dataclasses import replace

import pytest

from coremlbench.report.render import html, markdown, plots
from coremlbench.report.sweeps import sweeps
from coremlbench.report.types import Report
from coremlbench.types.timing import Measurement, Round, TimingRecord
from tests import record_samples as samples
from tests.report.test_build import report_of

SHAPES = ("32x32x3", "224x224x3")
BATCHES = (1, 4, 16)


def of_batch(cell: Measurement, batch: int) -> Measurement:
    """The cell of a batch: calls take longer, and need more memory, than those of one image."""

    def of_round(timed: Round) -> Round:
        seconds = (timed.p50 or 0) * batch**0.5
        return replace(timed, p50=seconds, peak_bytes=batch * 2**20 + timed.round, footprint_bytes=batch * 2**21)

    return replace(cell, batch=batch, rounds=tuple(map(of_round, cell.rounds)))


def sweep() -> TimingRecord:
    """Two models in two shapes and three batches, on one unit."""
    record = samples.timing(1, models=tuple(f"{name}-{shape}" for name in ("net", "other") for shape in SHAPES))
    cells = [cell for cell in record.measurements if cell.variant == "fp16" and cell.unit == "CPU_AND_NE"]
    return replace(record, measurements=tuple(of_batch(cell, batch) for cell in cells for batch in BATCHES))


@pytest.fixture(scope="module")
def report() -> Report:
    return report_of(sweep())


def test_a_sweep_has_a_row_for_each_shape_and_batch_with_its_throughput(report: Report) -> None:
    found = sweeps(report.timing)
    assert [one.model for one in found] == ["net", "other"]
    rows = found[0].rows
    assert [(row.shape, row.cell.batch) for row in rows] == [(shape, batch) for shape in SHAPES for batch in BATCHES]
    for row in rows:
        assert row.cell.p50 is not None
        assert row.images_per_second == pytest.approx(row.cell.batch / row.cell.p50)
        assert row.seconds_per_image == pytest.approx(row.cell.p50 / row.cell.batch)
        assert row.cell.peak_bytes == row.cell.batch * 2**20 + 4  # that of the round with most
        assert row.cell.footprint_bytes == row.cell.batch * 2**21


def test_what_was_timed_in_one_batch_and_shape_is_no_sweep() -> None:
    assert sweeps(report_of(samples.timing(1, models=("net", "other"))).timing) == ()


def test_a_failed_cell_has_no_throughput() -> None:
    record = sweep()
    failed = replace(record.measurements[0], rounds=(), failure=samples.OUT_OF_MEMORY)
    row = sweeps(report_of(replace(record, measurements=(failed, *record.measurements[1:]))).timing)[0].rows[0]
    assert (row.images_per_second, row.seconds_per_image, row.cell.peak_bytes) == (None, None, 0)


def test_every_form_of_the_report_shows_it(report: Report) -> None:
    page = html.render(report).decode()
    assert 'id="sweep"' in page
    assert "footprint 32.0 MiB" in page
    lines = markdown.render(report).decode().splitlines()
    assert "## By batch and input shape" in lines
    row = next(line for line in lines if "| 224x224x3 | 16 |" in line)
    assert row.endswith("| 16.0 MiB, footprint 32.0 MiB |")
    drawn = [plot for plot in plots.draw_plots(report) if plot.section == "sweep"]
    assert [plot.name for plot in drawn] == ["sweep-1", "sweep-2"]
    assert "224x224x3" in drawn[0].alternative
