"""Figures of the report's plots: their style, axes and legends, and their conversion to SVG and PNG.

matplotlib draws without a display. SVG files keep text as text.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coremlbench.report.render import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.6
"""Inches of 72 dots: half the width of a page, or that of a phone."""
MAX_PLOTS_PER_KIND = 3


@dataclass(frozen=True)
class Palette:
    """The colours of a plot except those of its data."""

    ink: str
    muted: str
    grid: str
    paper: str


LIGHT = Palette(ink="#1f2328", muted="#5b6168", grid="#dcdcd6", paper="#ffffff")
INLINE = Palette(ink="#010203", muted="#010204", grid="#010205", paper="#010206")
"""Unique colours, which ``inline`` replaces with variables of the page's style sheet."""

# Okabe & Ito's palette, distinguishable with all common colour blindness (jfly.uni-koeln.de/color).
UNIT_COLOURS = {
    "CPU_AND_NE": "#009e73",
    "CPU_AND_GPU": "#0072b2",
    "CPU_ONLY": "#e69f00",
    "ALL": "#cc79a7",
    "host-cpu": "#d55e00",
    "host-gpu": "#56b4e9",
}
MEASURED, PUBLISHED, FAILED = "#0072b2", "#5b6168", "#d55e00"
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))


@dataclass(frozen=True)
class Plot:
    """A markup figure: its file name without suffix, its section of the report, its title, and its alternative text."""

    name: str
    section: str
    title: str
    alternative: str
    figure: Figure
    palette: Palette = LIGHT


def plot_text(value: str, length: int = 40) -> str:
    """Return untrusted text sanitized and truncated."""
    return text.truncate(text.sanitize(value), length)


def svg(plot: Plot) -> bytes:
    """Return a plot as SVG; equal reports give equal bytes."""
    return _save(plot, "svg")


def png(plot: Plot) -> bytes:
    """Return a plot as PNG at 200 dots per inch."""
    return _save(plot, "png")


def inline(plot: Plot) -> str:
    """Return a plot markup with ``INLINE`` as an SVG element with the colours and the font of its page."""
    markup = _save(plot, "svg").decode()
    markup = markup[markup.index("<svg") :]
    markup = re.sub(r"<metadata>.*?</metadata>\s*", "", markup, flags=re.DOTALL)
    for colour, name in (
        (INLINE.ink, "--ink"),
        (INLINE.muted, "--muted"),
        (INLINE.grid, "--line"),
        (INLINE.paper, "--paper"),
    ):
        markup = markup.replace(colour, f"var({name})")
    markup = re.sub(r"font: (\d*\.?\d+px) [^;\"]*", r"font-size: \1; font-family: inherit", markup)
    markup = re.sub(r"font-family: '[^;\"]*", "font-family: inherit", markup)
    used = set(re.findall(r"(?:xlink:href=\"#|url\(#)([^\")]+)", markup))
    markup = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", markup)
    for identity in sorted(used):  # ids must be unique in a page with several plots
        unique = f"{plot.name}-{identity}"
        markup = markup.replace(f'"{identity}"', f'"{unique}"').replace(f"#{identity}", f"#{unique}")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', markup)
    assert size is not None
    _, _, body = markup.partition(">")
    return (
        f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{_escape_attribute(plot.alternative)}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" width="{size[1]}" height="{size[2]}">{body.strip()}'
    )


def _escape_attribute(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _save(plot: Plot, form: str) -> bytes:
    import matplotlib as mpl

    buffer = io.BytesIO()
    if plot.palette is not INLINE:  # the page has the title in a caption
        plot.figure.suptitle(textwrap.fill(plot.title, 78), x=0.01, ha="left", fontsize=9)
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": plot.name}), warnings.catch_warnings():
        # Names can have letters that matplotlib's font lacks: SVG keeps them as text, PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        plot.figure.savefig(buffer, format=form, dpi=200 if form == "png" else 72, metadata=metadata)
    return buffer.getvalue()


def rc_style(palette: Palette) -> Any:  # matplotlib's type has a literal for each setting
    """Return matplotlib's settings for the plots."""
    return {
        "font.family": "sans-serif",
        "font.size": 8.5,
        "text.parse_math": False,  # a dollar sign in a name is no formula
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


def new_canvas(height: float, rows: int = 1, ratios: Sequence[float] | None = None, **share: Any) -> tuple[Figure, Any]:
    """Return a figure of this height in inches, and its axes, one below the other.

    ``ratios`` are their relative heights, ``share`` goes to ``Figure.subplots``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, height_ratios=ratios, **share)
    return figure, [row[0] for row in axes]


def place_legend(axes: Axes) -> None:
    """Place the legend above the axes, in as many columns as fit."""
    _, labels = axes.get_legend_handles_labels()
    columns = legend_columns(labels)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=2.6)


def legend_columns(labels: Sequence[str]) -> int:
    """Return in how many columns a legend with these labels fits above the axes."""
    longest = max(map(len, labels), default=0)
    return 4 if sum(len(label) + 8 for label in labels) < 80 else max(1, min(4, 80 // (longest + 8)))


def start_at_zero(axes: Axes, *, right: float | None = None, top: float | None = None) -> None:
    """Set both axes to start at zero, up to ``right`` and ``top`` or with some space above the data."""
    axes.grid(axis="y")
    axes.set_xlim(0, right if right is not None else axes.get_xlim()[1])
    axes.set_ylim(0, top if top is not None else axes.get_ylim()[1] * 1.15)
