"""Plots of histories: the time of a call in each run, with its interval and the steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coremlbench.report.history_types import HistoryRow
from coremlbench.report.render.figures import (
    FAILED,
    MAX_PLOTS_PER_KIND,
    MEASURED,
    Palette,
    Plot,
    new_canvas,
    plot_text,
    start_at_zero,
)
from coremlbench.report.render.markdown_history import cell_name
from coremlbench.report.types import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_histories(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield plots of the first histories, those with steps; ``names`` are the machines' by id."""
    for number, row in enumerate(report.history[:MAX_PLOTS_PER_KIND], start=1):
        figure, (axes,) = new_canvas(2.2)
        _draw(axes, row, palette)
        subject = f"{plot_text(row.model, 40)}, {plot_text(cell_name(row), 64)}, {names.get(row.machine, '')}"
        title = f"Run after run: {subject}"
        found = "; ".join(step.text for step in row.steps) or "no step is named"
        yield Plot(f"history-{number}", "history", title, f"{title}. {len(row.points)} runs: {found}", figure)


def _draw(axes: Axes, row: HistoryRow, palette: Palette) -> None:
    """Draw a point for each run with its interval, and a line before each step with its text beside."""
    from matplotlib.ticker import MaxNLocator

    longest = max(point.high or point.seconds for point in row.points)
    scale, unit = (1e3, "milliseconds") if longest >= 1e-3 else (1e6, "microseconds")
    places = range(1, len(row.points) + 1)
    middles = [point.seconds * scale for point in row.points]
    lows = [(point.seconds - (point.low or point.seconds)) * scale for point in row.points]
    highs = [((point.high or point.seconds) - point.seconds) * scale for point in row.points]
    axes.errorbar(list(places), middles, yerr=[lows, highs], fmt="o", color=MEASURED, markersize=4, linewidth=1)
    first_runs = {point.record: place for place, point in zip(places, row.points, strict=True)}
    for step in row.steps:
        place = first_runs[step.record] - 0.5
        axes.axvline(place, color=FAILED, linewidth=1)
        right = place > len(row.points) / 2
        axes.annotate(
            plot_text(step.text, 64),
            (place, 0.04),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if right else 4, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=7,
            color=palette.ink,
        )
    axes.set_xlabel("runs, oldest first")
    axes.set_ylabel(f"{unit} a call")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    start_at_zero(axes, right=len(row.points) + 0.5, top=longest * scale * 1.1)
