"""Slices: by index, by size, their update; crops, reversals and windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, Var, dims, static_shape
from coremlbench.mil_onnx.tensor import known_axes, shape_vector

FAR = 2**31 - 1
"""Past the end of any dimension: ONNX's Slice clamps it."""


def _flags(var: Var | None, rank: int) -> list[bool]:
    return [False] * rank if var is None else [bool(flag) for flag in var.val]


def _bounds(graph: Graph, op: Operation) -> tuple[str, str, str, list[int]]:
    """Return the starts, ends and steps of a slice by index, and the axes that it squeezes away.

    A masked bound is open; a squeezed axis is read at its ``begin`` alone, which is 0 where that is masked.
    """
    rank = op.x.rank
    _check_bounds(op)
    open_begin, open_end = _flags(op.begin_mask, rank), _flags(op.end_mask, rank)
    squeezed = _flags(op.squeeze_mask, rank)
    steps = [1] * rank if op.stride is None else [int(step) for step in op.stride.val]
    steps = [1 if drop else step for step, drop in zip(steps, squeezed, strict=True)]
    first = [0 if step > 0 else FAR for step in steps]
    last = [FAR if step > 0 else -FAR for step in steps]
    starts = _either(graph, open_begin, first, shape_vector(graph, op.begin))
    begin = graph.value(op.begin)
    if begin is None:
        one = graph.constant(1, np.int64)
        following = graph.node("Add", [starts, one])
        is_last = graph.node("Equal", [following, graph.constant(0, np.int64)])
        following = graph.node("Where", [is_last, graph.constant(FAR, np.int64), following])
    else:
        read = [0 if masked else int(value) for value, masked in zip(begin, open_begin, strict=True)]
        following = graph.ints([FAR if value == -1 else value + 1 for value in read])
    ends = _either(graph, open_end, last, shape_vector(graph, op.end))
    if any(squeezed):
        ends = graph.node("Where", [graph.constant(squeezed, np.bool_), following, ends])
    return starts, ends, graph.ints(steps), [axis for axis in range(rank) if squeezed[axis]]


def _check_bounds(op: Operation) -> None:
    """Raise :class:`UnsupportedProgramError` for bounds that have not one number for each dimension of ``x``."""
    for role, bound in (("begin", op.begin), ("end", op.end)):
        (count,) = dims(bound)
        if count not in {None, op.x.rank}:
            raise UnsupportedProgramError(
                f"{op.op_type} takes a '{role}' of {op.x.rank} numbers here, one for each dimension of its 'x', "
                f"and this has {count}; coremltools makes such slices of x[:, i] for an i that is computed, and a "
                "gather (tf.gather, torch.index_select) in its place can be executed."
            )


def _either(graph: Graph, mask: list[bool], values: list[int], otherwise: str) -> str:
    if not any(mask):
        return otherwise
    return graph.node("Where", [graph.constant(mask, np.bool_), graph.ints(values), otherwise])


def slice_by_index(graph: Graph, op: Operation) -> str:
    """Return ``x[begin:end:stride]`` in every dimension, as numpy slices."""
    starts, ends, steps, squeezed = _bounds(graph, op)
    name = graph.node("Slice", [graph.tensor(op.x), starts, ends, graph.ints(range(op.x.rank)), steps])
    return graph.node("Squeeze", [name, graph.ints(squeezed)]) if squeezed else name


def slice_by_size(graph: Graph, op: Operation) -> str:
    """Return ``size`` elements from ``begin`` on in every dimension; -1 stands for all that follow."""
    name, starts, sizes = graph.tensor(op.x), shape_vector(graph, op.begin), shape_vector(graph, op.size)
    zero = graph.constant(0, np.int64)
    wrapped = graph.node("Add", [starts, graph.node("Shape", [name])])
    starts = graph.node("Where", [graph.node("Less", [starts, zero]), wrapped, starts])
    ends = graph.node("Add", [starts, sizes])
    ends = graph.node("Where", [graph.node("Less", [sizes, zero]), graph.constant(FAR, np.int64), ends])
    return graph.node("Slice", [name, starts, ends, graph.ints(range(op.x.rank))])


