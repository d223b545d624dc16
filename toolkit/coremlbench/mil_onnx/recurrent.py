"""Recurrent layers: x is (steps, samples, features)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coremlbench.mil_onnx.clipped_lstm import Direction, clipped_lstm
from coremlbench.mil_onnx.graph import Array, Graph, Operation, Var

ACTIVATIONS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...]]] = {
    "tanh": ("Tanh", (), ()),
    "scaled_tanh": ("ScaledTanh", (1.0,), (1.0,)),
    "sigmoid": ("Sigmoid", (), ()),
    "hard_sigmoid": ("HardSigmoid", (0.2,), (0.5,)),
    "sigmoid_hard": ("HardSigmoid", (0.2,), (0.5,)),
    "relu": ("Relu", (), ()),
    "linear": ("Affine", (1.0,), (0.0,)),
}
"""Core ML's names: ONNX's name, and its alpha and beta where it has them.

The scales are those that coremltools' tests expect.
"""


def _activations(names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes that state the activations.

    ONNX Runtime assigns the alphas and betas in order to the activations that have them.
    """
    rows = [ACTIVATIONS[name.lower()] for name in names]
    return {
        "activations": [row[0] for row in rows],
        "activation_alpha": [value for row in rows for value in row[1]] or None,
        "activation_beta": [value for row in rows for value in row[2]] or None,
    }


def _gates(value: Array | None, order: Sequence[int], size: int) -> Array:
    """Return a stack of gates in another order; zeros where the program gives none."""
    if value is None:
        return np.zeros(size * len(order), dtype=np.float32)
    parts = np.split(value, len(order))
    return np.concatenate([parts[gate] for gate in order])


def _states(graph: Graph, var: Var, directions: int, size: int) -> str:
    """Return an initial state (samples, directions * size) as ONNX requires it (directions, samples, size)."""
    split = graph.node("Reshape", [graph.tensor(var), graph.ints([0, directions, size])])
    return graph.node("Transpose", [split], perm=[1, 0, 2])


def _final(graph: Graph, name: str, width: int) -> str:
    """Return a final state (directions, samples, size) as Core ML returns it (samples, directions * size)."""
    return graph.node("Reshape", [graph.node("Transpose", [name], perm=[1, 0, 2]), graph.ints([0, width])])


def _sequence(graph: Graph, op: Operation, every: str, final: str, width: int) -> str:
    """Return the states of every step in the order they were computed in, or only the last: (steps, samples, width).

    ONNX gives the states of a reverse layer in the order of the input, Core ML in that of the computation. A
    bidirectional layer has both directions in the order of the input.
    """
    if not op.output_sequence.val:
        return graph.node("Unsqueeze", [final, graph.ints([0])])
    name = graph.node("Reshape", [graph.node("Transpose", [every], perm=[0, 2, 1, 3]), graph.ints([0, 0, width])])
    if op.direction.val != "reverse":
        return name
    bounds = [graph.ints([value]) for value in (-1, -(2**31), 0, -1)]
    return graph.node("Slice", [name, *bounds])


def lstm(graph: Graph, op: Operation) -> list[str]:
    """Return the hidden states, the final hidden state and the final cell state.

    Core ML's order of the gates is input, forget, output, cell; ONNX's is input, output, forget, cell, for peepholes
    input, output, forget.
    """
    if op.clip is not None:
        return _clipped(graph, op)
    size, both = int(op.weight_hh.shape[1]), op.direction.val == "bidirectional"
    sides = ("", "_back") if both else ("",)
    tables: dict[str, list[Array]] = {"weight_ih": [], "weight_hh": [], "bias": [], "peephole": []}
    for side in sides:
        for name, rows in tables.items():
            order = (0, 2, 1) if name == "peephole" else (0, 2, 1, 3)
            rows.append(_gates(graph.value(getattr(op, name + side)), order, size))
    biases = [np.concatenate([row, np.zeros_like(row)]) for row in tables["bias"]]
    inputs = [
        graph.tensor(op.x),
        *(graph.constant(np.stack(rows), np.float32) for rows in (tables["weight_ih"], tables["weight_hh"], biases)),
        "",
        _states(graph, op.initial_h, len(sides), size),
        _states(graph, op.initial_c, len(sides), size),
        graph.constant(np.stack(tables["peephole"]), np.float32),
    ]
    names = [op.recurrent_activation.val, op.cell_activation.val, op.activation.val]
    every, hidden, cell = graph.node_with_outputs(
        "LSTM", inputs, 3, hidden_size=size, direction=op.direction.val, **_activations(names * len(sides))
    )
    width = size * len(sides)
    final = _final(graph, hidden, width)
    return [_sequence(graph, op, every, final, width), final, _final(graph, cell, width)]


