"""Elementwise ops: arithmetic, comparison, logic, selection, casts. Broadcasting is numpy's, as in ONNX."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, Var, carrier, dtype_name


def is_integer(var: Var) -> bool:
    """Return whether the values are carried as integers."""
    return bool(np.issubdtype(carrier(dtype_name(var)), np.integer))


def _operands(graph: Graph, op: Operation) -> list[str]:
    """Return both operands; by the definition of every op of two they are of one type."""
    return [graph.tensor(op.x), graph.tensor(op.y)]


def binary(kind: str) -> Callable[[Graph, Operation], str]:
    """Return the function of an op that is one ONNX node of ``x`` and ``y``."""

    def build(graph: Graph, op: Operation) -> str:
        return graph.node(kind, _operands(graph, op))

    return build


def unary(kind: str) -> Callable[[Graph, Operation], str]:
    """Return the function of an op that is one ONNX node of ``x``."""

    def build(graph: Graph, op: Operation) -> str:
        return graph.node(kind, [graph.tensor(op.x)])

    return build


def not_equal(graph: Graph, op: Operation) -> str:
    """Return ``x != y``."""
    return graph.node("Not", [graph.node("Equal", _operands(graph, op))])


def real_div(graph: Graph, op: Operation) -> str:
    """Return ``x / y``; the quotient of integers is the true quotient cut to the output's type."""
    left, right = _operands(graph, op)
    if not is_integer(op.x):
        return graph.node("Div", [left, right])
    quotient = graph.node("Div", [graph.cast(left, np.float64), graph.cast(right, np.float64)])
    return graph.cast(quotient, carrier(dtype_name(op.outputs[0])))


def floor_div(graph: Graph, op: Operation) -> str:
    """Return the quotient rounded towards negative infinity; ONNX's integer Div rounds towards zero."""
    left, right = _operands(graph, op)
    if not is_integer(op.x):
        return graph.node("Floor", [graph.node("Div", [left, right])])
    return graph.node("Div", [graph.node("Sub", [left, graph.node("Mod", [left, right])]), right])


def mod(graph: Graph, op: Operation) -> str:
    """Return the remainder with the sign of ``y``, as Python's ``%``; ONNX's float Mod has the sign of ``x``."""
    left, right = _operands(graph, op)
    if is_integer(op.x):
        return graph.node("Mod", [left, right])
    remainder = graph.node("Mod", [left, right], fmod=1)
    zero = graph.constant(0, np.float32)
    differs = graph.node("Xor", [graph.node("Less", [remainder, zero]), graph.node("Less", [right, zero])])
    wrong = graph.node("And", [differs, graph.node("Not", [graph.node("Equal", [remainder, zero])])])
    return graph.node("Where", [wrong, graph.node("Add", [remainder, right]), remainder])


def exp2(graph: Graph, op: Operation) -> str:
    """Return 2 to the power of ``x``."""
    return graph.node("Pow", [graph.like(op.x, 2), graph.tensor(op.x)])


def square(graph: Graph, op: Operation) -> str:
    """Return ``x * x``."""
    name = graph.tensor(op.x)
    return graph.node("Mul", [name, name])


def _plus_epsilon(graph: Graph, op: Operation) -> str:
    epsilon = float(op.epsilon.val)
    name = graph.tensor(op.x)
    return name if np.float32(epsilon) == 0 else graph.node("Add", [name, graph.like(op.x, epsilon)])


def inverse(graph: Graph, op: Operation) -> str:
    """Return ``1 / (x + epsilon)``."""
    return graph.node("Reciprocal", [_plus_epsilon(graph, op)])


def log(graph: Graph, op: Operation) -> str:
    """Return ``log(x + epsilon)``."""
    return graph.node("Log", [_plus_epsilon(graph, op)])


def rsqrt(graph: Graph, op: Operation) -> str:
    """Return ``1 / sqrt(x + epsilon)``."""
    return graph.node("Reciprocal", [graph.node("Sqrt", [_plus_epsilon(graph, op)])])


def clip(graph: Graph, op: Operation) -> str:
    """Return ``x`` held between ``alpha`` and ``beta``."""
    return graph.node("Clip", [graph.tensor(op.x), graph.like(op.x, op.alpha.val), graph.like(op.x, op.beta.val)])


def threshold(graph: Graph, op: Operation) -> str:
    """Return the larger of ``x`` and ``alpha``."""
    return graph.node("Max", [graph.tensor(op.x), graph.like(op.x, op.alpha.val)])


def cast(graph: Graph, op: Operation) -> str:
    """Return ``x`` in another type; a float becomes an integer by cutting its fraction off."""
    source, target = carrier(dtype_name(op.x)), carrier(dtype_name(op.outputs[0]))
    name = graph.tensor(op.x)
    return name if source == target else graph.cast(name, target)


def select(graph: Graph, op: Operation) -> str:
    """Return ``a`` where the condition holds and ``b`` elsewhere."""
    kind = carrier(dtype_name(op.outputs[0]))
    return graph.where(graph.tensor(op.cond), graph.tensor(op.a), graph.tensor(op.b), kind)


OPS: dict[str, Callable[[Graph, Operation], str]] = {
    "abs": unary("Abs"),
    "acos": unary("Acos"),
    "add": binary("Add"),
    "asin": unary("Asin"),
    "atan": unary("Atan"),
    "atanh": unary("Atanh"),
    "cast": cast,
    "ceil": unary("Ceil"),
    "clip": clip,
    "cos": unary("Cos"),
    "cosh": unary("Cosh"),
    "equal": binary("Equal"),
    "erf": unary("Erf"),
    "exp": unary("Exp"),
    "exp2": exp2,
    "floor": unary("Floor"),
    "floor_div": floor_div,
    "greater": binary("Greater"),
    "greater_equal": binary("GreaterOrEqual"),
    "inverse": inverse,
    "less": binary("Less"),
    "less_equal": binary("LessOrEqual"),
    "log": log,
    "logical_and": binary("And"),
    "logical_not": unary("Not"),
    "logical_or": binary("Or"),
    "logical_xor": binary("Xor"),
    "maximum": binary("Max"),
    "minimum": binary("Min"),
    "mod": mod,
    "mul": binary("Mul"),
    "not_equal": not_equal,
    "pow": binary("Pow"),
    "real_div": real_div,
    "round": unary("Round"),
    "rsqrt": rsqrt,
    "select": select,
    "sign": unary("Sign"),
    "sin": unary("Sin"),
    "sinh": unary("Sinh"),
    "sqrt": unary("Sqrt"),
    "square": square,
    "sub": binary("Sub"),
    "tan": unary("Tan"),
    "tanh": unary("Tanh"),
    "threshold": threshold,
}
