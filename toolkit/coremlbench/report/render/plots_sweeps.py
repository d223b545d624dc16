"""Plots of sweeps: images a second by batch, a line for each unit and input shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from coremlbench.report.labels import KIND_LABELS
from coremlbench.report.render.figures import (
    DASHES,
    MARKERS,
    MAX_PLOTS_PER_KIND,
    SERIES_COLOURS,
    Plot,
    new_canvas,
    place_legend,
    plot_text,
    start_at_zero,
)
from coremlbench.report.render.markdown_sweeps import sweep_cell_name, throughput
from coremlbench.report.sweeps import Sweep, SweepRow, sweeps
from coremlbench.report.types import Report

MAX_LINES = 8
"""Lines of one plot; the table has all."""


def plot_sweeps(report: Report, names: dict[str, str]) -> Iterator[Plot]:
    """Yield plots of throughput by batch; ``names`` are the machines' by id."""
    for number, sweep in enumerate(sweeps(report.timing)[:MAX_PLOTS_PER_KIND], start=1):
        lines = _lines(sweep)[:MAX_LINES]
        if not lines:
            continue
        figure, (axes,) = new_canvas(2.6 + 0.1 * len(lines))
        for index, (label, rows) in enumerate(lines):
            axes.plot(
                [row.cell.batch for row in rows],
                [row.images_per_second for row in rows],
                color=SERIES_COLOURS[index % len(SERIES_COLOURS)],
                linestyle=DASHES[index % len(DASHES)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                label=plot_text(label, 64),
            )
        axes.set_xlabel("images in a call")
        axes.set_ylabel("images a second")
        start_at_zero(axes)
        place_legend(axes)
        kind = KIND_LABELS[sweep.rows[0].cell.kind]
        title = f"Throughput by batch: {plot_text(sweep.model, 40)}, {names.get(sweep.machine, '')} ({kind})"
        figures = "; ".join(
            f"{label}: {', '.join(f'{throughput(row)} at {row.cell.batch}' for row in rows)}" for label, rows in lines
        )
        yield Plot(f"sweep-{number}", "sweep", title, f"{title}. Images a second: {plot_text(figures, 600)}", figure)


def _lines(sweep: Sweep) -> list[tuple[str, list[SweepRow]]]:
    """Return the rows of each line with its label; a line has one cell's batches in one shape."""
    lines = []
    rows = [row for row in sweep.rows if row.images_per_second is not None]
    for (name, shape), group in groupby(rows, key=lambda row: (sweep_cell_name(row.cell), row.shape)):
        lines.append((f"{name}, {shape}" if shape else name, list(group)))
    return lines
