"""Gather and scatter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dtype_name

REDUCTIONS = {"update": "none", "add": "add", "sub": "add", "mul": "mul", "div": "mul", "max": "max", "min": "min"}
"""How ONNX combines the updates of each mode; those of ``sub`` are negated first, ``div`` divides by their product."""


def _indices(graph: Graph, var: Var) -> str:
    return graph.cast(graph.tensor(var), np.int64)


def _batch_dims(op: Operation) -> int:
    return int(op.batch_dims.val) if getattr(op, "batch_dims", None) is not None else 0


def gather(graph: Graph, op: Operation) -> str:
    """Return the slices of ``x`` along ``axis`` at ``indices``, sample by sample in the first ``batch_dims``."""
    axis, batch = int(op.axis.val) % op.x.rank, _batch_dims(op)
    name, indices = graph.tensor(op.x), _indices(graph, op.indices)
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
    return graph.node("GatherElements", [graph.tensor(op.x), _indices(graph, op.indices)], axis=int(op.axis.val))


def gather_nd(graph: Graph, op: Operation) -> str:
    """Return the slices of ``x`` at the index tuples in the last dimension of ``indices``."""
    return graph.node("GatherND", [graph.tensor(op.x), _indices(graph, op.indices)], batch_dims=_batch_dims(op))


def _scatter(graph: Graph, op: Operation, kind: str, indices: str, axis: int | None = None) -> str:
    data, updates, mode = graph.tensor(op.data), graph.tensor(op.updates), op.mode.val
    if mode == "sub":
        updates = graph.node("Neg", [updates])
    if mode != "div":
        return graph.node(kind, [data, indices, updates], axis=axis, reduction=REDUCTIONS[mode])
    element = carrier(dtype_name(op.data))
    shape = graph.node("Shape", [data])
    ones = graph.node("Expand", [graph.constant(1, element), shape])
    return graph.node("Div", [data, graph.node(kind, [ones, indices, updates], axis=axis, reduction="mul")])


def scatter(graph: Graph, op: Operation) -> str:
    """Return ``data`` with the slices of ``updates`` worked in along ``axis`` at the vector ``indices``."""
    axis = int(op.axis.val) % op.data.rank
    shape = [1] * op.data.rank
    shape[axis] = -1
    column = graph.node("Reshape", [_indices(graph, op.indices), graph.ints(shape)])
    places = graph.node("Expand", [column, graph.node("Shape", [graph.tensor(op.updates)])])
    return _scatter(graph, op, "ScatterElements", places, axis)


def scatter_along_axis(graph: Graph, op: Operation) -> str:
    """Return ``data`` with every element of ``updates`` worked in at the place ``indices`` names along ``axis``."""
    return _scatter(graph, op, "ScatterElements", _indices(graph, op.indices), int(op.axis.val))


def scatter_nd(graph: Graph, op: Operation) -> str:
    """Return ``data`` with slices worked in at the index tuples in the last dimension of ``indices``."""
    return _scatter(graph, op, "ScatterND", _indices(graph, op.indices))


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "gather_nd": gather_nd,
    "scatter": scatter,
    "scatter_along_axis": scatter_along_axis,
    "scatter_nd": scatter_nd,
}
