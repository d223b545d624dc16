"""Resizing and sampling.

Linear resizing of known sizes is two products with matrices of interpolation weights, nearest-neighbour resizing is
two gathers: so every ``sampling_mode`` of Core ML is exactly the grid of points that its documentation gives, and
none has to be rebuilt from ONNX's own coordinate modes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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


def _spatial(op: Operation) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the sizes of the last two dimensions of the input and of the output."""
    sizes, targets = dims(op.x)[-2:], dims(op.outputs[0])[-2:]
    known = [size for size in (*sizes, *targets) if size is not None]
    if len(known) < 4:
        raise UnsupportedProgram(f"The {op.op_type} that makes '{op.outputs[0].name}' has an input of open size.")
    return (known[0], known[1]), (known[2], known[3])


def _linear(graph: Graph, op: Operation, mode: str) -> str:
    (height, width), (high, wide) = _spatial(op)
    name = graph.tensor(op.x)
    if high != height:
        rows = linear_weights(grid(height, high, mode), height)
        name = graph.node("MatMul", [graph.constant(rows, np.float32), name])
    if wide != width:
        columns = linear_weights(grid(width, wide, mode), width)
        name = graph.node("MatMul", [name, graph.constant(columns.T, np.float32)])
    return name


def _nearest(graph: Graph, op: Operation, places: Callable[[int, int], Array]) -> str:
    (height, width), (high, wide) = _spatial(op)
    name = graph.tensor(op.x)
    if high != height:
        name = graph.node("Gather", [name, graph.ints(places(height, high))], axis=op.x.rank - 2)
    if wide != width:
        name = graph.node("Gather", [name, graph.ints(places(width, wide))], axis=op.x.rank - 1)
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
    if int(op.resized_dims.val) > 2 or op.x.rank < 2:
        raise UnsupportedProgram(f"The resize that makes '{op.outputs[0].name}' resizes more than two dimensions.")
    mode = op.sampling_mode.val
    if op.interpolation_mode.val == "LINEAR":
        return _linear(graph, op, mode)
    if mode in {"DEFAULT", "UNALIGN_CORNERS"}:
        return _nearest(graph, op, _centre)
    return _nearest(graph, op, lambda size, target: np.floor(grid(size, target, mode) + 0.5).astype(int))


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "resize": resize,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
