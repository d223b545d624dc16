"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.elementwise import is_integer
from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dtype_name


def _as(graph: Graph, op: Operation, var: Var, name: str) -> str:
    """Return a factor in the type of the product: since iOS 17 a constant may be of another."""
    kind = carrier(dtype_name(op.outputs[0]))
    return name if carrier(dtype_name(var)) == kind else graph.cast(name, kind)


def _factor(graph: Graph, op: Operation, var: Var, *, transposed: bool) -> str:
    """Return a factor of a product, its last two dimensions exchanged if ``transposed``, here for a constant."""
    value = graph.value(var) if transposed else None
    if value is not None:
        return _as(graph, op, var, graph.constant(np.swapaxes(value, -1, -2), value.dtype))
    name = graph.tensor(var)
    if transposed:
        name = graph.node("Transpose", [name], perm=[*range(var.rank - 2), var.rank - 1, var.rank - 2])
    return _as(graph, op, var, name)


def linear(graph: Graph, op: Operation) -> str:
    """Return ``x @ weight.T + bias``."""
    product = graph.node("MatMul", [graph.tensor(op.x), _factor(graph, op, op.weight, transposed=True)])
    bias = graph.value(op.bias)
    if bias is None or not bias.any():
        return product
    return graph.node("Add", [product, _as(graph, op, op.bias, graph.tensor(op.bias))])


def matmul(graph: Graph, op: Operation) -> str:
    """Return the matrix product with numpy's broadcasting, either side transposed first if the op says so."""
    if op.x.rank == 2 and op.y.rank == 2 and not is_integer(op.outputs[0]) and graph.is_constant(op.y):
        # The last layer of most classifiers: ONNX Runtime's Gemm is quicker than its MatMul for one row.
        left, right = (_factor(graph, op, var, transposed=False) for var in (op.x, op.y))
        return graph.node("Gemm", [left, right], transA=int(op.transpose_x.val), transB=int(op.transpose_y.val))
    left = _factor(graph, op, op.x, transposed=bool(op.transpose_x.val) and op.x.rank > 1)
    right = _factor(graph, op, op.y, transposed=bool(op.transpose_y.val) and op.y.rank > 1)
    return graph.node("MatMul", [left, right])


def einsum(graph: Graph, op: Operation) -> str:
    """Return the sum over the last dimension of one and the last but two of the other.

    That is all that the op may express: ``nchw,nwhu->nchu`` and ``chw,whr->chr``.
    """
    rank = op.values[0].rank
    swap = [*range(rank - 3), rank - 2, rank - 3, rank - 1]
    sides = [graph.node("Transpose", [graph.tensor(var)], perm=swap) for var in op.values]
    return graph.node("Transpose", [graph.node("MatMul", sides)], perm=swap)


OPS: dict[str, Callable[[Graph, Operation], str]] = {"einsum": einsum, "linear": linear, "matmul": matmul}
