"""Moves between channels, space and batch; (n, channels, height, width) throughout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, static_shape


def depth_to_space(graph: Graph, op: Operation) -> str:
    """Return blocks of channels laid out in space, the block's place first among the channels, as in TensorFlow."""
    return graph.node("DepthToSpace", [graph.tensor(op.x)], blocksize=int(op.block_size.val), mode="DCR")


def space_to_depth(graph: Graph, op: Operation) -> str:
    """Return blocks of space stacked as channels, the block's place first, as in TensorFlow."""
    return graph.node("SpaceToDepth", [graph.tensor(op.x)], blocksize=int(op.block_size.val))


def pixel_shuffle(graph: Graph, op: Operation) -> str:
    """Return blocks of channels laid out in space, the channel first, as in PyTorch."""
    return graph.node("DepthToSpace", [graph.tensor(op.x)], blocksize=int(op.upscale_factor.val), mode="CRD")


def _sizes(op: Operation) -> tuple[int, ...]:
    sizes = static_shape(op.x)
    if sizes is None:
        raise UnsupportedProgramError(f"The {op.op_type} that makes '{op.outputs[0].name}' has an input of open size.")
    return sizes


def _rearranged(graph: Graph, name: str, split: list[int], perm: list[int], joined: list[int]) -> str:
    """Return ``name`` reshaped to ``split``, its dimensions reordered, and reshaped to ``joined``."""
    parts = graph.node("Transpose", [graph.node("Reshape", [name, graph.ints(split)])], perm=perm)
    return graph.node("Reshape", [parts, graph.ints(joined)])


def pixel_unshuffle(graph: Graph, op: Operation) -> str:
    """Return blocks of space stacked as channels, the channel first, as in PyTorch."""
    n, channels, height, width = _sizes(op)
    factor = int(op.downscale_factor.val)
    high, wide = height // factor, width // factor
    split = [n, channels, high, factor, wide, factor]
    joined = [n, channels * factor * factor, high, wide]
    return _rearranged(graph, graph.tensor(op.x), split, [0, 1, 3, 5, 2, 4], joined)


def space_to_batch(graph: Graph, op: Operation) -> str:
    """Return blocks of the padded space as samples, the block's place first."""
    n, channels, height, width = _sizes(op)
    rows, columns = (int(size) for size in op.block_shape.val)
    (top, bottom), (left, right) = op.paddings.val
    pads = graph.ints([0, 0, top, left, 0, 0, bottom, right])
    name = graph.node("Pad", [graph.tensor(op.x), pads, graph.constant(0, np.float32)])
    high, wide = (height + int(top + bottom)) // rows, (width + int(left + right)) // columns
    split, joined = [n, channels, high, rows, wide, columns], [n * rows * columns, channels, high, wide]
    return _rearranged(graph, name, split, [3, 5, 0, 1, 2, 4], joined)


def batch_to_space(graph: Graph, op: Operation) -> str:
    """Return blocks of samples laid out in space, cropped."""
    n, channels, height, width = _sizes(op)
    rows, columns = (int(size) for size in op.block_shape.val)
    (top, bottom), (left, right) = op.crops.val
    samples, high, wide = n // (rows * columns), height * rows, width * columns
    split, joined = [rows, columns, samples, channels, height, width], [samples, channels, high, wide]
    name = _rearranged(graph, graph.tensor(op.x), split, [2, 3, 4, 0, 5, 1], joined)
    ends = graph.ints([high - bottom, wide - right])
    return graph.node("Slice", [name, graph.ints([top, left]), ends, graph.ints([2, 3])])


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "batch_to_space": batch_to_space,
    "depth_to_space": depth_to_space,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "space_to_batch": space_to_batch,
    "space_to_depth": space_to_depth,
}
