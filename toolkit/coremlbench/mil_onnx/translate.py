"""ML Program to ONNX: walk the operations in order, build each with the function of its row in OPS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from coremlbench.mil_onnx.classify import labels
from coremlbench.mil_onnx.graph import (
    Graph,
    Operation,
    UnknownOp,
    UnsupportedProgram,
    Var,
    carrier,
    dims,
    dtype_name,
    onnx_type,
)
from coremlbench.mil_onnx.ops import OPS
from coremlbench.mil_onnx.program import Program
from coremlbench.mil_onnx.rounding import COMMUTES, EXACT

OPSET = 20
IR_VERSION = 9
CLASSES_KEY = "coremlbench.classes"
"""The metadata entry that lists a classifier's labels, as JSON, in the order of its probabilities."""


def to_onnx(program: Program, *, also: Sequence[str] = ()) -> Any:
    """Return the ``onnx.ModelProto`` that computes what the program computes.

    Inputs and outputs keep their names, shapes and types. A classifier's label comes out as a string or int64
    tensor of one element, its probabilities as a float vector; the labels stand in the model's metadata. The
    values named by ``also`` become outputs too: they are how two programs are compared op by op.

    Raises:
        UnknownOp: the program uses an op that has no row in OPS.
        UnsupportedProgram: a form of an op, or of the program, that ONNX cannot express.
    """
    from onnx import helper

    function = program.function
    exposed = _exposed(program, also)
    graph = Graph()
    for var in exposed:
        if var.val is not None or _is_half(var):
            graph.reserve(var.name)
    inputs = [_input(graph, name, var) for name, var in function.inputs.items()]
    walk(graph, function.operations)
    outputs = [_output(graph, var) for var in exposed]
    made = helper.make_graph(graph.nodes, "main", inputs, outputs, initializer=graph.initializers)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="coremlbench", ir_version=IR_VERSION
    )
    classes = _classes(function.operations)
    if classes is not None:
        helper.set_model_props(model, {CLASSES_KEY: json.dumps(classes)})
    return model


def walk(graph: Graph, operations: Iterable[Operation]) -> None:
    """Add the nodes of every operation that is not a constant, in order."""
    for number, op in enumerate(operations):
        if op.op_type == "const" or op.op_type.startswith("constexpr_"):
            continue
        if all(var.val is not None for var in op.outputs):
            continue  # coremltools computed it from constants; it becomes an initializer where it is used
        build = OPS.get(op.op_type)
        if build is None:
            raise UnknownOp(
                f"The reference runtime does not know the op '{op.op_type}' (operation {number}, which makes "
                f"'{op.outputs[0].name}'); run this model on a Mac, or convert it without that op."
            )
        outer = (graph.place, graph.through, graph.took_unrounded)
        graph.place, graph.through, graph.took_unrounded = op.outputs[0].name, op.op_type in COMMUTES, False
        made = build(graph, op)
        names = (made,) if isinstance(made, str) else made
        rounds = graph.took_unrounded if op.op_type in COMMUTES else op.op_type not in EXACT
        for var, name in zip(op.outputs, names, strict=True):
            graph.bind(var, name, rounding=rounds and _is_half(var))
        graph.place, graph.through, graph.took_unrounded = outer


def _is_half(var: Var) -> bool:
    from coremltools.converters.mil.mil import types

    return not types.is_list(var.sym_type) and not types.is_dict(var.sym_type) and dtype_name(var) == "fp16"


def _input(graph: Graph, name: str, var: Var) -> Any:
    from coremltools.converters.mil.mil import types
    from onnx import helper

    if types.is_state(var.sym_type):
        raise UnsupportedProgram(
            f"The program keeps a state '{name}' between predictions, which the reference runtime does not hold; "
            "run this model on a Mac."
        )
    half = dtype_name(var) == "fp16"
    kind = np.dtype(np.float16) if half else carrier(dtype_name(var))
    shape = [f"{name}_{index}" if size is None else size for index, size in enumerate(dims(var))]
    taken = graph.fresh(name)
    graph.place = name
    graph.names[var] = graph.cast(taken, np.float32) if half else taken
    return helper.make_tensor_value_info(taken, onnx_type(kind), shape)


def _exposed(program: Program, also: Sequence[str]) -> list[Var]:
    exposed = list(program.function.outputs)
    declared = {var.name for var in exposed}
    values = {var.name: var for op in program.function.operations for var in op.outputs}
    for name in also:
        if name not in values:
            raise UnsupportedProgram(
                f"The program of '{program.source}' has no value '{name}' that could be an output."
            )
        if name not in declared:
            exposed.append(values[name])
    return exposed


def _output(graph: Graph, var: Var) -> Any:
    """Make the tensor that bears the output's name and has the output's own type."""
    from onnx import TensorProto, helper

    if var.op is not None and var.op.op_type == "classify":
        found = labels(var.op)
        if var is not var.op.outputs[0]:
            return helper.make_tensor_value_info(graph.tensor(var), TensorProto.FLOAT, [len(found)])
        kind = TensorProto.STRING if isinstance(found[0], str) else TensorProto.INT64
        return helper.make_tensor_value_info(graph.tensor(var), kind, [1])
    element = np.dtype(np.float16) if _is_half(var) else carrier(dtype_name(var))
    shape = [f"{var.name}_{index}" if size is None else size for index, size in enumerate(dims(var))]
    if _is_half(var):
        source = graph.pending.get(var) or graph.tensor(var)
        graph.nodes.append(helper.make_node("Cast", [source], [var.name], to=onnx_type(element)))
    elif graph.tensor(var) != var.name:
        graph.nodes.append(helper.make_node("Identity", [graph.tensor(var)], [var.name]))
    return helper.make_tensor_value_info(var.name, onnx_type(element), shape)


def _classes(operations: Iterable[Operation]) -> list[Any] | None:
    for op in operations:
        if op.op_type == "classify":
            return labels(op)
    return None
