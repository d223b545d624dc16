"""States, which a program reads and writes and which last from one prediction to the next (since iOS 18).

In the ONNX graph a state is an input, and its last value an output of another name; who runs the graph hands the value
over from one prediction to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, Var, carrier, onnx_type

STATES_KEY = "coremlbench.states"
"""Key of the ONNX model's metadata with the name of the output of each state, as JSON."""


def is_state(var: Var) -> bool:
    """Return whether an input of a program is a state."""
    from coremltools.converters.mil.mil import types

    return bool(types.is_state(var.sym_type))


def state_type(var: Var) -> tuple[str, tuple[int, ...]]:
    """Return the MIL name of the element type and the shape of a state."""
    from coremltools.converters.mil.mil.types import builtin_to_string

    wrapped = var.sym_type.wrapped_type()
    return str(builtin_to_string(wrapped.get_primitive())), tuple(int(size) for size in wrapped.get_shape())


def _saved_type(name: str) -> np.dtype[Any]:
    return np.dtype(np.float16) if name == "fp16" else carrier(name)


def add_state(graph: Graph, name: str, var: Var) -> Any:
    """Add a state of the program to the graph; return the description of its ONNX input."""
    from onnx import helper

    element, shape = state_type(var)
    taken = graph.fresh(name)
    graph.place = name
    graph.states[var] = graph.cast(taken, np.float32) if element == "fp16" else taken
    return helper.make_tensor_value_info(taken, onnx_type(_saved_type(element)), shape)


def state_outputs(graph: Graph, states: Mapping[str, Var]) -> dict[str, Any]:
    """Add the outputs with the last values of the states; return their descriptions by the names of the states."""
    from onnx import helper

    outputs = {}
    for name, var in states.items():
        element, shape = state_type(var)
        kind = onnx_type(_saved_type(element))
        graph.place = f"{name}/last"
        last = graph.node("Cast", [graph.states[var]], to=kind)
        outputs[name] = helper.make_tensor_value_info(last, kind, shape)
    return outputs


def _state_of(graph: Graph, op: Operation, var: Var) -> Var:
    if var not in graph.states:
        raise UnsupportedProgramError(
            f"The {op.op_type} that makes '{op.outputs[0].name}' uses a state within a condition or a loop, which the "
            "reference runtime cannot execute; run this model on a Mac."
        )
    return var


def read_state(graph: Graph, op: Operation) -> str:
    """Return the value that the state has at this place of the program."""
    return graph.node("Identity", [graph.states[_state_of(graph, op, op.input)]])


def update_state(graph: Graph, op: Operation) -> str:
    """Give the state a value and return that value."""
    value = graph.tensor(op.value)
    graph.states[_state_of(graph, op, op.state)] = value
    return graph.node("Identity", [value])


OPS: dict[str, Callable[[Graph, Operation], str]] = {"coreml_update_state": update_state, "read_state": read_state}
