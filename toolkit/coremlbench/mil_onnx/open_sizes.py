"""Sizes that may be open: Python integers where the program states them, else int64 tensors of one element."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from coremlbench.mil_onnx.graph import Graph, Var, dims

Size = int | str
"""A size: a number, or the name of an int64 tensor of one element that holds it at run time."""

ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add,
    "Div": operator.floordiv,
    "Max": max,
    "Min": min,
    "Mul": operator.mul,
    "Sub": operator.sub,
}
"""ONNX's ops on two sizes, none of them negative where it is divided, and the same in Python."""


def sizes_of(graph: Graph, var: Var) -> list[Size]:
    """Return the size of each dimension of a value."""
    return [size_of(graph, var, axis) for axis in range(var.rank)]


def size_of(graph: Graph, var: Var, axis: int) -> Size:
    """Return the size of one dimension of a value."""
    size = dims(var)[axis]
    if size is not None:
        return size
    return graph.node("Shape", [graph.tensor(var)], start=axis, end=axis + 1 or None)


def combine(graph: Graph, kind: str, first: Size, second: Size) -> Size:
    """Return the result of one of ``ARITHMETIC`` on two sizes; it is computed here where both are numbers."""
    if isinstance(first, int) and isinstance(second, int):
        return ARITHMETIC[kind](first, second)
    return graph.node(kind, [as_vector(graph, [size]) for size in (first, second)])


def as_vector(graph: Graph, sizes: Sequence[Size]) -> str:
    """Return the int64 vector of the sizes."""
    if all(isinstance(size, int) for size in sizes):
        return graph.ints([size for size in sizes if isinstance(size, int)])
    parts = [size if isinstance(size, str) else graph.ints([size]) for size in sizes]
    return parts[0] if len(parts) == 1 else graph.node("Concat", parts, axis=0)
