"""Attention in one op."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, dtype_name


def scaled_dot_product_attention(graph: Graph, op: Operation) -> str:
    """Return ``softmax(query @ key.T / sqrt(size) + mask) @ value``, in float32 from start to end.

    A mask of booleans lets through what is true; a mask of numbers is added.
    """
    rank = op.key.rank
    key = graph.node("Transpose", [graph.tensor(op.key)], perm=[*range(rank - 2), rank - 1, rank - 2])
    scale = graph.constant(1 / np.sqrt(int(op.query.shape[-1])), np.float32)
    scores = graph.node("MatMul", [graph.node("Mul", [graph.tensor(op.query), scale]), key])
    if op.attn_mask is not None:
        mask = graph.tensor(op.attn_mask)
        if dtype_name(op.attn_mask) == "bool":
            shut, through = graph.constant(-np.inf, np.float32), graph.constant(0, np.float32)
            mask = graph.node("Where", [mask, through, shut])
        scores = graph.node("Add", [scores, mask])
    return graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), graph.tensor(op.value)])


OPS: dict[str, Callable[[Graph, Operation], str]] = {"scaled_dot_product_attention": scaled_dot_product_attention}
