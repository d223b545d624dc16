"""Shapes: reshape, transpose, concat, split, pad and their like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dims, dtype_name, static_shape

Outputs = str | list[str]


def shape_vector(graph: Graph, var: Var) -> str:
    """Return the int64 tensor that an int32 vector of sizes or indices is for ONNX."""
    value = graph.value(var)
    return graph.cast(graph.tensor(var), np.int64) if value is None else graph.ints(np.atleast_1d(value))


def known_axes(op: Operation) -> list[int]:
    """Return the constant ``axes`` of an op, counted from the front of its input."""
    return [int(axis) % op.x.rank for axis in np.asarray(op.axes.val).reshape(-1)]


def identity(graph: Graph, op: Operation) -> str:
    """Return ``x``."""
    return graph.tensor(op.x)


def reshape(graph: Graph, op: Operation) -> str:
    """Return ``x`` in another shape; 0 stands for the input's size and -1 for what is left, as in ONNX.

    Since iOS 17 the sizes are counted from the last one, and a 0 before the first is 1. ONNX counts from the first;
    before, both had to be equally many.
    """
    target, name = static_shape(op.outputs[0]), graph.tensor(op.x)
    if target is not None and 0 not in target:  # coremltools leaves zeros that stand for open sizes
        return graph.node("Reshape", [name, graph.ints(target)])
    shape, count = shape_vector(graph, op.shape), dims(op.shape)[0]
    if count is not None and count != op.x.rank:
        sizes = graph.node("Shape", [name], start=max(op.x.rank - count, 0))
        if count > op.x.rank:
            sizes = graph.node("Concat", [graph.ints([1] * (count - op.x.rank)), sizes], axis=0)
        is_zero = graph.node("Equal", [shape, graph.constant(0, np.int64)])
        shape = graph.node("Where", [is_zero, sizes, shape])
    return graph.node("Reshape", [name, shape])


def transpose(graph: Graph, op: Operation) -> str:
    """Return ``x`` with its dimensions in another order."""
    perm = [int(axis) % op.x.rank for axis in op.perm.val]
    name = graph.tensor(op.x)
    return name if perm == list(range(op.x.rank)) else graph.transpose(name, perm)


def squeeze(graph: Graph, op: Operation) -> str:
    """Return ``x`` without dimensions of size 1: those of ``axes``, or all. Axes of another size stay.

    So do axes of open size that are not 1 at run time.
    """
    sizes = dims(op.x)
    given = list(range(op.x.rank)) if op.axes is None else known_axes(op)
    axes = [axis for axis in given if sizes[axis] == 1 or (sizes[axis] is None and op.axes is not None)]
    if not axes:
        return graph.tensor(op.x)  # ONNX Runtime takes an empty list of axes for all of them
    if all(sizes[axis] == 1 for axis in axes):
        return graph.node("Squeeze", [graph.tensor(op.x), graph.ints(axes)])
    shape = graph.node("Shape", [graph.tensor(op.x)])
    stays = graph.constant([axis not in axes for axis in range(op.x.rank)], np.bool_)
    not_one = graph.node("Not", [graph.node("Equal", [shape, graph.constant(1, np.int64)])])
    remaining = graph.node("Compress", [shape, graph.node("Or", [stays, not_one])], axis=0)
    return graph.node("Reshape", [graph.tensor(op.x), remaining])


def expand_dims(graph: Graph, op: Operation) -> str:
    """Return ``x`` with a dimension of size 1 at each of ``axes``."""
    return graph.node("Unsqueeze", [graph.tensor(op.x), graph.ints(np.asarray(op.axes.val).reshape(-1))])


def concat(graph: Graph, op: Operation) -> str:
    """Return the values joined along ``axis``; interleaved, the first of each, then the second of each.

    Values without dimensions become a vector.
    """
    names, rank = [graph.tensor(var) for var in op.values], op.values[0].rank
    if rank == 0:
        return graph.node("Concat", [graph.node("Unsqueeze", [name, graph.ints([0])]) for name in names], axis=0)
    axis = int(op.axis.val) % rank
    if not op.interleave.val:
        return graph.node("Concat", names, axis=axis)
    behind = graph.ints([axis + 1])
    stacked = graph.node("Concat", [graph.node("Unsqueeze", [name, behind]) for name in names], axis=axis + 1)
    target = static_shape(op.outputs[0])
    if target is not None:
        return graph.node("Reshape", [stacked, graph.ints(target)])
    shape = [graph.ints([0] * axis + [-1]), graph.node("Shape", [names[0]], start=axis + 1)]
    return graph.node("Reshape", [stacked, graph.node("Concat", shape, axis=0)])


def stack(graph: Graph, op: Operation) -> str:
    """Return the values joined along a new dimension."""
    axis = int(op.axis.val) % (op.values[0].rank + 1)
    where = graph.ints([axis])
    return graph.node("Concat", [graph.node("Unsqueeze", [graph.tensor(var), where]) for var in op.values], axis=axis)


def split(graph: Graph, op: Operation) -> Outputs:
    """Return ``x`` cut along ``axis`` into the sizes that the program states."""
    axis = int(op.axis.val) % op.x.rank
    sizes = None if op.split_sizes is None else op.split_sizes.val
    if sizes is None:
        return graph.node_with_outputs(
            "Split", [graph.tensor(op.x)], len(op.outputs), axis=axis, num_outputs=len(op.outputs)
        )
    return graph.node_with_outputs("Split", [graph.tensor(op.x), graph.ints(sizes)], len(op.outputs), axis=axis)


def pad(graph: Graph, op: Operation) -> str:
    """Return ``x`` with its last dimensions padded with a constant, or with its own values."""
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}[op.mode.val]
    value = graph.value(op.pad)
    if value is None:
        columns = graph.node("Reshape", [graph.cast(graph.tensor(op.pad), np.int64), graph.ints([-1, 2])])
        pads = graph.node("Reshape", [graph.node("Transpose", [columns], perm=[1, 0]), graph.ints([-1])])
    else:
        full = np.zeros((op.x.rank, 2), dtype=np.int64)
        if len(value):
            full[-(len(value) // 2) :] = value.reshape(-1, 2)
        pads = graph.ints(full.T.reshape(-1))
    inputs = [graph.tensor(op.x), pads]
    if mode == "constant":
        inputs.append(graph.like(op.x, op.constant_val.val))
    return graph.node("Pad", inputs, mode=mode)


def reshape_like(graph: Graph, op: Operation) -> str:
    """Return ``x`` in a shape put together from those of other tensors."""
    target = static_shape(op.outputs[0])
    assert target is not None, "by the op's definition its output has a known shape"
    return graph.node("Reshape", [graph.tensor(op.x), graph.ints(target)])


def flatten2d(graph: Graph, op: Operation) -> str:
    """Return a matrix: the dimensions before ``axis`` by the others."""
    axis = int(op.axis.val)
    return graph.node("Flatten", [graph.tensor(op.x)], axis=axis + op.x.rank if axis < 0 else axis)


def shape(graph: Graph, op: Operation) -> str:
    """Return the sizes of ``x``."""
    return graph.cast(graph.node("Shape", [graph.tensor(op.x)]), carrier(dtype_name(op.outputs[0])))


OPS: dict[str, Callable[[Graph, Operation], Outputs]] = {
    "concat": concat,
    "expand_dims": expand_dims,
    "flatten2d": flatten2d,
    "identity": identity,
    "pad": pad,
    "reshape": reshape,
    "reshape_like": reshape_like,
    "shape": shape,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "transpose": transpose,
}
