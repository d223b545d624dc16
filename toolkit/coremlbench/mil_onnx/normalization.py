"""Normalisations, computed in float32 from start to end: their inner values are not rounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, Var, dims
from coremlbench.mil_onnx.open_sizes import as_vector, sizes_of


def _or_filled(graph: Graph, var: Var | None, channels: int, value: float) -> str:
    return graph.constant(np.full(channels, value), np.float32) if var is None else graph.tensor(var)


def batch_norm(graph: Graph, op: Operation) -> str:
    """Return ``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` by channel."""
    channels = int(op.mean.shape[0])
    scale, shift = _or_filled(graph, op.gamma, channels, 1), _or_filled(graph, op.beta, channels, 0)
    inputs = [graph.tensor(op.x), scale, shift, graph.tensor(op.mean), graph.tensor(op.variance)]
    return graph.node("BatchNormalization", inputs, epsilon=float(op.epsilon.val))


def instance_norm(graph: Graph, op: Operation) -> str:
    """Return each channel of each sample with mean 0 and variance 1, scaled and shifted."""
    channels = int(op.x.shape[1])
    scale, shift = _or_filled(graph, op.gamma, channels, 1), _or_filled(graph, op.beta, channels, 0)
    return graph.node("InstanceNormalization", [graph.tensor(op.x), scale, shift], epsilon=float(op.epsilon.val))


def l2_norm(graph: Graph, op: Operation) -> str:
    """Return ``x`` divided by the root of the sum of squares over the last three dimensions plus epsilon."""
    name = graph.tensor(op.x)
    total = graph.node("ReduceSumSquare", [name, graph.ints([-3, -2, -1])], keepdims=1)
    root = graph.node("Sqrt", [graph.node("Add", [total, graph.like(op.x, op.epsilon.val)])])
    return graph.node("Div", [name, root])


def layer_norm(graph: Graph, op: Operation) -> str:
    """Return ``x`` with mean 0 and variance 1 over ``axes``, scaled and shifted."""
    rank, name = op.x.rank, graph.tensor(op.x)
    axes = sorted(int(axis) % rank for axis in op.axes.val)
    scale, shift = (None if var is None else graph.value(var) for var in (op.gamma, op.beta))
    epsilon, inner = float(op.epsilon.val), [dims(op.x)[axis] for axis in axes]
    if axes == list(range(rank - len(axes), rank)) and None not in inner:
        inputs = [name, graph.constant(np.ones(inner) if scale is None else scale, np.float32)]
        if shift is not None:
            inputs.append(graph.constant(shift, np.float32))
        return graph.node("LayerNormalization", inputs, axis=axes[0], epsilon=epsilon)
    over = graph.ints(axes)
    centred = graph.node("Sub", [name, graph.node("ReduceMean", [name, over], keepdims=1)])
    variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), over], keepdims=1)
    root = graph.node("Sqrt", [graph.node("Add", [variance, graph.constant(epsilon, np.float32)])])
    result = graph.node("Div", [centred, root])
    others = tuple(axis for axis in range(rank) if axis not in axes)
    if scale is not None:
        result = graph.node("Mul", [result, graph.constant(np.expand_dims(scale, others), np.float32)])
    if shift is not None:
        result = graph.node("Add", [result, graph.constant(np.expand_dims(shift, others), np.float32)])
    return result


def local_response_norm(graph: Graph, op: Operation) -> str:
    """Return ``x / (k + alpha / size * sum of squares of the neighbouring channels) ** beta``.

    Of an even number of neighbours one more lies before than behind, as in PyTorch, whose op is converted to this.
    """
    name, size = graph.tensor(op.x), int(op.size.val)
    squares = graph.node("Mul", [name, name])
    rows = graph.node("Unsqueeze", [graph.node("Reshape", [squares, graph.ints([0, 0, -1])]), graph.ints([1])])
    padded = graph.node("Pad", [rows, graph.ints([0, 0, size // 2, 0, 0, 0, (size - 1) // 2, 0])])
    total = graph.node("LpPool", [padded], p=1, kernel_shape=[size, 1], strides=[1, 1])
    total = graph.node("Reshape", [total, as_vector(graph, sizes_of(graph, op.x))])
    scaled = graph.node("Mul", [total, graph.like(op.x, op.alpha.val / size)])
    base = graph.node("Add", [scaled, graph.like(op.x, op.k.val)])
    return graph.node("Div", [name, graph.node("Pow", [base, graph.like(op.x, op.beta.val)])])


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
    "local_response_norm": local_response_norm,
}
