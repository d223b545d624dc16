"""Quantised activations: what ``int8-activations`` models do between their ops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, carrier, dtype_name


def _parameters(graph: Graph, op: Operation, kind: str) -> list[str]:
    scale = graph.value(op.scale)
    assert scale is not None, "the scale is a constant by the op's definition"
    zero = graph.value(op.zero_point)
    zero = np.zeros(scale.shape) if zero is None else zero
    return [graph.constant(scale, np.float32), graph.constant(zero, carrier(kind))]


def _axis(op: Operation) -> int | None:
    return None if op.axis is None or op.scale.rank == 0 else int(op.axis.val)


def quantize(graph: Graph, op: Operation) -> str:
    """Return ``round(input / scale) + zero_point`` held in the range of the output's type; halves go to even."""
    inputs = [graph.tensor(op.input), *_parameters(graph, op, dtype_name(op.outputs[0]))]
    return graph.node("QuantizeLinear", inputs, axis=_axis(op))


def dequantize(graph: Graph, op: Operation) -> str:
    """Return ``scale * (input - zero_point)``."""
    inputs = [graph.tensor(op.input), *_parameters(graph, op, dtype_name(op.input))]
    return graph.node("DequantizeLinear", inputs, axis=_axis(op))


OPS: dict[str, Callable[[Graph, Operation], str]] = {"dequantize": dequantize, "quantize": quantize}
