"""Labels of points in a plot, placed where they cover neither each other nor, if it can be, the lines of the plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

NEAREST, STEP, STEPS = 9.0, 10.5, 8
"""Points (1/72 inch) from a mark to the middle of its nearest label, and to the next; number of places on each side."""
FONT_SIZE = 7.5
SPACING = 3.0
"""Pixels from one sample of a line to the next."""
MARGIN = 5.0
"""Pixels left free on both sides of a label: the fonts of pages differ in width."""

RELATIVE_ENDS = {"center": (0.5, 0.5), "left": (0.0, 0.5), "right": (1.0, 0.5)}
"""Where in a label the line to its mark begins, as shares of its width and height, by alignment."""


@dataclass(frozen=True)
class PointLabel:
    """The text beside the mark at (x, y), in the units of the data."""

    text: str
    x: float
    y: float
    colour: str


@dataclass(frozen=True)
class _Place:
    """A place of a label relative to its mark: the offset of its middle in points, and its alignment."""

    offset: float
    alignment: Literal["center", "left", "right"]


def place_labels(axes: Axes, labels: Sequence[PointLabel]) -> None:
    """Write the labels above or below their marks, where they cover no other label and little of the lines.

    A label that is not next to its mark is joined to it by a line. The axes must have their final limits, and all else
    that takes room in the figure must be drawn.
    """
    from matplotlib.figure import Figure

    figure = axes.get_figure()
    if not labels:
        return
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # lays the axes out
    frame, lines = axes.get_window_extent(), _line_samples(axes)
    taken: list[Bbox] = []
    for label in sorted(labels, key=lambda label: (label.x, label.y)):
        places = [(place, _box(axes, label, place)) for place in _places()]
        place, box = min(places, key=lambda row: _cost(row[0], row[1], taken, frame, lines))
        taken.append(box)
        _annotate(axes, label, place, joined=abs(place.offset) > NEAREST)


def _places() -> list[_Place]:
    """Return the places of a label in the order of preference, near ones first."""
    offsets = [sign * (NEAREST + STEP * step) for step in range(STEPS) for sign in (1, -1)]
    return [_Place(offset, alignment) for offset in offsets for alignment in ("center", "left", "right")]


def _annotate(axes: Axes, label: PointLabel, place: _Place, *, joined: bool = False) -> Any:
    """Write a label at a place and return matplotlib's annotation."""
    annotation = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(0, place.offset),
        textcoords="offset points",
        horizontalalignment=place.alignment,
        verticalalignment="center",
        fontsize=FONT_SIZE,
        color=label.colour,
        arrowprops={
            "arrowstyle": "-",
            "color": label.colour,
            "linewidth": 0.5,
            "shrinkA": 0,
            "shrinkB": 3,
            "relpos": RELATIVE_ENDS[place.alignment],
        }
        if joined
        else None,
    )
    annotation.set_in_layout(False)  # the axes have their size: it must not change again
    return annotation


def _box(axes: Axes, label: PointLabel, place: _Place) -> Bbox:
    """Return the rectangle that a label covers at a place, in pixels."""
    annotation = _annotate(axes, label, place)
    box: Bbox = annotation.get_window_extent()
    annotation.remove()
    return box.padded(MARGIN, 0)


def _cost(place: _Place, box: Bbox, taken: Sequence[Bbox], frame: Bbox, lines: NDArray[np.float64]) -> float:
    """Return how bad a place is: by other labels and by what is outside of the frame, then by lines and distance."""
    ends = (frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
    outside = sum(max(0.0, float(end)) for end in ends)
    overlaps = sum(box.overlaps(other) for other in taken)
    low, high = box.min, box.max
    covered = int(((lines >= low) & (lines <= high)).all(axis=1).sum())
    return 1e4 * (overlaps + outside) + 2 * covered + abs(place.offset)


def _line_samples(axes: Axes) -> NDArray[np.float64]:
    """Return positions along the lines of the axes in pixels, (n, 2)."""
    import numpy as np

    samples = [np.empty((0, 2))]
    for line in axes.get_lines():
        corners = line.get_transform().transform(line.get_xydata())
        for start, end in pairwise(corners):
            count = int(np.hypot(*(end - start)) / SPACING) + 2
            samples.append(np.linspace(start, end, count))
    return np.concatenate(samples)
