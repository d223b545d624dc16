"""The lstm op with ``clip``, which bounds the cell state after each step; ONNX's LSTM bounds what the gates take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from coremlbench.mil_onnx.graph import Array, Graph, Operation, onnx_type

ACTIVATION_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("Tanh", {}),
    "scaled_tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "sigmoid_hard": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "relu": ("Relu", {}),
    "linear": ("Identity", {}),
}
"""Core ML's names of activations: the ONNX op and its attributes.

The scales are those that coremltools' tests expect.
"""


@dataclass(frozen=True)
class Direction:
    """One direction of an lstm: weights (4 * size, features) and (4 * size, size), bias (4 * size,), peepholes or None.

    The gates stand in Core ML's order: input, forget, output, cell; peepholes (3 * size,): input, forget, output.
    """

    weights: Array
    recurrent: Array
    bias: Array
    peepholes: Array | None
    reverse: bool


def clipped_lstm(
    graph: Graph, op: Operation, direction: Direction, hidden: str, cell: str, *, in_order: bool
) -> tuple[str, str, str]:
    """Return the hidden states of all steps, the final hidden state and the final cell state of one direction.

    ``hidden`` and ``cell`` are the initial states (samples, size). The hidden states, (steps, samples, size), are in
    the order of the input if ``in_order``, else in that of the computation.
    """
    body = _step(graph, op, direction)
    reverse = int(direction.reverse)
    last_hidden, last_cell, every = graph.node_with_outputs(
        "Scan",
        [hidden, cell, graph.tensor(op.x)],
        3,
        body=body,
        num_scan_inputs=1,
        scan_input_directions=[reverse],
        scan_output_directions=[reverse if in_order else 0],
    )
    return every, last_hidden, last_cell


def _step(graph: Graph, op: Operation, direction: Direction) -> Any:
    """Return the subgraph of one step: from states and input to the next states and the output."""
    from onnx import helper

    step = Graph(graph.builders, graph)
    step.place = f"{graph.place}/step"
    hidden, cell, x = (step.fresh(f"{step.place}/{name}") for name in ("hidden", "cell", "x"))
    total = step.node("MatMul", [x, step.constant(direction.weights.T, np.float32)])
    total = step.node("Add", [total, step.node("MatMul", [hidden, step.constant(direction.recurrent.T, np.float32)])])
    total = step.node("Add", [total, step.constant(direction.bias, np.float32)])
    size = direction.recurrent.shape[1]
    input_gate, forget, output_gate, new = step.node_with_outputs("Split", [total, step.ints([size] * 4)], 4, axis=1)
    peepholes = [None] * 3 if direction.peepholes is None else np.split(direction.peepholes, 3)
    input_gate = _gate(step, op, input_gate, cell, peepholes[0])
    forget = _gate(step, op, forget, cell, peepholes[1])
    new = _activated(step, op.cell_activation.val, new)
    summed = step.node("Add", [step.node("Mul", [cell, forget]), step.node("Mul", [input_gate, new])])
    limit = float(op.clip.val)
    next_cell = step.node("Clip", [summed, step.constant(-limit, np.float32), step.constant(limit, np.float32)])
    output_gate = _gate(step, op, output_gate, next_cell, peepholes[2])
    next_hidden = step.node("Mul", [output_gate, _activated(step, op.activation.val, next_cell)])
    output = step.node("Identity", [next_hidden])
    kind = onnx_type(np.float32)
    inputs = [helper.make_tensor_value_info(name, kind, None) for name in (hidden, cell, x)]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name in (next_hidden, next_cell, output)]
    return helper.make_graph(step.nodes, step.place, inputs, outputs, initializer=step.initializers)


def _gate(step: Graph, op: Operation, total: str, cell: str, peephole: Array | None) -> str:
    """Return an activated gate; its peephole adds the cell state by element."""
    if peephole is not None:
        total = step.node("Add", [total, step.node("Mul", [cell, step.constant(peephole, np.float32)])])
    return _activated(step, op.recurrent_activation.val, total)


def _activated(step: Graph, name: str, value: str) -> str:
    kind, attributes = ACTIVATION_NODES[name.lower()]
    return step.node(kind, [value], **attributes)
