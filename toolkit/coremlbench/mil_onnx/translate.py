"""Convert an ML Program to an ONNX model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from coremlbench.mil_onnx.classify import labels
from coremlbench.mil_onnx.graph import (
    Graph,
    Operation,
    UnsupportedProgramError,
    Var,
    carrier,
    dims,
    dtype_name,
    has_unknown_rank,
    is_half,
    is_list,
    onnx_type,
)
from coremlbench.mil_onnx.ops import OPS
from coremlbench.mil_onnx.program import Program
from coremlbench.mil_onnx.states import STATES_KEY, add_state, is_state, state_outputs
from coremlbench.mil_onnx.walk import walk
from coremlbench.types.errors import InputError

OPSET = 20
IR_VERSION = 9
CLASSES_KEY = "coremlbench.classes"
"""Key of the model's metadata with a classifier's labels, as JSON, in the order of its probabilities."""


def to_onnx(program: Program, *, also: Sequence[str] = ()) -> Any:
    """Return an ``onnx.ModelProto`` that computes the same as the program.

    Inputs and outputs keep their names, shapes and types; an output without dimensions has one of size 1, as Core ML
    returns it. Each state is an input and an output more (``states.py``). A classifier's label is a string or int64
    tensor of one element, its probabilities a float vector; the labels are in the model's metadata. The values named by
    ``also`` become outputs too, so that two programs can be compared op by op.

    Raises:
        UnknownOpError: the program has an op without an entry in OPS.
        UnsupportedProgramError: a form of an op, or of the program, that ONNX cannot express.
        InputError: several outputs have one name.
    """
    from onnx import helper

    function = program.function
    exposed = _exposed(program, also)
    graph = Graph(OPS)
    for var in exposed:
        if var.val is not None or is_half(var) or _is_scalar(var):
            graph.reserve(var.name)
    inputs = [
        add_state(graph, name, var) if is_state(var) else _input(graph, name, var)
        for name, var in function.inputs.items()
    ]
    walk(graph, function.operations)
    outputs = [_output(graph, var) for var in exposed]
    states = state_outputs(graph, {name: var for name, var in function.inputs.items() if is_state(var)})
    outputs += states.values()
    nodes = _needed(graph.nodes, {info.name for info in outputs})
    graph_proto = helper.make_graph(nodes, "main", inputs, outputs, initializer=graph.initializers)
    model = helper.make_model(
        graph_proto, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="coremlbench", ir_version=IR_VERSION
    )
    properties = {}
    classes = _classes(function.operations)
    if classes is not None:
        properties[CLASSES_KEY] = json.dumps(classes)
    if states:
        properties[STATES_KEY] = json.dumps({name: info.name for name, info in states.items()})
    helper.set_model_props(model, properties)
    return model


def _input(graph: Graph, name: str, var: Var) -> Any:
    from onnx import helper

    half = dtype_name(var) == "fp16"
    kind = np.dtype(np.float16) if half else carrier(dtype_name(var))
    shape = [f"{name}_{index}" if size is None else size for index, size in enumerate(dims(var))]
    taken = graph.fresh(name)
    graph.place = name
    graph.names[var] = graph.cast(taken, np.float32) if half else taken
    return helper.make_tensor_value_info(taken, onnx_type(kind), shape)


def _exposed(program: Program, also: Sequence[str]) -> list[Var]:
    exposed = list(program.function.outputs)
    names = [var.name for var in exposed]
    declared = set(names)
    if len(declared) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"{program.source} has several outputs with the name '{repeated}', and Core ML returns one value for all "
            "of them; convert the model again with coremlbench, which gives each a name of its own."
        )
    values = {var.name: var for op in program.function.operations for var in op.outputs}
    for name in also:
        if name not in values:
            raise UnsupportedProgramError(
                f"The program of '{program.source}' has no value '{name}' that could be an output."
            )
        if name not in declared:
            exposed.append(values[name])
    return exposed


def _output(graph: Graph, var: Var) -> Any:
    """Add the tensor with the output's name and type; return its description."""
    from onnx import TensorProto, helper

    if _is_classified(var):
        class_labels = labels(var.op)
        if var is not var.op.outputs[0]:
            return helper.make_tensor_value_info(graph.tensor(var), TensorProto.FLOAT, [len(class_labels)])
        kind = TensorProto.STRING if isinstance(class_labels[0], str) else TensorProto.INT64
        return helper.make_tensor_value_info(graph.tensor(var), kind, [1])
    element = np.dtype(np.float16) if is_half(var) else carrier(dtype_name(var))
    if has_unknown_rank(var):
        shape = None
    else:
        shape = [f"{var.name}_{index}" if size is None else size for index, size in enumerate(dims(var))] or [1]
    source = (graph.pending.get(var) if is_half(var) else None) or graph.tensor(var)
    if _is_scalar(var):
        graph.place = var.name
        source = graph.node("Reshape", [source, graph.ints([1])])
    if is_half(var):
        graph.nodes.append(helper.make_node("Cast", [source], [var.name], to=onnx_type(element)))
    elif source != var.name:
        graph.nodes.append(helper.make_node("Identity", [source], [var.name]))
    return helper.make_tensor_value_info(var.name, onnx_type(element), shape)


def _is_scalar(var: Var) -> bool:
    """Return whether an output has no dimensions; the label of a classifier is none of these."""
    return not is_list(var) and not has_unknown_rank(var) and var.rank == 0 and not _is_classified(var)


def _is_classified(var: Var) -> bool:
    return var.op is not None and var.op.op_type == "classify"


def _needed(nodes: Sequence[Any], required: set[str]) -> list[Any]:
    """Return the nodes that produce ``required`` names, directly or indirectly; not moved transposes."""
    needed = []
    for node in reversed(nodes):
        if required.intersection(node.output):
            needed.append(node)
            required.update(_input_names(node))
    return needed[::-1]


def _input_names(node: Any) -> set[str]:
    """Return the names that a node uses, including those that its subgraphs use."""
    names = set(node.input)
    for attribute in node.attribute:
        names.update(value.name for value in attribute.g.output)
        for inner in attribute.g.node:
            names |= _input_names(inner)
    return names


def _classes(operations: Iterable[Operation]) -> list[Any] | None:
    for op in operations:
        if op.op_type == "classify":
            return labels(op)
    return None
