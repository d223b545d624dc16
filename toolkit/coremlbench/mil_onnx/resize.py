"""Resizing and sampling.

Linear resizing of known sizes is two products with matrices of interpolation weights, nearest-neighbour resizing is
two gathers: so every ``sampling_mode`` of Core ML is exactly the grid of points that its documentation gives, and
none has to be rebuilt from ONNX's own coordinate modes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.elementwise import is_integer
from coremlbench.mil_onnx.graph import Array, Graph, Operation, UnsupportedProgram, dims


def grid(size: int, target: int, mode: str) -> Array:
    """Return the points of the input, as float indices, at which ``target`` outputs are sampled.

    The formulas are those of coremltools' documentation of ``resize_bilinear``.
    """
    steps = np.arange(target, dtype=np.float64)
    if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
        if target == 1:
            points = np.full(1, (size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0)
        else:
            points = steps * (size - 1) / (target - 1)
    elif mode == "DEFAULT":
        points = steps * size / target
    elif mode == "OFFSET_CORNERS":
        points = (steps + 0.5) * max(1, size - 1) / target
    elif mode == "UNALIGN_CORNERS":
        points = (steps + 0.5) * size / target - 0.5
    else:
        raise UnsupportedProgram(f"The sampling mode '{mode}' is not one that Core ML documents.")
    return np.asarray(np.clip(points, 0, size - 1))


def linear_weights(points: Array, size: int) -> Array:
    """Return the matrix (points, size) that interpolates between neighbours at each point."""
    low = np.floor(points).astype(int)
    high = np.minimum(low + 1, size - 1)
    weights = np.zeros((len(points), size))
    rows = np.arange(len(points))
    np.add.at(weights, (rows, low), 1 - (points - low))
    np.add.at(weights, (rows, high), points - low)
    return weights


def _resized(op: Operation, count: int = 2) -> list[tuple[int, int, int]]:
    """Return the last ``count`` dimensions: for each its place from the end, its size and the size wanted."""
    sizes, targets = dims(op.x), dims(op.outputs[0])
    found = []
    for place in range(-count, 0):
        size, target = sizes[place], targets[place]
        if size is None or target is None:
            raise UnsupportedProgram(f"The {op.op_type} that makes '{op.outputs[0].name}' has an input of open size.")
        found.append((place, size, target))
    return found


def _linear(graph: Graph, op: Operation, mode: str, count: int = 2) -> str:
    """Return ``x`` interpolated between neighbours; not every grid reads the same size as it is."""
    if is_integer(op.x):
        raise UnsupportedProgram(
            f"The {op.op_type} that makes '{op.outputs[0].name}' interpolates between integers, and how Core ML "
            "rounds them no source tells."
        )
    name = graph.tensor(op.x)
    for place, size, target in _resized(op, count):
        weights = linear_weights(grid(size, target, mode), size)
        if np.array_equal(weights, np.eye(size)):
            continue
        if place == -1:
            name = graph.node("MatMul", [name, graph.constant(weights.T, np.float32)])
        else:
            name = graph.node("MatMul", [graph.constant(weights, np.float32), name])
    return name


def _nearest(graph: Graph, op: Operation, places: Callable[[int, int], Array], count: int = 2) -> str:
    name = graph.tensor(op.x)
    for place, size, target in _resized(op, count):
        chosen = places(size, target)
        if not np.array_equal(chosen, np.arange(size)):
            name = graph.node("Gather", [name, graph.ints(chosen)], axis=op.x.rank + place)
    return name


def _centre(size: int, target: int) -> Array:
    """Return the nearest input of each output's centre, as TensorFlow's half-pixel centres, which map to this."""
    return np.floor((np.arange(target) + 0.5) * size / target).astype(int)


def resize_bilinear(graph: Graph, op: Operation) -> str:
    """Return ``x`` resized to a size by linear interpolation."""
    return _linear(graph, op, op.sampling_mode.val)


def upsample_bilinear(graph: Graph, op: Operation) -> str:
    """Return ``x`` enlarged by factors by linear interpolation; the factors are those of the sizes."""
    half = getattr(op, "half_pixel_centers", None)
    if op.align_corners.val:
        return _linear(graph, op, "STRICT_ALIGN_CORNERS")
    return _linear(graph, op, "DEFAULT" if half is not None and not half.val else "UNALIGN_CORNERS")


def resize_nearest_neighbor(graph: Graph, op: Operation) -> str:
    """Return ``x`` resized to a size, each output the input nearest to its centre."""
    return _nearest(graph, op, _centre)


def upsample_nearest_neighbor(graph: Graph, op: Operation) -> str:
    """Return ``x`` enlarged by factors, each output the input at or before its corner."""
    return _nearest(graph, op, lambda size, target: np.arange(target) * size // target)


def resize(graph: Graph, op: Operation) -> str:
    """Return ``x`` with its last one or two dimensions resized."""
    mode, count = op.sampling_mode.val, int(op.resized_dims.val)
    if count > 2:
        raise UnsupportedProgram(f"The resize that makes '{op.outputs[0].name}' resizes more than two dimensions.")
    if op.interpolation_mode.val == "LINEAR":
        return _linear(graph, op, mode, count)
    if mode in {"DEFAULT", "UNALIGN_CORNERS"}:
        return _nearest(graph, op, _centre, count)
    return _nearest(graph, op, lambda size, target: np.floor(grid(size, target, mode) + 0.5).astype(int), count)


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "resize": resize,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
