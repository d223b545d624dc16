"""Ops that make, count, sort or mark values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dims, dtype_name
from coremlbench.mil_onnx.tensor import Outputs, shape_vector

SORTABLE = {np.dtype(np.float32), np.dtype(np.int32)}
"""The carrier types that ONNX Runtime's TopK takes; others are sorted as int32."""


def filled(graph: Graph, shape: str, var: Var, value: object) -> str:
    """Return a tensor of the shape that the vector ``shape`` holds, of the type of ``var``, filled with one value."""
    from onnx import numpy_helper

    scalar = np.asarray(value).astype(carrier(dtype_name(var))).reshape(1)
    return graph.node("ConstantOfShape", [shape], value=numpy_helper.from_array(scalar))


def fill(graph: Graph, op: Operation) -> str:
    """Return a tensor of a shape, filled with one value."""
    return filled(graph, shape_vector(graph, op.shape), op.outputs[0], op.value.val)


def fill_like(graph: Graph, op: Operation) -> str:
    """Return a tensor of the shape of another, filled with one value."""
    return filled(graph, graph.node("Shape", [graph.tensor(op.ref_tensor)]), op.outputs[0], op.value.val)


def range_1d(graph: Graph, op: Operation) -> str:
    """Return the numbers from ``start`` to before ``end`` in steps."""
    return graph.node("Range", [scalar(graph, var) for var in (op.start, op.end, op.step)])


def scalar(graph: Graph, var: Var) -> str:
    """Return a value of one element as a scalar: some of ONNX's inputs must be one, and Core ML's may be a vector."""
    name = graph.tensor(var)
    return graph.node("Reshape", [name, graph.constant(np.zeros(0), np.int64)]) if var.rank else name


def tile(graph: Graph, op: Operation) -> str:
    """Return ``x`` repeated ``reps`` times along each dimension."""
    return graph.node("Tile", [graph.tensor(op.x), shape_vector(graph, op.reps)])


def cumsum(graph: Graph, op: Operation) -> str:
    """Return the running sum along ``axis``."""
    return graph.node(
        "CumSum",
        [graph.tensor(op.x), graph.constant(int(op.axis.val), np.int64)],
        exclusive=int(op.exclusive.val),
        reverse=int(op.reverse.val),
    )


def one_hot(graph: Graph, op: Operation) -> str:
    """Return ``on_value`` where the new dimension's place is the index and ``off_value`` elsewhere.

    An index outside the dimension marks nothing; ONNX's OneHot would count a negative one from the end.
    """
    rank = op.indices.rank + 1
    axis = int(op.axis.val) % rank
    size = graph.cast(scalar(graph, op.one_hot_vector_size), np.int64)
    places = graph.node("Range", [graph.constant(0, np.int64), size, graph.constant(1, np.int64)])
    shape = [-1 if place == axis else 1 for place in range(rank)]
    indices = graph.node("Unsqueeze", [graph.cast(graph.tensor(op.indices), np.int64), graph.ints([axis])])
    marked = graph.node("Equal", [indices, graph.node("Reshape", [places, graph.ints(shape)])])
    kind = carrier(dtype_name(op.outputs[0]))
    return graph.where(marked, graph.tensor(op.on_value), graph.tensor(op.off_value), kind)


def topk(graph: Graph, op: Operation) -> Outputs:
    """Return the ``k`` largest or smallest values along ``axis``, sorted, and their indices."""
    kind, count = carrier(dtype_name(op.x)), int(op.k.val)
    name, axis = graph.tensor(op.x), int(op.axis.val)
    if kind not in SORTABLE:
        name = graph.cast(name, np.int32)
    inputs = [name, graph.ints([count])]
    values, indices = graph.node_with_outputs("TopK", inputs, 2, axis=axis, largest=int(not op.ascending.val))
    sorted_values = values if kind in SORTABLE else graph.cast(values, kind)
    if len(op.outputs) == 1:
        return sorted_values
    return [sorted_values, graph.cast(indices, carrier(dtype_name(op.outputs[1])))]


def argsort(graph: Graph, op: Operation) -> str:
    """Return the indices that sort ``x`` along ``axis``; equal values keep their order."""
    name, axis = graph.tensor(op.x), int(op.axis.val)
    inputs = [name, _size(graph, name, axis)]
    _, indices = graph.node_with_outputs("TopK", inputs, 2, axis=axis, largest=int(not op.ascending.val))
    return graph.cast(indices, carrier(dtype_name(op.outputs[0])))


def _size(graph: Graph, name: str, axis: int) -> str:
    """Return the size of one dimension, as a vector of one."""
    return graph.node("Gather", [graph.node("Shape", [name]), graph.ints([axis])])


def non_zero(graph: Graph, op: Operation) -> str:
    """Return the indices of the elements that are not zero, one row each."""
    rows = graph.node("Transpose", [graph.node("NonZero", [graph.tensor(op.x)])], perm=[1, 0])
    return graph.cast(rows, carrier(dtype_name(op.outputs[0])))


def band_part(graph: Graph, op: Operation) -> str:
    """Return ``x`` with zeros off a band of diagonals of its last two dimensions."""
    lower, upper, name = int(op.lower.val), int(op.upper.val), graph.tensor(op.x)
    rows, columns = dims(op.x)[-2:]
    if rows is None or columns is None:
        for limit, bound in ((1, -lower if lower >= 0 else None), (0, upper if upper >= 0 else None)):
            if bound is not None:
                name = graph.node("Trilu", [name, graph.constant(bound, np.int64)], upper=limit)
        return name
    offset = np.arange(columns)[np.newaxis] - np.arange(rows)[:, np.newaxis]
    in_band = ((lower < 0) | (-offset <= lower)) & ((upper < 0) | (offset <= upper))
    return graph.where(graph.constant(in_band, np.bool_), name, graph.like(op.x, 0), carrier(dtype_name(op.x)))


OPS: dict[str, Callable[[Graph, Operation], Outputs]] = {
    "argsort": argsort,
    "band_part": band_part,
    "cumsum": cumsum,
    "fill": fill,
    "fill_like": fill_like,
    "non_zero": non_zero,
    "one_hot": one_hot,
    "range_1d": range_1d,
    "tile": tile,
    "topk": topk,
}
