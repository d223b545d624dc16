"""Lists: a list of elements of one shape is a tensor with a dimension more, the first, which is its length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.generate import filled
from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, Var, dims


def _element(op: Operation) -> list[int]:
    """Return the shape of the elements of the list that an op makes."""
    sizes = dims(op.outputs[0])[1:]
    if any(size is None for size in sizes):
        raise UnsupportedProgramError(
            f"The {op.op_type} that makes '{op.outputs[0].name}' makes a list of elements of open size."
        )
    return [size for size in sizes if size is not None]


def _vector(graph: Graph, var: Var) -> str:
    """Return whole numbers, be they one or many, as an int64 vector."""
    return graph.node("Reshape", [graph.cast(graph.tensor(var), np.int64), graph.ints([-1])])


def _length(graph: Graph, name: str) -> str:
    """Return the length of a list as an int64 vector of one."""
    return graph.node("Shape", [name], start=0, end=1)


def _zeros(graph: Graph, op: Operation, length: str) -> str:
    return filled(graph, graph.node("Concat", [length, graph.ints(_element(op))], axis=0), op.outputs[0], 0)


def make_list(graph: Graph, op: Operation) -> str:
    """Return a list of zeros."""
    return _zeros(graph, op, _vector(graph, op.init_length))


def _written(graph: Graph, op: Operation, indices: str, values: str) -> str:
    """Return the list with ``values`` at the vector ``indices``; one that is too short grows, and is zero between.

    A saved program does not tell a list that can grow from one that cannot.
    """
    name = graph.tensor(op.ls)
    length = _length(graph, name)
    last = graph.node("Sub", [length, graph.ints([1])])
    furthest = graph.node("ReduceMax", [graph.node("Concat", [last, indices], axis=0)], keepdims=1)
    name = graph.node("Concat", [name, _zeros(graph, op, graph.node("Sub", [furthest, last]))], axis=0)
    return graph.node("ScatterND", [name, graph.node("Unsqueeze", [indices, graph.ints([-1])]), values])


def list_write(graph: Graph, op: Operation) -> str:
    """Return the list with one element replaced."""
    value = graph.node("Unsqueeze", [graph.tensor(op.value), graph.ints([0])])
    return _written(graph, op, _vector(graph, op.index), value)


def list_scatter(graph: Graph, op: Operation) -> str:
    """Return the list with the elements at ``indices`` replaced."""
    return _written(graph, op, _vector(graph, op.indices), graph.tensor(op.value))


def list_read(graph: Graph, op: Operation) -> str:
    """Return one element."""
    element = graph.node("Gather", [graph.tensor(op.ls), _vector(graph, op.index)], axis=0)
    return graph.node("Squeeze", [element, graph.ints([0])])


def list_gather(graph: Graph, op: Operation) -> str:
    """Return the elements at ``indices``, stacked."""
    return graph.node("Gather", [graph.tensor(op.ls), _vector(graph, op.indices)], axis=0)


def list_length(graph: Graph, op: Operation) -> str:
    """Return the number of elements."""
    length = graph.node("Squeeze", [_length(graph, graph.tensor(op.ls)), graph.ints([0])])
    return graph.cast(length, np.int32)


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "list_gather": list_gather,
    "list_length": list_length,
    "list_read": list_read,
    "list_scatter": list_scatter,
    "list_write": list_write,
    "make_list": make_list,
}
