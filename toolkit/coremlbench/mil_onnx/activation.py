"""Activations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.elementwise import unary
from coremlbench.mil_onnx.graph import Graph, Operation


def _per_channel(graph: Graph, op: Operation, values: object) -> str:
    """Return a constant of one value a channel, shaped to broadcast along the second dimension of ``x``."""
    array = np.asarray(values, dtype=np.float32)
    return graph.constant(array.reshape(-1, *[1] * (op.x.rank - 2)), np.float32)


def clamped_relu(graph: Graph, op: Operation) -> str:
    """Return ``min(beta, x)`` for ``x >= 0`` and ``min(beta, alpha * x)`` below."""
    return graph.node("Min", [leaky_relu(graph, op), graph.constant(op.beta.val, np.float32)])


def elu(graph: Graph, op: Operation) -> str:
    """Return ``x`` above 0 and ``alpha * (exp(x) - 1)`` below."""
    return graph.node("Elu", [graph.tensor(op.x)], alpha=float(op.alpha.val))


def gelu(graph: Graph, op: Operation) -> str:
    """Return the Gaussian error linear unit, exact or in one of its two approximations."""
    name, mode = graph.tensor(op.x), op.mode.val
    if mode == "SIGMOID_APPROXIMATION":
        scaled = graph.node("Mul", [name, graph.constant(1.702, np.float32)])
        return graph.node("Mul", [name, graph.node("Sigmoid", [scaled])])
    return graph.node("Gelu", [name], approximate="tanh" if mode == "TANH_APPROXIMATION" else None)


def leaky_relu(graph: Graph, op: Operation) -> str:
    """Return ``x`` from 0 on and ``alpha * x`` below."""
    return graph.node("LeakyRelu", [graph.tensor(op.x)], alpha=float(op.alpha.val))


def linear_activation(graph: Graph, op: Operation) -> str:
    """Return ``alpha * x + beta``."""
    scaled = graph.node("Mul", [graph.tensor(op.x), graph.constant(op.alpha.val, np.float32)])
    return graph.node("Add", [scaled, graph.constant(op.beta.val, np.float32)])


def prelu(graph: Graph, op: Operation) -> str:
    """Return ``x`` above 0 and ``alpha * x`` below, with one alpha a channel."""
    return graph.node("PRelu", [graph.tensor(op.x), _per_channel(graph, op, op.alpha.val)])


def _behind_transpose(graph: Graph, op: Operation, kind: str, *parameters: str) -> str:
    """Return one elementwise node of ``x``, put before the transpose that makes ``x``, if one does."""
    before = graph.before_transpose(op.x)
    if before is None:
        return graph.node(kind, [graph.tensor(op.x), *parameters])
    source, perm = before
    return graph.transpose(graph.node(kind, [source, *parameters]), perm)


def relu(graph: Graph, op: Operation) -> str:
    """Return ``x`` from 0 on and 0 below."""
    return _behind_transpose(graph, op, "Relu")


def relu6(graph: Graph, op: Operation) -> str:
    """Return ``x`` held between 0 and 6."""
    return _behind_transpose(graph, op, "Clip", graph.constant(0, np.float32), graph.constant(6, np.float32))


def scaled_tanh(graph: Graph, op: Operation) -> str:
    """Return ``alpha * tanh(beta * x)``."""
    inner = graph.node("Mul", [graph.tensor(op.x), graph.constant(op.beta.val, np.float32)])
    return graph.node("Mul", [graph.node("Tanh", [inner]), graph.constant(op.alpha.val, np.float32)])


def sigmoid_hard(graph: Graph, op: Operation) -> str:
    """Return ``alpha * x + beta`` held between 0 and 1."""
    return graph.node("HardSigmoid", [graph.tensor(op.x)], alpha=float(op.alpha.val), beta=float(op.beta.val))


def silu(graph: Graph, op: Operation) -> str:
    """Return ``x * sigmoid(x)``."""
    name = graph.tensor(op.x)
    return graph.node("Mul", [name, graph.node("Sigmoid", [name])])


def softmax(graph: Graph, op: Operation) -> str:
    """Return the softmax along ``axis``."""
    return graph.node("Softmax", [graph.tensor(op.x)], axis=int(op.axis.val))


def softplus_parametric(graph: Graph, op: Operation) -> str:
    """Return ``alpha * log(1 + exp(beta * x))``, with one alpha and one beta a channel."""
    inner = graph.node("Mul", [graph.tensor(op.x), _per_channel(graph, op, op.beta.val)])
    return graph.node("Mul", [graph.node("Softplus", [inner]), _per_channel(graph, op, op.alpha.val)])


def thresholded_relu(graph: Graph, op: Operation) -> str:
    """Return ``x`` from ``alpha`` on and 0 below; ONNX's ThresholdedRelu leaves ``alpha`` itself out."""
    name = graph.tensor(op.x)
    below = graph.node("Less", [name, graph.constant(op.alpha.val, np.float32)])
    return graph.node("Where", [below, graph.constant(0, np.float32), name])


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "clamped_relu": clamped_relu,
    "elu": elu,
    "gelu": gelu,
    "leaky_relu": leaky_relu,
    "linear_activation": linear_activation,
    "prelu": prelu,
    "relu": relu,
    "relu6": relu6,
    "scaled_tanh": scaled_tanh,
    "sigmoid": unary("Sigmoid"),
    "sigmoid_hard": sigmoid_hard,
    "silu": silu,
    "softmax": softmax,
    "softplus": unary("Softplus"),
    "softplus_parametric": softplus_parametric,
    "softsign": unary("Softsign"),
    "thresholded_relu": thresholded_relu,
}