def slice_update(graph: Graph, op: Operation) -> str:
    """Return ``x`` with ``x[begin:end:stride]`` replaced: the places are found by slicing a table of positions."""
    name = graph.tensor(op.x)
    places, shape = _positions(graph, op, name)
    starts, ends, steps, _ = _bounds(graph, op)
    flat = graph.ints([-1])
    chosen = graph.node("Slice", [places, starts, ends, graph.ints(range(op.x.rank)), steps])
    inputs = [name, chosen, graph.tensor(op.update)]
    result = graph.node("ScatterElements", [graph.node("Reshape", [name, flat]) for name in inputs], axis=0)
    return graph.node("Reshape", [result, shape])


def _positions(graph: Graph, op: Operation, name: str) -> tuple[str, str]:
    """Return the number of each element of ``x``, in its shape, and that shape."""
    sizes = static_shape(op.x)
    if sizes is not None:
        return graph.constant(np.arange(int(np.prod(sizes))).reshape(sizes), np.int64), graph.ints(sizes)
    shape, zero, one = graph.node("Shape", [name]), graph.constant(0, np.int64), graph.constant(1, np.int64)
    every = graph.node("Range", [zero, graph.node("Size", [name]), one])
    return graph.node("Reshape", [every, shape]), shape


def crop(graph: Graph, op: Operation) -> str:
    """Return ``x`` with its last two dimensions cut at both ends."""
    (top, bottom), (left, right) = op.crop_height.val.reshape(-1), op.crop_width.val.reshape(-1)
    ends = [FAR if cut == 0 else -int(cut) for cut in (bottom, right)]
    return graph.node("Slice", [graph.tensor(op.x), graph.ints([top, left]), graph.ints(ends), graph.ints([-2, -1])])


def reverse(graph: Graph, op: Operation) -> str:
    """Return ``x`` in opposite order along ``axes``, or along every dimension."""
    axes = list(range(op.x.rank)) if op.axes is None else known_axes(op)
    counts = [graph.ints([value] * len(axes)) for value in (-1, -FAR, -1)]
    return graph.node("Slice", [graph.tensor(op.x), counts[0], counts[1], graph.ints(axes), counts[2]])


def reverse_sequence(graph: Graph, op: Operation) -> str:
    """Return ``x`` with the first ``lengths[i]`` elements along ``seq_axis`` in opposite order, for each sample ``i``.

    ONNX knows the first two dimensions only, so the two axes are brought there and back.
    """
    batch, sequence = int(op.batch_axis.val) % op.x.rank, int(op.seq_axis.val) % op.x.rank
    perm = [batch, sequence, *(axis for axis in range(op.x.rank) if axis not in {batch, sequence})]
    front = graph.node("Transpose", [graph.tensor(op.x)], perm=perm)
    turned = graph.node("ReverseSequence", [front, shape_vector(graph, op.lengths)], batch_axis=0, time_axis=1)
    return graph.node("Transpose", [turned], perm=[int(axis) for axis in np.argsort(perm)])


def sliding_windows(graph: Graph, op: Operation) -> str:
    """Return every window of ``size`` elements along ``axis``, in a dimension of its own behind it."""
    axis = int(op.axis.val) % op.x.rank
    name, length = graph.tensor(op.x), dims(op.x)[axis]
    size, stride = int(op.size.val), int(op.stride.val)
    within = np.arange(size)
    if length is not None:
        places = graph.constant(np.arange((length - size) // stride + 1)[:, np.newaxis] * stride + within, np.int64)
        return graph.node("Gather", [name, places], axis=axis)
    whole = graph.node("Gather", [graph.node("Shape", [name]), graph.constant(axis, np.int64)], axis=0)
    last = graph.node("Sub", [whole, graph.constant(size - 1, np.int64)])
    starts = graph.node("Range", [graph.constant(0, np.int64), last, graph.constant(stride, np.int64)])
    column = graph.node("Unsqueeze", [starts, graph.ints([1])])
    return graph.node("Gather", [name, graph.node("Add", [column, graph.constant(within, np.int64)])], axis=axis)


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "crop": crop,
    "reverse": reverse,
    "reverse_sequence": reverse_sequence,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "slice_update": slice_update,
    "sliding_windows": sliding_windows,
}
