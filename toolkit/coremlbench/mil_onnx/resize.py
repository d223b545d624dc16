"""Resizing.

Linear resizing of known sizes is two products with matrices of interpolation weights, nearest-neighbour resizing is
two gathers: so every ``sampling_mode`` of Core ML is exactly the grid of points that its documentation gives, and
none has to be rebuilt from ONNX's own coordinate modes. Where a size is known only at run time, the grid is
computed in the graph, by the same formulas and in float64 too, and linear resizing gathers both neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.elementwise import is_integer
from coremlbench.mil_onnx.graph import Array, Graph, Operation, UnsupportedProgramError, dims
from coremlbench.mil_onnx.tensor import shape_vector


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
        raise UnsupportedProgramError(f"The sampling mode '{mode}' is not one that Core ML documents.")
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


class Open:
    """One dimension that is resized and whose size, before or after, is open: float64 scalars of the graph."""

    def __init__(self, graph: Graph, op: Operation, place: int) -> None:
        self.graph = graph
        shape = graph.node("Shape", [graph.tensor(op.x)])
        self.size = self._wide(graph.node("Gather", [shape, graph.constant(place, np.int64)], axis=0))
        self.last = self._node("Sub", self.size, 1)
        self.target = self._target(op, place)
        whole = graph.cast(self.target, np.int64)
        every = graph.node("Range", [graph.constant(0, np.int64), whole, graph.constant(1, np.int64)])
        self.steps = self._wide(every)

    def _wide(self, name: str) -> str:
        return self.graph.cast(name, np.float64)

    def _node(self, kind: str, *values: str | float) -> str:
        """Add a node of float64 values and return the name of its output."""
        names = [value if isinstance(value, str) else self.graph.constant(value, np.float64) for value in values]
        return self.graph.node(kind, names)

    def _target(self, op: Operation, place: int) -> str:
        """Return the output size: a constant, a computed one (0 means the input's), or a multiple of the input's."""
        known = dims(op.outputs[0])[place]
        if known is not None:
            return self.graph.constant(known, np.float64)
        if op.op_type == "resize":
            sizes, index = shape_vector(self.graph, op.shape), self.graph.constant(place, np.int64)
            requested = self._wide(self.graph.node("Gather", [sizes, index], axis=0))
            return self.graph.node("Where", [self._node("Equal", requested, 0), self.size, requested])
        factor = (op.scale_factor_height if place == -2 else op.scale_factor_width).val
        product = self.graph.node(
            "Mul", [self.graph.cast(self.size, np.float32), self.graph.constant(factor, np.float32)]
        )
        return self._wide(self.graph.node("Floor", [product]))

    def spaced(self, start: float, factor: str, divisor: str) -> str:
        """Return ``(step + start) * factor / divisor`` for every output."""
        return self._node("Div", self._node("Mul", self._node("Add", self.steps, start), factor), divisor)

    def grid(self, mode: str) -> str:
        """Return the points of the input at which the outputs are sampled, as ``grid`` does."""
        if mode in {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"}:
            points = self.spaced(0, self.last, self._node("Max", self._node("Sub", self.target, 1), 1))
            if mode == "ALIGN_CORNERS":
                middle = self._node("Mul", self.last, 0.5)
                points = self.graph.node("Where", [self._node("Equal", self.target, 1), middle, points])
        elif mode == "DEFAULT":
            points = self.spaced(0, self.size, self.target)
        elif mode == "OFFSET_CORNERS":
            points = self.spaced(0.5, self._node("Max", self.last, 1), self.target)
        else:
            points = self._node("Sub", self.spaced(0.5, self.size, self.target), 0.5)
        return self._node("Max", self._node("Min", points, self.last), 0)

    def floor(self, points: str, add: float = 0) -> str:
        """Return the int64 indices of the inputs at or before the points, moved by ``add`` first."""
        whole = self.graph.node("Floor", [self._node("Add", points, add)])
        return self.graph.cast(self._node("Min", whole, self.last), np.int64)


def _sizes(op: Operation, count: int) -> list[tuple[int, int | None, int | None]]:
    """Return the last ``count`` dimensions: for each its index from the end, its size and its output size."""
    sizes, targets = dims(op.x), dims(op.outputs[0])
    return [(place, sizes[place], targets[place]) for place in range(-count, 0)]


def _linear(graph: Graph, op: Operation, mode: str, count: int = 2) -> str:
    """Return ``x`` interpolated between neighbours; not every grid reads the same size as it is."""
    if is_integer(op.x):
        raise UnsupportedProgramError(
            f"The {op.op_type} that makes '{op.outputs[0].name}' interpolates between integers, and how Core ML "
            "rounds them no source tells."
        )
    name = graph.tensor(op.x)
    for place, size, target in _sizes(op, count):
        if size is None or target is None:
            name = _between(graph, op, name, place, mode)
            continue
        weights = linear_weights(grid(size, target, mode), size)
        if np.array_equal(weights, np.eye(size)):
            continue
        name = _weighted(graph, name, weights, place, op.x.rank)
    return name


def _weighted(graph: Graph, name: str, weights: Array, place: int, rank: int) -> str:
    """Return the product of weights (target, size) with the dimension ``place``, counted from the end."""
    if place == -2:
        return graph.node("MatMul", [graph.constant(weights, np.float32), name])
    if place == -1:
        return graph.node("MatMul", [name, graph.constant(weights.T, np.float32)])
    perm = list(range(rank))
    perm[place], perm[-1] = perm[-1], perm[place]
    product = graph.node("MatMul", [graph.transpose(name, perm), graph.constant(weights.T, np.float32)])
    return graph.transpose(product, perm)


def _between(graph: Graph, op: Operation, name: str, place: int, mode: str) -> str:
    """Return ``name`` resized linearly along one dimension of open size."""
    side = Open(graph, op, place)
    points = side.grid(mode)
    low, high = side.floor(points), side.floor(points, 1)
    part = graph.cast(graph.node("Sub", [points, graph.cast(low, np.float64)]), np.float32)
    if place < -1:
        part = graph.node("Unsqueeze", [part, graph.ints(range(1, -place))])
    before = graph.node("Sub", [graph.constant(1, np.float32), part])
    shares = [
        graph.node("Mul", [graph.node("Gather", [name, index], axis=op.x.rank + place), weight])
        for index, weight in ((low, before), (high, part))
    ]
    return graph.node("Add", shares)


def _nearest(
    graph: Graph,
    op: Operation,
    places: Callable[[int, int], Array],
    computed: Callable[[Open], str],
    count: int = 2,
) -> str:
    """Return ``x`` read at ``places`` of known sizes, and where they are ``computed`` of open ones."""
    name = graph.tensor(op.x)
    for place, size, target in _sizes(op, count):
        if size is None or target is None:
            name = graph.node("Gather", [name, computed(Open(graph, op, place))], axis=op.x.rank + place)
            continue
        chosen = places(size, target)
        if not np.array_equal(chosen, np.arange(size)):
            name = graph.node("Gather", [name, graph.ints(chosen)], axis=op.x.rank + place)
    return name


def _centre(size: int, target: int) -> Array:
    """Return the nearest input of each output's centre, as TensorFlow's half-pixel centres, which map to this."""
    return np.floor((np.arange(target) + 0.5) * size / target).astype(int)


def _open_centre(side: Open) -> str:
    return side.floor(side.spaced(0.5, side.size, side.target))


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
    return _nearest(graph, op, _centre, _open_centre)


def upsample_nearest_neighbor(graph: Graph, op: Operation) -> str:
    """Return ``x`` enlarged by factors, each output the input at or before its corner."""
    return _nearest(
        graph,
        op,
        lambda size, target: np.arange(target) * size // target,
        lambda side: side.floor(side.spaced(0, side.size, side.target)),
    )


def resize(graph: Graph, op: Operation) -> str:
    """Return ``x`` with its last ``resized_dims`` dimensions resized."""
    mode, count = op.sampling_mode.val, int(op.resized_dims.val)
    if op.interpolation_mode.val == "LINEAR":
        return _linear(graph, op, mode, count)
    if mode in {"DEFAULT", "UNALIGN_CORNERS"}:
        return _nearest(graph, op, _centre, _open_centre, count)
    return _nearest(
        graph,
        op,
        lambda size, target: np.floor(grid(size, target, mode) + 0.5).astype(int),
        lambda side: side.floor(side.grid(mode), 0.5),
        count,
    )


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "resize": resize,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
