"""Sampling of images at given or computed points: resample, affine and crop_resize.

If ONNX's GridSample computes what Core ML's documentation says, it is used. Other forms use Gather: an image is a table
with a row for each pixel, and a point is interpolated between four rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, Var, dims


@dataclass(frozen=True)
class Table:
    """The pixels of images, a row each: image by image, line by line.

    ``rows`` is the tensor (pixels, channels), ``first`` the row of the image's first pixel, in a shape that
    broadcasts over the points, or ``None`` if it is always 0; ``width`` is the int64 number of pixels in a line,
    ``bottom`` and ``right`` are the float indices of the last line and column.
    """

    rows: str
    first: str | None
    width: str
    bottom: str
    right: str


def _size(graph: Graph, var: Var, axis: int) -> str:
    """Return the size of a dimension as an int64 scalar."""
    size = dims(var)[axis]
    if size is not None:
        return graph.constant(size, np.int64)
    shape = graph.node("Shape", [graph.tensor(var)])
    return graph.node("Gather", [shape, graph.constant(axis, np.int64)], axis=0)


def _last(graph: Graph, var: Var, axis: int) -> str:
    """Return the index of the last element along a dimension, as a float scalar."""
    less = graph.node("Sub", [_size(graph, var, axis), graph.constant(1, np.int64)])
    return graph.cast(less, np.float32)


def _table(graph: Graph, x: Var, images: str | None) -> Table:
    """Return the pixels of ``x``, (batch, channels, height, width); ``images`` is the vector of image indices.

    Without it all images are sampled at the same points, and a row has the channels of all images.
    """
    perm, axis = ([2, 3, 0, 1], 2) if images is None else ([0, 2, 3, 1], 3)
    rows = graph.node("Flatten", [graph.node("Transpose", [graph.tensor(x)], perm=perm)], axis=axis)
    width = _size(graph, x, 3)
    first = None
    if images is not None:
        pixels = graph.node("Mul", [_size(graph, x, 2), width])
        first = graph.node("Unsqueeze", [graph.node("Mul", [images, pixels]), graph.ints([1, 2])])
    return Table(rows, first, width, _last(graph, x, 2), _last(graph, x, 3))


def _inside(graph: Graph, points: str, last: str) -> str:
    """Return where points lie between the first and the last pixel, both included."""
    below = graph.node("GreaterOrEqual", [points, graph.constant(0, np.float32)])
    return graph.node("And", [below, graph.node("LessOrEqual", [points, last])])


def _place(graph: Graph, points: str, last: str) -> str:
    """Return integral points as int64 indices, clipped to the image."""
    whole = graph.cast(points, np.int64)
    return graph.node("Clip", [whole, graph.constant(0, np.int64), graph.cast(last, np.int64)])


def _pixels(graph: Graph, table: Table, y: str, x: str, padding: str | None) -> str:
    """Return the rows of integral points, and the value ``padding`` for points outside of the image."""
    line = graph.node("Mul", [_place(graph, y, table.bottom), table.width])
    place = graph.node("Add", [line, _place(graph, x, table.right)])
    if table.first is not None:
        place = graph.node("Add", [table.first, place])
    pixels = graph.node("Gather", [table.rows, place], axis=0)
    if padding is None:
        return pixels
    inside = graph.node("And", [_inside(graph, y, table.bottom), _inside(graph, x, table.right)])
    return graph.node("Where", [_behind(graph, inside), pixels, padding])


def _behind(graph: Graph, name: str) -> str:
    return graph.node("Unsqueeze", [name, graph.ints([-1])])


def _neighbours(graph: Graph, points: str) -> list[tuple[str, str]]:
    """Return the integral points before and after each point, each with its weight."""
    one = graph.constant(1, np.float32)
    low = graph.node("Floor", [points])
    part = graph.node("Sub", [points, low])
    return [(low, graph.node("Sub", [one, part])), (graph.node("Add", [low, one]), part)]


def _read(graph: Graph, table: Table, y: str, x: str, *, nearest: bool = False, padding: str | None = None) -> str:
    """Return the image at the points, channels last, and ``padding`` for pixels outside of it.

    Without ``padding`` all points must be inside.
    """
    if nearest:
        return _pixels(graph, table, graph.node("Round", [y]), graph.node("Round", [x]), padding)
    shares = []
    for line, above in _neighbours(graph, y):
        for column, before in _neighbours(graph, x):
            weight = _behind(graph, graph.node("Mul", [above, before]))
            shares.append(graph.node("Mul", [_pixels(graph, table, line, column, padding), weight]))
    return graph.node("Sum", shares)


# --- resample, affine -------------------------------------------------------------------------------------------


def _position(graph: Graph, op: Operation, axis: int) -> str:
    """Return the coordinates along ``axis`` of the image in pixels, of which the first is 0."""
    column = graph.constant(3 - axis, np.int64)  # x comes first
    given = graph.cast(graph.node("Gather", [graph.tensor(op.coordinates), column], axis=3), np.float32)
    mode = op.coordinates_mode.val
    if mode == "unnormalized":
        return given
    half = graph.constant(0.5, np.float32)
    if mode == "normalized_minus_one_to_one":
        given = graph.node("Mul", [graph.node("Add", [given, graph.constant(1, np.float32)]), half])
    elif mode != "normalized_zero_to_one":
        raise UnsupportedProgramError(f"The coordinates mode '{mode}' is not one that Core ML documents.")
    if op.align_corners.val:
        return graph.node("Mul", [given, _last(graph, op.x, axis)])
    size = graph.cast(_size(graph, op.x, axis), np.float32)
    return graph.node("Sub", [graph.node("Mul", [given, size]), half])


def _folded(graph: Graph, points: str, period: str) -> str:
    """Return points reflected at 0 and at half of the period, repeatedly if necessary."""
    past = graph.node("Mod", [graph.node("Abs", [points]), period], fmod=1)
    return graph.node("Min", [past, graph.node("Sub", [period, past])])


def _brought_inside(graph: Graph, op: Operation, points: str, last: str) -> str:
    """Return the points inside of the image that have the value of the padding at ``points``.

    With a constant padding, points are clipped to one pixel outside of the image, which keeps the indices small.
    """
    mode = op.padding_mode.val
    zero, half, one, two = (graph.constant(value, np.float32) for value in (0, 0.5, 1, 2))
    if mode == "constant":
        return graph.node("Clip", [points, graph.constant(-1, np.float32), graph.node("Add", [last, one])])
    if mode == "reflection":
        # An image of one pixel would have a period of 0, by which Mod cannot divide.
        period = graph.node("Max", [graph.node("Mul", [last, two]), one])
        points = _folded(graph, points, period)
    elif mode == "symmetric":
        period = graph.node("Mul", [graph.node("Add", [last, one]), two])
        points = graph.node("Sub", [_folded(graph, graph.node("Add", [points, half]), period), half])
    elif mode != "border":
        raise UnsupportedProgramError(f"The padding mode '{mode}' is not one that Core ML documents.")
    return graph.node("Clip", [points, zero, last])


def _is_grid_sample(op: Operation) -> bool:
    """Return whether ONNX's GridSample computes this resample.

    Its reflection differs: it rounds to the nearest pixel before the reflection and Core ML after it, it cannot reflect
    at the centre of a single pixel, and far outside of the image it fails.
    """
    if op.sampling_mode.val != "bilinear" or op.coordinates_mode.val != "normalized_minus_one_to_one":
        return False
    return op.padding_mode.val == "border" or (op.padding_mode.val == "constant" and float(op.padding_value.val) == 0)


def resample(graph: Graph, op: Operation) -> str:
    """Return every image of ``x`` at its own points, interpolated or the nearest pixel."""
    mode = op.sampling_mode.val
    if mode not in {"bilinear", "nearest"}:
        raise UnsupportedProgramError(f"The sampling mode '{mode}' of a resample is not one that Core ML documents.")
    if _is_grid_sample(op):
        points = graph.cast(graph.tensor(op.coordinates), np.float32)
        return _grid_sample(graph, op, points, "border" if op.padding_mode.val == "border" else "zeros")
    batch = graph.node("Range", [graph.constant(0, np.int64), _size(graph, op.x, 0), graph.constant(1, np.int64)])
    table = _table(graph, op.x, batch)
    y = _brought_inside(graph, op, _position(graph, op, 2), table.bottom)
    x = _brought_inside(graph, op, _position(graph, op, 3), table.right)
    padding = graph.like(op.x, op.padding_value.val) if op.padding_mode.val == "constant" else None
    sampled = _read(graph, table, y, x, nearest=mode == "nearest", padding=padding)
    return graph.node("Transpose", [sampled], perm=[0, 3, 1, 2])


def _grid_sample(graph: Graph, op: Operation, points: str, padding: str) -> str:
    """Return the images at normalised points.

    Beyond 3 on either side all is padding, so points are clipped to 4: ONNX Runtime's interpolation fails for points so
    large that float32 cannot tell pixels apart.
    """
    near = graph.node("Clip", [points, graph.constant(-4, np.float32), graph.constant(4, np.float32)])
    return graph.node(
        "GridSample",
        [graph.tensor(op.x), near],
        mode="linear",
        padding_mode=padding,
        align_corners=int(op.align_corners.val),
    )


def affine(graph: Graph, op: Operation) -> str:
    """Return every image of ``x`` at the points to which its matrix, or the one for all, moves those of the output.

    coremltools accepts only linear interpolation and padding with zeros.
    """
    if not op.align_corners.val:
        raise UnsupportedProgramError(
            f"The affine that makes '{op.outputs[0].name}' does not align the corners, which Core ML does not support."
        )
    height, width = int(op.output_height.val), int(op.output_width.val)
    x, y = np.meshgrid(_evenly(width), _evenly(height))
    targets = graph.constant(np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3), np.float32)
    matrix = graph.node("Reshape", [graph.tensor(op.transform_matrix), graph.ints([-1, 2, 3])])
    points = graph.node("MatMul", [targets, graph.node("Transpose", [matrix], perm=[0, 2, 1])])
    points = graph.node("Reshape", [points, graph.ints([-1, height, width, 2])])
    batch = graph.node("Shape", [graph.tensor(op.x)], start=0, end=1)
    every = graph.node("Concat", [batch, graph.ints([1, 1, 1])], axis=0)
    return _grid_sample(graph, op, graph.node("Expand", [points, every]), "zeros")


def _evenly(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return ``count`` evenly spaced numbers from -1 to 1, or 0 for a count of 1."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)


# --- crop_resize ------------------------------------------------------------------------------------------------


def _ends(graph: Graph, op: Operation, boxes: str, axis: int) -> tuple[str, str]:
    """Return where every box begins and ends along ``axis`` of the image, in pixels: two columns (boxes, 1)."""
    mode = op.box_coordinate_mode.val
    place = int((axis == 3) == mode.endswith("HEIGHT_FIRST"))
    first, second = (graph.node("Gather", [boxes, graph.ints([place + step])], axis=1) for step in (0, 2))
    if mode.startswith("CENTER_SIZE"):
        half = graph.node("Mul", [second, graph.constant(0.5, np.float32)])
        first, second = graph.node("Sub", [first, half]), graph.node("Add", [first, half])
    scale = graph.constant(float(op.spatial_scale.val), np.float32)
    if op.normalized_coordinates.val:
        scale = graph.node("Mul", [scale, _last(graph, op.x, axis)])
    return graph.node("Mul", [first, scale]), graph.node("Mul", [second, scale])


def _spread(graph: Graph, mode: str, start: str, end: str, count: int) -> str:
    """Return ``count`` points (boxes, count) between the beginning and the end of every box.

    The formulas are those of coremltools' documentation of ``resize_bilinear``, a box being the image. The
    points are weighted means of both ends, so that the last one is exactly the end and not in the padding.
    """
    steps = np.arange(count, dtype=np.float64)
    if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
        part = steps / (count - 1) if count > 1 else np.full(1, 0.5 if mode == "ALIGN_CORNERS" else 0.0)
        before = graph.node("Mul", [start, graph.constant(1 - part, np.float32)])
        return graph.node("Add", [before, graph.node("Mul", [end, graph.constant(part, np.float32)])])
    extent, one = graph.node("Sub", [end, start]), graph.constant(1, np.float32)
    if mode in {"DEFAULT", "UNALIGN_CORNERS"}:
        whole, part = graph.node("Add", [extent, one]), (steps if mode == "DEFAULT" else steps + 0.5) / count
    else:
        whole, part = graph.node("Max", [extent, one]), (steps + 0.5) / count
    moved = graph.node("Add", [start, graph.node("Mul", [whole, graph.constant(part, np.float32)])])
    if mode == "UNALIGN_CORNERS":
        moved = graph.node("Sub", [moved, graph.constant(0.5, np.float32)])
    return graph.node("Min", [end, graph.node("Max", [start, moved])])


def _boxes(graph: Graph, op: Operation) -> tuple[str, str | None]:
    """Return the boxes as a float matrix (boxes, 4), and the image of each unless every image has all of them."""
    if hasattr(op, "boxes"):
        return graph.cast(graph.tensor(op.boxes), np.float32), graph.cast(graph.tensor(op.box_indices), np.int64)
    boxes = graph.node("Flatten", [graph.tensor(op.roi)], axis=1)
    if dims(op.roi)[2] == 4:
        return boxes, None
    parts = graph.node_with_outputs("Split", [boxes, graph.ints([1, 4])], 2, axis=1)
    return parts[1], graph.cast(graph.node("Squeeze", [parts[0], graph.ints([1])]), np.int64)


def crop_resize(graph: Graph, op: Operation) -> str:
    """Return the boxes of ``x``, each resized to one size; a point outside of the image has the value ``pad_value``.

    Since iOS 17 a box is cut from one image, (boxes, channels, height, width). Before, there is a dimension behind
    the boxes: the images, if the boxes do not name one, else 1.
    """
    mode = op.sampling_mode.val
    boxes, images = _boxes(graph, op)
    table = _table(graph, op.x, images)
    size = int(op.target_height.val), int(op.target_width.val)
    y = graph.node("Unsqueeze", [_spread(graph, mode, *_ends(graph, op, boxes, 2), size[0]), graph.ints([2])])
    x = graph.node("Unsqueeze", [_spread(graph, mode, *_ends(graph, op, boxes, 3), size[1]), graph.ints([1])])
    inside = graph.node("And", [_inside(graph, y, table.bottom), _inside(graph, x, table.right)])
    value = getattr(op, "pad_value", None)
    padding = graph.like(op.x, 0 if value is None else value.val)
    sampled = graph.node("Where", [_behind(graph, inside), _read(graph, table, y, x), padding])
    sampled = graph.node("Transpose", [sampled], perm=[0, 3, 1, 2])
    if hasattr(op, "boxes"):
        return sampled
    if images is not None:
        return graph.node("Unsqueeze", [sampled, graph.ints([1])])
    leading = graph.node("Shape", [graph.tensor(op.x)], start=0, end=2)
    return graph.node("Reshape", [sampled, graph.node("Concat", [graph.ints([0]), leading, graph.ints(size)], axis=0)])


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "affine": affine,
    "crop_resize": crop_resize,
    "resample": resample,
}
