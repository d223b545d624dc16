"""Walk the operations of a block in order and build each with the function of its row in OPS."""

from __future__ import annotations

from collections.abc import Iterable

from coremlbench.mil_onnx.graph import Graph, Operation, UnknownOp, is_half
from coremlbench.mil_onnx.rounding import COMMUTES, EXACT


def walk(graph: Graph, operations: Iterable[Operation]) -> None:
    """Add the nodes of every operation that is not a constant, in order."""
    for number, op in enumerate(operations):
        if op.op_type == "const" or op.op_type.startswith("constexpr_"):
            continue
        if all(var.val is not None for var in op.outputs):
            continue  # coremltools computed it from constants; it becomes an initializer where it is used
        build = graph.builders.get(op.op_type)
        if build is None:
            raise UnknownOp(
                f"The reference runtime does not know the op '{op.op_type}' (operation {number}, which makes "
                f"'{op.outputs[0].name}'); run this model on a Mac, or convert it without that op."
            )
        outer = (graph.place, graph.through, graph.took_unrounded)
        graph.begin(op.outputs[0].name, through=op.op_type in COMMUTES)
        made = build(graph, op)
        names = (made,) if isinstance(made, str) else made
        rounds = graph.took_unrounded if op.op_type in COMMUTES else op.op_type not in EXACT
        for var, name in zip(op.outputs, names, strict=True):
            graph.bind(var, name, rounding=rounds and is_half(var))
        graph.place, graph.through, graph.took_unrounded = outer
