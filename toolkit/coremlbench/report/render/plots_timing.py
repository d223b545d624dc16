"""Plots of converted models: latencies, sustained runs, and accuracy against size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from coremlbench.report.labels import RUNTIME_LABELS, UNIT_LABELS, unit_label
from coremlbench.report.render import text, views
from coremlbench.report.render.figures import (
    DASHES,
    MARKERS,
    MAX_PLOTS_PER_KIND,
    SERIES_COLOURS,
    UNIT_COLOURS,
    Palette,
    Plot,
    legend_columns,
    new_canvas,
    place_legend,
    plot_text,
    start_at_zero,
)
from coremlbench.report.render.plot_labels import PointLabel, place_labels
from coremlbench.report.types import CellRow, Report, VariantRow
from coremlbench.types.conversion import PROVEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_TAIL = 2.5
"""Medians of a cell beyond which the axis of its plot does not go for its tail."""
MAX_LINEAR_RATIO = 6.0
"""The ratio of the slowest to the fastest median above which the axis is logarithmic."""
AXIS_MARGIN = 1.15


def plot_latencies(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield plots of the distribution of call times, a line per unit; ``names`` are the machines' by id."""
    for number, cells in enumerate(_latency_groups(report)[:MAX_PLOTS_PER_KIND], start=1):
        first = cells[0]
        variant = "" if first.kind == "host" else f"{plot_text(first.variant)}, "
        subject = f"{plot_text(first.model, 40)}, {variant}{names[first.machine]}"
        title = _mark_kind(f"How long calls take: {subject}", first)
        medians = "; ".join(
            f"{_series_label(cell)}: half of the calls within {text.seconds(cell.p50)}" for cell in cells
        )
        figure, (axes,) = new_canvas(2.5)
        _draw_latencies(axes, cells, palette)
        yield Plot(f"latency-{number}", "matrix", title, f"{title}. {medians}", figure)


def _latency_groups(report: Report) -> list[list[CellRow]]:
    """Return the cells of each plot: of one kind, machine, model and batch, of the variant of the model's answer.

    Without an answer it is the first variant. Of host runtimes there are two, as TensorFlow runs the model itself.
    """
    answered = {(answer.machine, answer.model): answer.variant for answer in report.answers if answer.variant}
    groups = []
    for (kind, machine, model), group in groupby(report.timing, key=lambda cell: (cell.kind, cell.machine, cell.model)):
        cells = [cell for cell in group if len(cell.distribution) > 2]
        if cells:
            variants = {answered.get((machine, model), cells[0].variant)}
            if kind == "host":
                variants = {cells[0].variant, "as-is"}
            groups.append([cell for cell in cells if cell.variant in variants and cell.batch == cells[0].batch])
    return [group for group in groups if group]


def _draw_latencies(axes: Axes, cells: Sequence[CellRow], palette: Palette) -> None:
    """Draw the share of calls over their time; long tails go beyond the axis, so that they do not hide the body.

    The axis ends above the 97.5th percentiles, but no further than ``MAX_TAIL`` medians. It is logarithmic where one
    cell is far slower than another.
    """
    longest = max(min(cell.distribution[-2], MAX_TAIL * _median(cell)) for cell in cells)
    scale, unit = (1e3, "milliseconds") if longest >= 1e-3 else (1e6, "microseconds")
    for index, cell in enumerate(cells):
        quantiles = [value * scale for value in cell.distribution]
        axes.plot(
            quantiles,
            [100 * position / (len(quantiles) - 1) for position in range(len(quantiles))],
            color=_colour(cell, index, palette),
            linestyle=DASHES[index % len(DASHES)],
            linewidth=1.8,
            label=_series_label(cell),
        )
    beyond = max(cell.distribution[-2] for cell in cells) > longest * AXIS_MARGIN
    axes.set_xlabel(f"{unit} a call{'; the slowest calls are beyond the axis' if beyond else ''}")
    axes.set_ylabel("calls at most as long, %")
    start_at_zero(axes, right=longest * scale * AXIS_MARGIN, top=100)
    shortest = min(cell.distribution[1] for cell in cells)
    if max(map(_median, cells)) > MAX_LINEAR_RATIO * min(map(_median, cells)) and shortest > 0:
        axes.set_xscale("log")
        axes.set_xlim(shortest * scale / AXIS_MARGIN, longest * scale * AXIS_MARGIN)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    place_legend(axes)


