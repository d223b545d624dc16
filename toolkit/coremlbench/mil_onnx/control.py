"""Conditions and loops, as ONNX subgraphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coremlbench.mil_onnx.generate import scalar
from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dtype_name, onnx_type
from coremlbench.mil_onnx.walk import walk


def _info(name: str, var: Var) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, onnx_type(carrier(dtype_name(var))), None)


def _subgraph(graph: Graph, name: str, inputs: Sequence[Any], outputs: Sequence[tuple[str, Var]]) -> Any:
    """Return the finished subgraph; each output is copied, as it can be a value of the enclosing graph."""
    from onnx import helper

    copies = [(graph.node("Identity", [output]), var) for output, var in outputs]
    infos = [_info(copy, var) for copy, var in copies]
    return helper.make_graph(graph.nodes, name, list(inputs), infos, initializer=graph.initializers)


def cond(graph: Graph, op: Operation) -> list[str]:
    """Return what the block of the branch taken returns."""
    branches = []
    for side, block in zip(("then", "else"), op.blocks, strict=True):
        branch = Graph(graph.builders, graph)
        branch.place = f"{graph.place}/{side}"
        walk(branch, block.operations, f"the {side} branch of '{graph.place}'")
        results = [(branch.tensor(var), var) for var in block.outputs]
        branches.append(_subgraph(branch, branch.place, [], results))
    return graph.node_with_outputs(
        "If", [scalar(graph, op.pred)], len(op.outputs), then_branch=branches[0], else_branch=branches[1]
    )


def while_loop(graph: Graph, op: Operation) -> list[str]:
    """Return the loop variables when the condition is false.

    Core ML evaluates the condition before each iteration. ONNX's Loop takes the first value as an input and the
    following ones from its body, so the condition's block is walked twice: before the loop and in its body.
    """
    condition, body = op.blocks
    before = [graph.tensor(var) for var in op.loop_vars]
    graph.names.update(zip(condition.inputs, before, strict=True))
    asking, turning = f"the condition of the loop '{graph.place}'", f"the body of the loop '{graph.place}'"
    walk(graph, condition.operations, asking)
    first = scalar(graph, condition.outputs[0])

    inner = Graph(graph.builders, graph)
    inner.place = f"{graph.place}/body"
    counter, asked = inner.fresh(f"{inner.place}/turn"), inner.fresh(f"{inner.place}/asked")
    carried = [inner.fresh(f"{inner.place}/{var.name}") for var in op.loop_vars]
    inner.names.update(zip(body.inputs, carried, strict=True))
    walk(inner, body.operations, turning)
    after = [inner.tensor(var) for var in body.outputs]
    inner.names.update(zip(condition.inputs, after, strict=True))
    walk(inner, condition.operations, asking)
    again = scalar(inner, condition.outputs[0])

    inputs = [_scalar_info(counter, np.int64), _scalar_info(asked, np.bool_)]
    inputs += [_info(name, var) for name, var in zip(carried, op.loop_vars, strict=True)]
    outputs = [(again, condition.outputs[0]), *zip(after, body.outputs, strict=True)]
    body_graph = _subgraph(inner, inner.place, inputs, outputs)
    return graph.node_with_outputs("Loop", ["", first, *before], len(op.outputs), body=body_graph)


def _scalar_info(name: str, dtype: type) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, onnx_type(dtype), [])


OPS: dict[str, Callable[[Graph, Operation], list[str]]] = {"cond": cond, "while_loop": while_loop}
