"""The report's plots: drawn by matplotlib without a display, as SVG with text kept as text, and as PNG."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from coremlbench.report.labels import RUNTIME_WORDS, UNIT_WORDS, unit_label
from coremlbench.report.render import text, views
from coremlbench.report.training import PROTOCOL
from coremlbench.report.types import CellRow, ClassifierRun, Report, TrainingRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.6
"""Inches of 72 dots: half of a page, side by side, or a phone."""
MAX_BARS = 12
MAX_PLOTS_PER_KIND = 3


@dataclass(frozen=True)
class Palette:
    """The colours of a plot besides its data: for paper, or names that a page's style gives a colour to."""

    ink: str
    muted: str
    grid: str
    paper: str


LIGHT = Palette(ink="#1f2328", muted="#5b6168", grid="#dcdcd6", paper="#ffffff")
INLINE = Palette(ink="#010203", muted="#010204", grid="#010205", paper="#010206")
"""Colours that nothing else has: ``inline`` puts the page's own in their place."""

# Okabe & Ito's palette, told apart with every common colour blindness (jfly.uni-koeln.de/color).
UNIT_COLOURS = {
    "CPU_AND_NE": "#009e73",
    "CPU_AND_GPU": "#0072b2",
    "CPU_ONLY": "#e69f00",
    "ALL": "#cc79a7",
    "host-cpu": "#d55e00",
    "host-gpu": "#56b4e9",
}
MEASURED, PUBLISHED, FAILED = "#0072b2", "#5b6168", "#d55e00"
_SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKS = ("o", "s", "^", "D", "v", "P")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))


@dataclass(frozen=True)
class Plot:
    """A drawn figure: its file's name, the section it belongs to, its title, and what it shows in words."""

    name: str
    section: str
    title: str
    alternative: str
    figure: Figure
    palette: Palette = LIGHT


def plots(report: Report, palette: Palette = LIGHT) -> tuple[Plot, ...]:
    """Return the plots that the report has data for, at most a handful of each kind."""
    import matplotlib as mpl

    with mpl.rc_context(_style(palette)):
        names = {row.id: _words(row.name, 44) for row in report.machines}
        drawn = (
            *_latencies(report, names, palette),
            *_sustained(report, names, palette),
            *_sizes(report),
            *_trainings(report, names, palette),
            *_curves(report, names, palette),
        )
    return tuple(replace(plot, palette=palette) for plot in drawn)


def _words(value: str, length: int = 40) -> str:
    """Return text from outside as a plot shows it."""
    return text.cut(text.plain(value), length)


def svg(plot: Plot) -> bytes:
    """Return a plot as SVG; equal reports give equal bytes."""
    return _saved(plot, "svg")


def png(plot: Plot) -> bytes:
    """Return a plot as PNG, two dots a pixel."""
    return _saved(plot, "png")


def inline(plot: Plot) -> str:
    """Return a plot drawn with ``INLINE`` as an SVG element that takes the colours and the font of its page."""
    drawn = _saved(plot, "svg").decode()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*", "", drawn, flags=re.DOTALL)
    for colour, name in (
        (INLINE.ink, "--ink"),
        (INLINE.muted, "--muted"),
        (INLINE.grid, "--line"),
        (INLINE.paper, "--paper"),
    ):
        drawn = drawn.replace(colour, f"var({name})")
    drawn = re.sub(r"font: (\d*\.?\d+px) [^;\"]*", r"font-size: \1; font-family: inherit", drawn)
    drawn = re.sub(r"font-family: '[^;\"]*", "font-family: inherit", drawn)
    used = set(re.findall(r"(?:xlink:href=\"#|url\(#)([^\")]+)", drawn))
    drawn = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", drawn)
    for each in sorted(used):  # plots of one page may not share names
        drawn = drawn.replace(f'"{each}"', f'"{plot.name}-{each}"').replace(f"#{each}", f"#{plot.name}-{each}")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    assert size is not None
    _, _, body = drawn.partition(">")
    return (
        f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{_attribute(plot.alternative)}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" width="{size[1]}" height="{size[2]}">{body.strip()}'
    )


