"""Plots of training: times by machine, and the solver's iterations of Create ML runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coremlbench.report.render import text, views
from coremlbench.report.render.figures import (
    DASHES,
    FAILED,
    MARKERS,
    MAX_PLOTS_PER_KIND,
    MEASURED,
    PUBLISHED,
    SERIES_COLOURS,
    Palette,
    Plot,
    new_canvas,
    place_legend,
    plot_text,
    start_at_zero,
)
from coremlbench.report.training import PROTOCOL
from coremlbench.report.types import ClassifierRun, PublishedRow, Report, TrainingRow
from coremlbench.system.formatting import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_BARS = 12


@dataclass(frozen=True)
class _Bars:
    """The bars of one experiment's plot: measured rows, how many rows there are in all, and published figures."""

    training: views.TrainingView
    measured: Sequence[TrainingRow]
    total: int
    published: Sequence[PublishedRow]

    @property
    def per_epoch(self) -> bool:
        """Return whether the compared figure is an epoch's time."""
        return self.measured[0].metric == "seconds per epoch"


def plot_training_times(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield a bar chart of the times of each experiment by machine; ``names`` are the machines' by id.

    Failures are marked. Published figures have axes of their own. An experiment with a single bar has no plot.
    """
    for training in views.training_views(report):
        bars = _bars(training)
        if any(row.seconds for row in bars.measured) and len(bars.measured) + len(bars.published) > 1:
            yield _plot_bars(bars, names, palette)


def _bars(training: views.TrainingView) -> _Bars:
    """Return the fastest rows of the first group with a figure.

    If that group is the protocol's, failures of its other groups and published figures are added.
    """
    group = next((group for group in training.groups if any(row.seconds for row in group.rows)), training.groups[0])
    rows, published = list(group.rows), []
    if group.is_protocol:
        others = [other for other in training.groups if other.is_protocol and other is not group]
        rows += [row for other in others for row in other.rows if row.failure]
        published = [row for row in training.published if row.high is not None]
    measured = sorted(rows, key=lambda row: row.seconds if row.seconds is not None else float("inf"))[:MAX_BARS]
    return _Bars(training, measured, len(rows), published)


def _plot_bars(bars: _Bars, names: dict[str, str], palette: Palette) -> Plot:
    counts = (len(bars.measured), len(bars.published)) if bars.published else (len(bars.measured),)
    figure, axes = new_canvas(0.95 + 0.27 * sum(counts) + 0.35 * (len(counts) - 1), len(counts), counts, sharex=True)
    labels = [plot_text(names[row.machine] + (f", {row.device}" if row.device else ""), 46) for row in bars.measured]
    longest = _draw_measured(axes[0], bars.measured, labels, palette)
    if bars.published:
        longest = max(longest, _draw_published(axes[1], bars.published, palette))
        axes[0].set_title("measured", color=palette.muted)
    unit = "seconds an epoch; stroke: the first" if bars.per_epoch else "seconds"
    axes[-1].set_xlabel(unit)
    axes[0].set_xlim(0, 1.25 * longest)
    title = _bars_title(bars)
    figures = "; ".join(
        f"{label}: {'failed' if row.seconds is None else text.seconds(row.seconds)}"
        for label, row in zip(labels, bars.measured, strict=True)
    )
    name = bars.training.name
    return Plot(f"training-{_file_name(name)}", f"training-{name}", title, f"{title}. {figures}.", figure)


def _bars_title(bars: _Bars) -> str:
    title = f"{plot_text(bars.training.title, 60)}: measured, {_work_label(bars.measured[0].work)}"
    if bars.total > len(bars.measured):
        title += f"; the fastest {len(bars.measured)} of {bars.total}"
    return title


def _draw_measured(axes: Axes, rows: Sequence[TrainingRow], labels: Sequence[str], palette: Palette) -> float:
    """Draw a bar per row, with a stroke for the first epoch, and return the largest time in seconds."""
    longest = 0.0
    for position, row in enumerate(rows):
        if row.seconds is None:
            _write_after_bar(axes, 0, position, "✕ failed", color=FAILED, fontsize=8.5, fontweight="bold")
            continue
        axes.barh(position, row.seconds, height=0.62, color=MEASURED)
        first = row.first_epoch if row.metric == "seconds per epoch" else None
        if first is not None:
            axes.plot(first, position, marker="|", markersize=9, color=palette.ink)
        end = max(row.seconds, first or 0.0)
        _write_after_bar(axes, end, position, text.seconds(row.seconds))
        longest = max(longest, end)
    _label_bars(axes, labels)
    return longest


def _draw_published(axes: Axes, rows: Sequence[PublishedRow], palette: Palette) -> float:
    """Draw a hatched bar per published figure and return the largest one in seconds."""
    longest = 0.0
    for position, row in enumerate(rows):
        high = row.high or 0.0
        axes.barh(position, high, height=0.62, facecolor="none", edgecolor=PUBLISHED, hatch="////", linewidth=0.8)
        _write_after_bar(axes, high, position, plot_text(views.published_figure(row)), style="italic")
        longest = max(longest, high)
    _label_bars(axes, [plot_text(row.machine, 46) for row in rows])
    axes.set_title("published by others", style="italic", color=palette.muted)
    return longest


def _write_after_bar(axes: Axes, value: float, position: int, label: str, **style: Any) -> None:
    """Write a label to the right of the end of a bar."""
    axes.annotate(
        label, (value, position), xytext=(4, 0), textcoords="offset points", va="center", **{"fontsize": 8.5, **style}
    )


def _label_bars(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)


def _work_label(work: str) -> str:
    return work if work.startswith(PROTOCOL) else f"not the protocol ({plot_text(work, 60)})"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)[:60]


def plot_iterations(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield plots of the training and validation accuracy after each iteration of the solver of Create ML runs."""
    runs = [run for run in report.classifiers if len(run.iterations) > 1]
    for number, run in enumerate(runs[:MAX_PLOTS_PER_KIND], start=1):
        figure, (axes,) = new_canvas(2.5)
        _draw_accuracies(axes, run, palette)
        title = f"The solver's iterations: {plot_text(run.data, 40)}, {names[run.machine]}"
        last = run.iterations[-1]
        yield Plot(
            f"createml-{number}",
            f"createml-{run.record}",
            title,
            f"{title}. After {format_count(last.iteration, 'iteration')} {text.percent(last.training_accuracy)} of the "
            f"training and {text.percent(last.validation_accuracy)} of the validation pictures are right; "
            f"{text.percent(run.test_accuracy)} of the test pictures.",
            figure,
        )


def _draw_accuracies(axes: Axes, run: ClassifierRun, palette: Palette) -> None:
    series = {
        "training": [(row.iteration, row.training_accuracy) for row in run.iterations],
        "validation": [(row.iteration, row.validation_accuracy) for row in run.iterations],
    }
    for index, (label, values) in enumerate(series.items()):
        points = [(iteration, accuracy * 100) for iteration, accuracy in values if accuracy is not None]
        if points:
            axes.plot(
                [iteration for iteration, _ in points],
                [accuracy for _, accuracy in points],
                color=SERIES_COLOURS[index],
                linestyle=DASHES[index],
                marker=MARKERS[index],
                markersize=3.5,
                linewidth=1.6,
                label=label,
            )
    axes.axhline(run.test_accuracy * 100, color=palette.ink, linewidth=1, linestyle=":", label="test, at the end")
    axes.set_xlabel("iteration of the solver")
    axes.set_ylabel("accuracy, %")
    start_at_zero(axes, top=100)
    place_legend(axes)
