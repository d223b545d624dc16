"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.elementwise import is_integer
from coremlbench.mil_onnx.graph import Graph, Operation, Var


def _transposed(graph: Graph, var: Var) -> str:
    """Return ``var`` with its last two dimensions exchanged; that of a constant is made once, here."""
    value = graph.value(var)
    if value is not None:
        return graph.constant(np.swapaxes(value, -1, -2), value.dtype)
    perm = [*range(var.rank - 2), var.rank - 1, var.rank - 2]
    return graph.node("Transpose", [graph.tensor(var)], perm=perm)


def linear(graph: Graph, op: Operation) -> str:
    """Return ``x @ weight.T + bias``."""
    product = graph.node("MatMul", [graph.tensor(op.x), _transposed(graph, op.weight)])
    bias = graph.value(op.bias)
    if bias is None or not bias.any():
        return product
    return graph.node("Add", [product, graph.tensor(op.bias)])


def matmul(graph: Graph, op: Operation) -> str:
    """Return the matrix product with numpy's broadcasting, either side transposed first if the op says so."""
    if op.x.rank == 2 and op.y.rank == 2 and not is_integer(op.x) and graph.is_constant(op.y):
        # The last layer of most classifiers: ONNX Runtime's Gemm is quicker than its MatMul for one row.
        left, right = graph.tensor(op.x), graph.tensor(op.y)
        return graph.node("Gemm", [left, right], transA=int(op.transpose_x.val), transB=int(op.transpose_y.val))
    left = _transposed(graph, op.x) if op.transpose_x.val and op.x.rank > 1 else graph.tensor(op.x)
    right = _transposed(graph, op.y) if op.transpose_y.val and op.y.rank > 1 else graph.tensor(op.y)
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