def _attribute(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _saved(plot: Plot, form: str) -> bytes:
    import matplotlib as mpl

    buffer = io.BytesIO()
    if plot.palette is not INLINE:  # a page has the title beside it
        plot.figure.suptitle(textwrap.fill(plot.title, 78), x=0.01, ha="left", fontsize=9)
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": plot.name}), warnings.catch_warnings():
        # A name may have letters that matplotlib's font lacks; the SVG keeps them as text, the PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        plot.figure.savefig(buffer, format=form, dpi=200 if form == "png" else 72, metadata=metadata)
    return buffer.getvalue()


def _style(palette: Palette) -> Any:  # matplotlib types the names of its settings one by one
    return {
        "font.family": "sans-serif",
        "font.size": 8.5,
        "text.parse_math": False,  # a dollar sign in a foreign name is a dollar sign
        "text.color": palette.ink,
        "axes.edgecolor": palette.grid,
        "axes.labelcolor": palette.muted,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 8.5,
        "axes.titlelocation": "left",
        "axes.titlecolor": palette.ink,
        "axes.axisbelow": True,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "grid.color": palette.grid,
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": "none" if palette is INLINE else palette.paper,
        "hatch.linewidth": 0.8,
    }


def _canvas(height: float, rows: int = 1, ratios: Sequence[float] | None = None, **share: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, height_ratios=ratios, **share)
    return figure, [row[0] for row in axes]


# --- times of models ----------------------------------------------------------------------------------------


def _latencies(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield how the calls of a model's answer (or of its first variant) spread, unit by unit."""
    chosen = {(each.machine, each.model): each.variant for each in report.answers if each.variant}
    groups: list[tuple[str, list[CellRow]]] = []
    for (kind, machine, model), group in groupby(report.timing, key=lambda cell: (cell.kind, cell.machine, cell.model)):
        cells = [cell for cell in group if len(cell.distribution) > 2]
        if cells:
            variants = {chosen.get((machine, model), cells[0].variant)}
            if kind == "host":
                variants = {cells[0].variant, "as-is"}  # of a host's runtimes each has its own
            groups.append((kind, [cell for cell in cells if cell.variant in variants and cell.batch == cells[0].batch]))
    for number, (_, cells) in enumerate([each for each in groups if each[1]][:MAX_PLOTS_PER_KIND], start=1):
        first = cells[0]
        longest = max(_near_the_top(cell) for cell in cells)
        scale, unit = (1e3, "milliseconds") if longest >= 1e-3 else (1e6, "microseconds")
        figure, (axes,) = _canvas(2.5)
        for index, cell in enumerate(cells):
            quantiles = [value * scale for value in cell.distribution]
            shares = [100 * place / (len(quantiles) - 1) for place in range(len(quantiles))]
            axes.plot(
                quantiles,
                shares,
                color=_colour(cell, index, palette),
                linestyle=_DASHES[index % len(_DASHES)],
                linewidth=1.8,
                label=_unit(cell),
            )
        axes.set_xlabel(f"{unit} a call")
        axes.set_ylabel("calls at most as long, %")
        _from_zero(axes, right=longest * scale * 1.15, top=100)
        _legend(axes)
        variant = "" if first.kind == "host" else f"{_words(first.variant)}, "
        what = f"{_words(first.model, 40)}, {variant}{names[first.machine]}"
        title = _marked(f"How long calls take: {what}", first)
        yield Plot(
            f"latency-{number}",
            "matrix",
            title,
            f"{title}. "
            + "; ".join(f"{_unit(each)}: half of the calls within {text.seconds(each.p50)}" for each in cells),
            figure,
        )


def _colour(cell: CellRow, index: int, palette: Palette) -> str:
    """Return the colour of a unit; a host's runtimes are told apart by theirs."""
    return _SERIES[index % len(_SERIES)] if cell.kind == "host" else UNIT_COLOURS.get(cell.unit, palette.ink)


def _near_the_top(cell: CellRow) -> float:
    """Return the quantile that an axis must reach: the 97.5th percentile, as the longest call may be far away."""
    return cell.distribution[-2]


def _sustained(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield how the median of a stretch of calls moved over a sustained run."""
    cells = [cell for cell in report.timing if len(cell.sustained) > 1]
    groups = [
        list(group)
        for _, group in groupby(cells, key=lambda cell: (cell.kind, cell.machine, cell.model, cell.variant, cell.batch))
    ]
    for number, group in enumerate(groups[:MAX_PLOTS_PER_KIND], start=1):
        first = group[0]
        figure, (axes,) = _canvas(2.5)
        for index, cell in enumerate(group):
            axes.plot(
                [point.seconds for point in cell.sustained],
                [point.p50 * 1e3 for point in cell.sustained],
                color=_colour(cell, index, palette),
                linestyle=_DASHES[index % len(_DASHES)],
                marker=_MARKS[index % len(_MARKS)],
                markersize=3.5,
                linewidth=1.6,
                label=_unit(cell),
            )
        axes.set_xlabel("seconds since the first call")
        axes.set_ylabel("milliseconds a call, median")
        _from_zero(axes)
        _legend(axes)
        batch = f", batch {first.batch}" if first.batch != 1 else ""
        what = f"{_words(first.model, 40)}, {_words(first.variant)}{batch}, {names[first.machine]}"
        title = _marked(f"A sustained run: {what}", first)
        ends = (
            f"{_unit(each)}: {text.seconds(each.sustained[0].p50)} a call, in the end "
            f"{text.seconds(each.sustained[-1].p50)}"
            for each in group
        )
        yield Plot(f"sustained-{number}", "matrix", title, f"{title}. " + "; ".join(ends), figure)


def _unit(cell: CellRow) -> str:
    if cell.kind == "host":
        variant, unit = views.variant_words(cell.variant, [cell]), UNIT_WORDS.get(cell.unit, cell.unit)
        return f"{_words(RUNTIME_WORDS.get(cell.runtime, cell.runtime))}, {_words(variant)}, {_words(unit)}"
    return _words(unit_label(cell.unit, cell.ran_on), 64)


def _marked(title: str, cell: CellRow) -> str:
    """Return the title with what its figures are, when they are not Core ML's."""
    marks = {"stand-in": " (stand-in, not Core ML)", "host": " (host)", "core-ml": ""}
    return title + marks[cell.kind]


def _sizes(report: Report) -> Iterator[Plot]:
    """Yield accuracy (or agreement with the original) against the package's size, a line a model.

    Sizes differ a thousandfold between networks, so they are shares of the model's largest package. Only what is not
    proven is named: the others lie along their line, too close for words.
    """
    models = [
        (model, [row for row in rows if row.bytes and (row.accuracy_after is not None or row.agreement is not None)])
        for (model, _), rows in views.variants_by_model(report)
    ]
    models = [(model, rows) for model, rows in models if len(rows) > 1]
    if not models:
        return
    figure, (axes,) = _canvas(2.8)
    for index, (model, rows) in enumerate(models[: len(_SERIES)]):
        ordered = sorted(rows, key=lambda row: row.bytes)
        largest = ordered[-1].bytes
        axes.plot(
            [100 * row.bytes / largest for row in ordered],
            [100 * _kept(row.accuracy_after, row.agreement) for row in ordered],
            color=_SERIES[index],
            marker=_MARKS[index],
            markersize=5,
            linewidth=1,
            label=_words(model, 32),
        )
        for place, row in enumerate(row for row in ordered if row.verdict != "proven"):
            axes.annotate(
                _words(row.variant),
                (100 * row.bytes / largest, 100 * _kept(row.accuracy_after, row.agreement)),
                xytext=(0, 7 if place % 2 else -11),  # above and below by turns, as neighbours are near
                textcoords="offset points",
                horizontalalignment="center",
                fontsize=7.5,
                color=_SERIES[index],
            )
    axes.set_xlabel("size, % of the model's largest package")
    axes.set_ylabel("accuracy, or agreement, %")
    _from_zero(axes, right=105, top=105)
    _legend(axes)
    title = "Accuracy against size; named is what is not proven"
    if len(models) > len(_SERIES):
        title += f"; the first {len(_SERIES)} of {len(models)} models"
    yield Plot(
        "accuracy-size",
        "variants",
        title,
        f"{title}. The table below has every figure.",
        figure,
    )


def _kept(accuracy: float | None, agreement: float | None) -> float:
    return accuracy if accuracy is not None else agreement or 0.0


# --- training -----------------------------------------------------------------------------------------------


def _trainings(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    """Yield each experiment's time by machine, failures marked; what others published has axes of its own."""
    for training in views.trainings(report):
        group = next((each for each in training.groups if any(row.seconds for row in each.rows)), training.groups[0])
        like = [each for each in training.groups if each.is_protocol == group.is_protocol and each is not group]
        rows = [*group.rows, *(row for each in like if group.is_protocol for row in each.rows if row.failure)]
        published = [each for each in training.published if each.high is not None and group.is_protocol]
        shown = sorted(rows, key=lambda row: row.seconds if row.seconds is not None else float("inf"))[:MAX_BARS]
        if not any(row.seconds for row in shown) or len(shown) + len(published) < 2:
            continue  # nothing to compare
        yield _training(training, shown, len(rows), published, names, palette)


def _training(
    training: views.Training,
    shown: Sequence[TrainingRow],
    of: int,
    published: Sequence[Any],
    names: dict[str, str],
    palette: Palette,
) -> Plot:
    per = "seconds an epoch" if shown[0].metric == "seconds per epoch" else "seconds"
    parts = (len(shown), len(published)) if published else (len(shown),)
    figure, axes = _canvas(0.95 + 0.27 * sum(parts) + 0.35 * (len(parts) - 1), len(parts), parts, sharex=True)
    labels = [_words(names[row.machine] + (f", {row.device}" if row.device else ""), 46) for row in shown]
    ends: list[float] = []
    for place, row in enumerate(shown):
        if row.seconds is None:
            _beside(axes[0], 0, place, "✕ failed", color=FAILED, fontsize=8.5, fontweight="bold")
            continue
        axes[0].barh(place, row.seconds, height=0.62, color=MEASURED)
        first = row.first_epoch if row.metric == "seconds per epoch" else None
        if first is not None:
            axes[0].plot(first, place, marker="|", markersize=9, color=palette.ink)
        ends.append(max(row.seconds, first or 0.0))
        _beside(axes[0], ends[-1], place, text.seconds(row.seconds))
    _bars(axes[0], labels)
    title = f"{_words(training.title, 60)}: measured, {_work(shown[0].work)}"
    if of > len(shown):
        title += f"; the fastest {len(shown)} of {of}"
    if published:
        for place, each in enumerate(published):
            axes[1].barh(
                place, each.high, height=0.62, facecolor="none", edgecolor=PUBLISHED, hatch="////", linewidth=0.8
            )
            ends.append(each.high)
            _beside(axes[1], each.high, place, _words(views.published_figure(each)), style="italic")
        _bars(axes[1], [_words(each.machine, 46) for each in published])
        axes[1].set_title("published by others", style="italic", color=palette.muted)
        axes[0].set_title("measured", color=palette.muted)
    axes[-1].set_xlabel(f"{per}; stroke: the first" if shown[0].metric == "seconds per epoch" else per)
    axes[0].set_xlim(0, 1.25 * max(ends))
    figures = "; ".join(
        f"{label}: {'failed' if row.seconds is None else text.seconds(row.seconds)}"
        for label, row in zip(labels, shown, strict=True)
    )
    return Plot(
        f"training-{_file_name(training.name)}", f"training-{training.name}", title, f"{title}. {figures}.", figure
    )


def _beside(axes: Axes, value: float, place: int, words: str, **look: Any) -> None:
    """Write words a little right of the end of a bar."""
    axes.annotate(
        words, (value, place), xytext=(4, 0), textcoords="offset points", va="center", **{"fontsize": 8.5, **look}
    )


def _bars(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)


def _work(work: str) -> str:
    return work if work.startswith(PROTOCOL) else f"not the protocol ({_words(work, 60)})"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)[:60]


def _curves(report: Report, names: dict[str, str], palette: Palette) -> Iterator[Plot]:
    runs: list[ClassifierRun] = [run for run in report.classifiers if len(run.iterations) > 1]
    for number, run in enumerate(runs[:MAX_PLOTS_PER_KIND], start=1):
        figure, (axes,) = _canvas(2.5)
        lines: tuple[tuple[str, Callable[[Any], float | None]], ...] = (
            ("training", lambda row: row.training_accuracy),
            ("validation", lambda row: row.validation_accuracy),
        )
        for index, (label, figure_of) in enumerate(lines):
            points = [(row.iteration, value * 100) for row in run.iterations if (value := figure_of(row)) is not None]
            if points:
                axes.plot(
                    [x for x, _ in points],
                    [y for _, y in points],
                    color=_SERIES[index],
                    linestyle=_DASHES[index],
                    marker=_MARKS[index],
                    markersize=3.5,
                    linewidth=1.6,
                    label=label,
                )
        axes.axhline(run.test_accuracy * 100, color=palette.ink, linewidth=1, linestyle=":", label="test, at the end")
        axes.set_xlabel("iteration of the solver")
        axes.set_ylabel("accuracy, %")
        _from_zero(axes, top=100)
        _legend(axes)
        title = f"The solver's iterations: {_words(run.data, 40)}, {names[run.machine]}"
        last = run.iterations[-1]
        yield Plot(
            f"createml-{number}",
            f"createml-{run.record}",
            title,
            f"{title}. After {last.iteration} iterations {text.percent(last.training_accuracy)} of the training and "
            f"{text.percent(last.validation_accuracy)} of the validation pictures are right; "
            f"{text.percent(run.test_accuracy)} of the test pictures.",
            figure,
        )


def _legend(axes: Axes) -> None:
    """Put the legend above the axes, where it hides nothing."""
    _, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels), default=0)
    columns = 4 if sum(len(each) + 8 for each in labels) < 80 else max(1, min(4, 72 // (longest + 6)))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=2.6)


def _from_zero(axes: Axes, *, right: float | None = None, top: float | None = None) -> None:
    """Start both axes at zero, so that lengths compare; a little room stays above the data."""
    axes.grid(axis="y")
    axes.set_xlim(0, right if right is not None else axes.get_xlim()[1])
    axes.set_ylim(0, top if top is not None else axes.get_ylim()[1] * 1.15)