def _median(cell: CellRow) -> float:
    return cell.distribution[len(cell.distribution) // 2]


def plot_sustained(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield plots of the median call time during sustained runs, a line per unit."""
    cells = [cell for cell in report.timing if len(cell.sustained) > 1]
    groups = [
        list(group)
        for _, group in groupby(cells, key=lambda cell: (cell.kind, cell.machine, cell.model, cell.variant, cell.batch))
    ]
    for number, group in enumerate(groups[:MAX_PLOTS_PER_KIND], start=1):
        first = group[0]
        figure, (axes,) = new_canvas(2.5)
        for index, cell in enumerate(group):
            axes.plot(
                [point.seconds for point in cell.sustained],
                [point.p50 * 1e3 for point in cell.sustained],
                color=_colour(cell, index, palette),
                linestyle=DASHES[index % len(DASHES)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=3.5,
                linewidth=1.6,
                label=_series_label(cell),
            )
        axes.set_xlabel("seconds since the first call")
        axes.set_ylabel("milliseconds a call, median")
        start_at_zero(axes)
        place_legend(axes)
        batch = f", batch {first.batch}" if first.batch != 1 else ""
        subject = f"{plot_text(first.model, 40)}, {plot_text(first.variant)}{batch}, {names[first.machine]}"
        title = _mark_kind(f"A sustained run: {subject}", first)
        changes = "; ".join(
            f"{_series_label(cell)}: {text.seconds(cell.sustained[0].p50)} a call, in the end "
            f"{text.seconds(cell.sustained[-1].p50)}"
            for cell in group
        )
        yield Plot(f"sustained-{number}", "matrix", title, f"{title}. {changes}", figure)


def _colour(cell: CellRow, index: int, palette: Palette) -> str:
    """Return the colour of a Core ML unit; lines of host runtimes have colours by their index."""
    return (
        SERIES_COLOURS[index % len(SERIES_COLOURS)] if cell.kind == "host" else UNIT_COLOURS.get(cell.unit, palette.ink)
    )


def _series_label(cell: CellRow) -> str:
    """Return the unit on which a cell ran; for a host runtime its name, variant and unit."""
    if cell.kind == "host":
        variant, unit = views.variant_label(cell.variant, [cell]), UNIT_LABELS.get(cell.unit, cell.unit)
        return f"{plot_text(RUNTIME_LABELS.get(cell.runtime, cell.runtime))}, {plot_text(variant)}, {plot_text(unit)}"
    return plot_text(unit_label(cell.unit, cell.ran_on), 64)


def _mark_kind(title: str, cell: CellRow) -> str:
    """Return the title, marked if its figures are not Core ML's."""
    marks = {"stand-in": " (stand-in, not Core ML)", "host": " (host)", "core-ml": ""}
    return title + marks[cell.kind]


def plot_sizes(report: Report) -> Iterator[Plot]:
    """Yield a plot of accuracy (or agreement with the original) against package size, a line per model.

    Sizes are shares of the model's largest package, since models differ in size a thousandfold. Only packages that
    are degraded, wrong or not judged are named: the points of the others are too close for labels.
    """
    models = _sized_models(report)
    if not models:
        return
    drawn = [(plot_text(model, 32), rows) for model, rows in models[: len(SERIES_COLOURS)]]
    names = [name for name, _ in drawn]
    figure, (axes,) = new_canvas(2.6 + 0.16 * math.ceil(len(names) / legend_columns(names)))
    for index, (name, rows) in enumerate(drawn):
        _draw_sizes(axes, name, rows, index)
    axes.set_xlabel("size, % of the model's largest package")
    axes.set_ylabel("accuracy, or agreement, %")
    start_at_zero(axes, right=105, top=115)
    axes.set_yticks(range(0, 101, 20))
    place_legend(axes)
    place_labels(axes, [label for index, (_, rows) in enumerate(drawn) for label in _size_labels(rows, index)])
    title = "Accuracy against size; degraded, wrong and not judged packages are named"
    if len(models) > len(SERIES_COLOURS):
        title += f"; the first {len(SERIES_COLOURS)} of {len(models)} models"
    yield Plot("accuracy-size", "variants", title, f"{title}. The table below has every figure.", figure)


def _sized_models(report: Report) -> list[tuple[str, list[VariantRow]]]:
    """Return the models with at least two packages of known size and accuracy, each with these packages."""
    models = [
        (model, [row for row in rows if row.bytes and (row.accuracy_after is not None or row.agreement is not None)])
        for (model, _), rows in views.variants_by_model(report)
    ]
    return [(model, rows) for model, rows in models if len(rows) > 1]


def _draw_sizes(axes: Axes, name: str, rows: Sequence[VariantRow], index: int) -> None:
    points = [_size_point(row, rows) for row in sorted(rows, key=lambda row: row.bytes)]
    axes.plot(
        [size for size, _ in points],
        [accuracy for _, accuracy in points],
        color=SERIES_COLOURS[index],
        marker=MARKERS[index],
        markersize=5,
        linewidth=1,
        label=name,
    )


def _size_labels(rows: Sequence[VariantRow], index: int) -> list[PointLabel]:
    """Return the labels of a model's packages that are not proven."""
    return [
        PointLabel(plot_text(f"{row.variant} ({row.verdict})"), *_size_point(row, rows), SERIES_COLOURS[index])
        for row in rows
        if row.verdict not in PROVEN
    ]


def _size_point(row: VariantRow, rows: Sequence[VariantRow]) -> tuple[float, float]:
    """Return a package's size as a share of the largest of ``rows`` and its accuracy, both in percent."""
    return 100 * row.bytes / max(other.bytes for other in rows), 100 * _accuracy(row)


def _accuracy(row: VariantRow) -> float:
    """Return the accuracy after conversion, else the agreement with the original."""
    return row.accuracy_after if row.accuracy_after is not None else row.agreement or 0.0
