"""Reductions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.elementwise import is_integer
from coremlbench.mil_onnx.graph import Graph, Operation, carrier, dtype_name

THROUGH_FLOAT = {"ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"}
"""Reductions of integers that are computed in float64 and then cut to integers, as coremltools computes them."""


def reduce(kind: str) -> Callable[[Graph, Operation], str]:
    """Return the function of an op that reduces over ``axes``, or over all of them where none are given."""

    def build(graph: Graph, op: Operation) -> str:
        name, axes = graph.tensor(op.x), None if op.axes is None else op.axes.val
        inputs = [name] if axes is None else [name, graph.ints(axes)]
        keep = int(op.keep_dims.val)
        if kind in THROUGH_FLOAT and is_integer(op.x):
            inputs[0] = graph.cast(name, np.float64)
            return graph.cast(graph.node(kind, inputs, keepdims=keep), carrier(dtype_name(op.outputs[0])))
        return graph.node(kind, inputs, keepdims=keep)

    return build


def reduce_mean(graph: Graph, op: Operation) -> str:
    """Return the mean over ``axes``.

    Over all of an image it is a global pooling, which ONNX Runtime computes in the layout of its convolutions.
    """
    axes = None if op.axes is None else sorted(int(axis) % op.x.rank for axis in op.axes.val)
    if is_integer(op.x) or op.x.rank != 4 or axes is None or len(axes) != 2:
        return reduce("ReduceMean")(graph, op)
    before = graph.before_transpose(op.x)
    source, perm = (graph.tensor(op.x), [0, 1, 2, 3]) if before is None else before
    over = sorted(perm[axis] for axis in axes)
    left = [perm[axis] for axis in range(4) if axis not in axes]
    if over != [2, 3] or left != [0, 1]:
        return reduce("ReduceMean")(graph, op)
    name = graph.node("GlobalAveragePool", [source])
    if not op.keep_dims.val:
        return graph.node("Squeeze", [name, graph.ints([2, 3])])
    return name if before is None else graph.transpose(name, perm)


def reduce_arg(kind: str) -> Callable[[Graph, Operation], str]:
    """Return the function of an op that finds the index of an extreme along ``axis``; of equals, the first."""

    def build(graph: Graph, op: Operation) -> str:
        indices = graph.node(kind, [graph.tensor(op.x)], axis=int(op.axis.val), keepdims=int(op.keep_dims.val))
        return graph.cast(indices, carrier(dtype_name(op.outputs[0])))

    return build


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "reduce_argmax": reduce_arg("ArgMax"),
    "reduce_argmin": reduce_arg("ArgMin"),
    "reduce_l1_norm": reduce("ReduceL1"),
    "reduce_l2_norm": reduce("ReduceL2"),
    "reduce_log_sum": reduce("ReduceLogSum"),
    "reduce_log_sum_exp": reduce("ReduceLogSumExp"),
    "reduce_max": reduce("ReduceMax"),
    "reduce_mean": reduce_mean,
    "reduce_min": reduce("ReduceMin"),
    "reduce_prod": reduce("ReduceProd"),
    "reduce_sum": reduce("ReduceSum"),
    "reduce_sum_square": reduce("ReduceSumSquare"),
}
