"""Moves between channels, space and batch; (n, channels, height, width) throughout."""

from __future__ import annotations

import math
from collections.abc import Callable

from coremlbench.mil_onnx.graph import Graph, Operation
from coremlbench.mil_onnx.open_sizes import Size, as_vector, combine, sizes_of

INT64_MAX = 2**63 - 1
"""As the end of a slice: to the end of the dimension."""


def depth_to_space(graph: Graph, op: Operation) -> str:
    """Return blocks of channels laid out in space, the block's place first among the channels, as in TensorFlow."""
    return graph.node("DepthToSpace", [graph.tensor(op.x)], blocksize=int(op.block_size.val), mode="DCR")


def space_to_depth(graph: Graph, op: Operation) -> str:
    """Return blocks of space stacked as channels, the block's place first, as in TensorFlow."""
    return graph.node("SpaceToDepth", [graph.tensor(op.x)], blocksize=int(op.block_size.val))


def pixel_shuffle(graph: Graph, op: Operation) -> str:
    """Return blocks of channels laid out in space, the channel first, as in PyTorch."""
    return graph.node("DepthToSpace", [graph.tensor(op.x)], blocksize=int(op.upscale_factor.val), mode="CRD")


def _rearranged(graph: Graph, name: str, split: list[Size], perm: list[int], joined: list[Size]) -> str:
    """Return ``name`` reshaped to ``split``, its dimensions reordered, and reshaped to ``joined``."""
    parts = graph.node("Transpose", [graph.node("Reshape", [name, as_vector(graph, split)])], perm=perm)
    return graph.node("Reshape", [parts, as_vector(graph, joined)])


def _product(graph: Graph, size: Size, *factors: int) -> Size:
    return combine(graph, "Mul", size, math.prod(factors))


def _quotient(graph: Graph, size: Size, *divisors: int) -> Size:
    return combine(graph, "Div", size, math.prod(divisors))


def pixel_unshuffle(graph: Graph, op: Operation) -> str:
    """Return blocks of space stacked as channels, the channel first, as in PyTorch."""
    n, channels, height, width = sizes_of(graph, op.x)
    factor = int(op.downscale_factor.val)
    high, wide = _quotient(graph, height, factor), _quotient(graph, width, factor)
    split = [n, channels, high, factor, wide, factor]
    joined = [n, _product(graph, channels, factor, factor), high, wide]
    return _rearranged(graph, graph.tensor(op.x), split, [0, 1, 3, 5, 2, 4], joined)


def space_to_batch(graph: Graph, op: Operation) -> str:
    """Return blocks of the padded space as samples, the block's place first."""
    n, channels, height, width = sizes_of(graph, op.x)
    rows, columns = (int(size) for size in op.block_shape.val)
    (top, bottom), (left, right) = ((int(first), int(last)) for first, last in op.paddings.val)
    pads = graph.ints([0, 0, top, left, 0, 0, bottom, right])
    name = graph.node("Pad", [graph.tensor(op.x), pads, graph.like(op.x, 0)])
    high = _quotient(graph, combine(graph, "Add", height, top + bottom), rows)
    wide = _quotient(graph, combine(graph, "Add", width, left + right), columns)
    split, joined = [n, channels, high, rows, wide, columns], [_product(graph, n, rows, columns), channels, high, wide]
    return _rearranged(graph, name, split, [3, 5, 0, 1, 2, 4], joined)


def batch_to_space(graph: Graph, op: Operation) -> str:
    """Return blocks of samples laid out in space, cropped."""
    n, channels, height, width = sizes_of(graph, op.x)
    rows, columns = (int(size) for size in op.block_shape.val)
    (top, bottom), (left, right) = ((int(first), int(last)) for first, last in op.crops.val)
    samples = _quotient(graph, n, rows, columns)
    split: list[Size] = [rows, columns, samples, channels, height, width]
    joined = [samples, channels, _product(graph, height, rows), _product(graph, width, columns)]
    name = _rearranged(graph, graph.tensor(op.x), split, [2, 3, 4, 0, 5, 1], joined)
    ends = graph.ints([-crop if crop else INT64_MAX for crop in (bottom, right)])
    return graph.node("Slice", [name, graph.ints([top, left]), ends, graph.ints([2, 3])])


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "batch_to_space": batch_to_space,
    "depth_to_space": depth_to_space,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "space_to_batch": space_to_batch,
    "space_to_depth": space_to_depth,
}
