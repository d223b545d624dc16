"""Every op of the reference runtime, by family: one row is one function that adds the op's nodes to the graph."""

from __future__ import annotations

from collections.abc import Callable

from coremlbench.mil_onnx import activation, classify, conv, elementwise, linear, normalization, pool, reduction, tensor
from coremlbench.mil_onnx.graph import Graph, Operation

OPS: dict[str, Callable[[Graph, Operation], str | list[str]]] = {
    **elementwise.OPS,
    **activation.OPS,
    **conv.OPS,
    **pool.OPS,
    **linear.OPS,
    **normalization.OPS,
    **reduction.OPS,
    **tensor.OPS,
    **classify.OPS,
}