def _clipped(graph: Graph, op: Operation) -> list[str]:
    """Return what ``lstm`` returns, with the cell states clipped after each step."""
    sides = ("", "_back") if op.direction.val == "bidirectional" else ("",)
    size = int(op.weight_hh.shape[1])
    parts = []
    for number, side in enumerate(sides):
        weights, recurrent, bias, peepholes = (
            graph.value(getattr(op, name + side)) for name in ("weight_ih", "weight_hh", "bias", "peephole")
        )
        assert weights is not None, "by the op's definition its weights are constant"
        assert recurrent is not None, "by the op's definition its weights are constant"
        direction = Direction(
            weights,
            recurrent,
            np.zeros(4 * size, np.float32) if bias is None else bias,
            peepholes,
            reverse=op.direction.val == "reverse" or bool(side),
        )
        bounds = [graph.ints([value]) for value in (number * size, (number + 1) * size, 1)]
        hidden, cell = (graph.node("Slice", [graph.tensor(var), *bounds]) for var in (op.initial_h, op.initial_c))
        parts.append(clipped_lstm(graph, op, direction, hidden, cell, in_order=len(sides) == 2))
    every, last_hidden, last_cell = (
        names[0] if len(names) == 1 else graph.node("Concat", list(names), axis=-1)
        for names in zip(*parts, strict=True)
    )
    if not op.output_sequence.val:
        every = graph.node("Unsqueeze", [last_hidden, graph.ints([0])])
    return [every, last_hidden, last_cell]


def gru(graph: Graph, op: Operation) -> list[str]:
    """Return the hidden states and the final hidden state.

    Core ML's order of the gates is reset, output, update; ONNX's is update, reset, output. The reset gate is applied to
    the state before the product with the weights, unless ``reset_after``.
    """
    size, order = int(op.weight_hh.shape[1]), (2, 0, 1)
    after = getattr(op, "reset_after", None)
    hidden_bias = _gates(graph.value(op.bias), order, size)
    input_bias = _gates(graph.value(getattr(op, "input_bias", None)), order, size)
    inputs = [
        graph.tensor(op.x),
        graph.constant(_gates(graph.value(op.weight_ih), order, size)[np.newaxis], np.float32),
        graph.constant(_gates(graph.value(op.weight_hh), order, size)[np.newaxis], np.float32),
        graph.constant(np.concatenate([input_bias, hidden_bias])[np.newaxis], np.float32),
        "",
        _states(graph, op.initial_h, 1, size),
    ]
    every, hidden = graph.node_with_outputs(
        "GRU",
        inputs,
        2,
        hidden_size=size,
        direction=op.direction.val,
        linear_before_reset=int(after is not None and bool(after.val)),
        **_activations([op.recurrent_activation.val, op.activation.val]),
    )
    final = _final(graph, hidden, size)
    return [_sequence(graph, op, every, final, size), final]


def rnn(graph: Graph, op: Operation) -> list[str]:
    """Return the hidden states and the final hidden state."""
    size = int(op.weight_hh.shape[1])
    bias = _gates(graph.value(op.bias), (0,), size)
    inputs = [
        graph.tensor(op.x),
        graph.node("Unsqueeze", [graph.tensor(op.weight_ih), graph.ints([0])]),
        graph.node("Unsqueeze", [graph.tensor(op.weight_hh), graph.ints([0])]),
        graph.constant(np.concatenate([bias, np.zeros_like(bias)])[np.newaxis], np.float32),
        "",
        _states(graph, op.initial_h, 1, size),
    ]
    every, hidden = graph.node_with_outputs(
        "RNN", inputs, 2, hidden_size=size, direction=op.direction.val, **_activations([op.activation.val])
    )
    final = _final(graph, hidden, size)
    return [_sequence(graph, op, every, final, size), final]


OPS: dict[str, Callable[[Graph, Operation], list[str]]] = {"gru": gru, "lstm": lstm, "rnn": rnn}
