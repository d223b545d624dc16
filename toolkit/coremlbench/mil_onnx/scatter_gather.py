"""Gather and scatter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dtype_name
from coremlbench.mil_onnx.open_sizes import as_vector, size_of, sizes_of

REDUCTIONS = {"update": "none", "add": "add", "sub": "add", "mul": "mul", "div": "mul", "max": "max", "min": "min"}
"""How ONNX combines the updates of each mode; those of ``sub`` are negated first, ``div`` divides by their product."""


def _indices(graph: Graph, op: Operation, data: Var, axes: Sequence[int]) -> str:
    """Return the indices of an op as int64; each, or each of a tuple, counts along one of ``axes`` of ``data``.

    Where the op validates them (since iOS 17), its execution fails if one of them is negative or too large. ONNX's
    own ops count negative ones from the end.
    """
    indices = graph.cast(graph.tensor(op.indices), np.int64)
    validates = getattr(op, "validate_indices", None)
    if validates is None or not validates.val:
        return indices
    limits = as_vector(graph, [size_of(graph, data, axis) for axis in axes])
    below = graph.node("Less", [indices, graph.constant(0, np.int64)])
    beyond = graph.node("GreaterOrEqual", [indices, limits])
    outside = graph.cast(graph.node("Or", [below, beyond]), np.int64)
    # ONNX has no op that fails on a condition; reading behind the end of a vector of one element does.
    zeros = graph.node("Gather", [graph.ints([0]), outside], axis=0)
    return graph.node("Add", [indices, zeros])


def _batch_dims(op: Operation) -> int:
    return int(op.batch_dims.val) if getattr(op, "batch_dims", None) is not None else 0


def gather(graph: Graph, op: Operation) -> str:
    """Return the slices of ``x`` along ``axis`` at ``indices``, sample by sample in the first ``batch_dims``."""
    axis, batch = int(op.axis.val) % op.x.rank, _batch_dims(op)
    name, indices = graph.tensor(op.x), _indices(graph, op, op.x, [axis])
    if batch == 0:
        return graph.node("Gather", [name, indices], axis=axis)
    between = axis - batch
    if between:
        perm = [*range(batch), axis, *range(batch, axis), *range(axis + 1, op.x.rank)]
        name = graph.node("Transpose", [name], perm=perm)
    gathered = graph.node("GatherND", [name, graph.node("Unsqueeze", [indices, graph.ints([-1])])], batch_dims=batch)
    if between:
        inner = op.indices.rank - batch
        moved = [batch + inner + step for step in range(between)]
        rest = range(batch + inner + between, op.x.rank - 1 + inner)
        perm = [*range(batch), *moved, *range(batch, batch + inner), *rest]
        gathered = graph.node("Transpose", [gathered], perm=perm)
    return gathered


def gather_along_axis(graph: Graph, op: Operation) -> str:
    """Return the element of ``x`` along ``axis`` that ``indices`` names, for every place of ``indices``."""
    axis = int(op.axis.val) % op.x.rank
    return graph.node("GatherElements", [graph.tensor(op.x), _indices(graph, op, op.x, [axis])], axis=axis)


def gather_nd(graph: Graph, op: Operation) -> str:
    """Return the slices of ``x`` at the index tuples in the last dimension of ``indices``."""
    batch = _batch_dims(op)
    indices = _indices(graph, op, op.x, _tuple_axes(op, batch))
    return graph.node("GatherND", [graph.tensor(op.x), indices], batch_dims=batch)


def _scatter(graph: Graph, op: Operation, kind: str, indices: str, updates: str, axis: int | None = None) -> str:
    data, mode = graph.tensor(op.data), op.mode.val
    if mode == "sub":
        updates = graph.node("Neg", [updates])
    if mode != "div":
        return graph.node(kind, [data, indices, updates], axis=axis, reduction=REDUCTIONS[mode])
    element = carrier(dtype_name(op.data))
    shape = graph.node("Shape", [data])
    ones = graph.node("Expand", [graph.constant(1, element), shape])
    return graph.node("Div", [data, graph.node(kind, [ones, indices, updates], axis=axis, reduction="mul")])


def _tuple_axes(op: Operation, first: int = 0) -> list[int]:
    """Return the dimensions that the index tuples of an op count along, from ``first`` on."""
    return list(range(first, first + int(op.indices.shape[-1])))


def scatter(graph: Graph, op: Operation) -> str:
    """Return ``data`` with the slices of ``updates`` worked in along ``axis`` at ``indices``, of any rank."""
    rank = op.data.rank
    axis = int(op.axis.val) % rank
    indices, updates = _indices(graph, op, op.data, [axis]), graph.tensor(op.updates)
    if op.indices.rank != 1:
        sizes = sizes_of(graph, op.data)
        updates = graph.node("Reshape", [updates, as_vector(graph, [*sizes[:axis], -1, *sizes[axis + 1 :]])])
    shape = [1] * rank
    shape[axis] = -1
    column = graph.node("Reshape", [indices, graph.ints(shape)])
    places = graph.node("Expand", [column, graph.node("Shape", [updates])])
    return _scatter(graph, op, "ScatterElements", places, updates, axis)


def scatter_along_axis(graph: Graph, op: Operation) -> str:
    """Return ``data`` with every element of ``updates`` worked in at the place ``indices`` names along ``axis``."""
    axis = int(op.axis.val) % op.data.rank
    indices = _indices(graph, op, op.data, [axis])
    return _scatter(graph, op, "ScatterElements", indices, graph.tensor(op.updates), axis)


def scatter_nd(graph: Graph, op: Operation) -> str:
    """Return ``data`` with slices worked in at the index tuples in the last dimension of ``indices``."""
    indices = _indices(graph, op, op.data, _tuple_axes(op))
    return _scatter(graph, op, "ScatterND", indices, graph.tensor(op.updates))


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "gather_nd": gather_nd,
    "scatter": scatter,
    "scatter_along_axis": scatter_along_axis,
    "scatter_nd": scatter_nd,
}
