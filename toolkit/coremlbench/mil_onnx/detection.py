"""Detection: non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation, carrier, dtype_name

LEAST = -np.inf
"""The score of a box that cannot be chosen."""


def _eligible(graph: Graph, op: Operation, best: str) -> str:
    """Return which boxes (samples, boxes) take part: those of enough score, or if there are none, the best box.

    The best box stands for none in the specification of Core ML's older layer of this name, and in coremltools' tests.
    """
    if not hasattr(op, "score_threshold"):
        return graph.node("Greater", [best, graph.constant(LEAST, np.float32)])
    enough = graph.node("GreaterOrEqual", [best, graph.constant(op.score_threshold.val, np.float32)])
    any_box = graph.node("ReduceMax", [graph.cast(enough, np.int32), graph.ints([1])], keepdims=1)
    none = graph.node("Equal", [any_box, graph.constant(0, np.int32)])
    count = graph.node("Squeeze", [graph.node("Shape", [best], start=1, end=2)])
    places = graph.node("Range", [graph.constant(0, np.int64), count, graph.constant(1, np.int64)])
    first = graph.node("Equal", [places, graph.node("ArgMax", [best], axis=1, keepdims=1)])
    return graph.node("Or", [enough, graph.node("And", [none, first])])


def _class_scores(graph: Graph, op: Operation, scores: str, best: str) -> str:
    """Return the scores (samples, classes, boxes) that boxes of one class contend with; all are one class if asked.

    A box belongs to the class of its highest score, of equal ones the first, and has no score in the others.
    """
    if not op.per_class_suppression.val:
        return graph.node("Unsqueeze", [best, graph.ints([1])])
    classes = graph.node("Squeeze", [graph.node("Shape", [scores], start=1, end=2)])
    numbers = graph.node("Range", [graph.constant(0, np.int64), classes, graph.constant(1, np.int64)])
    column = graph.node("Unsqueeze", [numbers, graph.ints([1])])
    own = graph.node("Equal", [column, graph.node("ArgMax", [scores], axis=1, keepdims=1)])
    return graph.node("Where", [own, scores, graph.constant(LEAST, np.float32)])


def _remaining_scores(graph: Graph, op: Operation, boxes: str, scores: str, best: str) -> str:
    """Return the scores (samples, boxes) of boxes that are not suppressed, and ``LEAST`` for the others."""
    least = graph.constant(LEAST, np.float32)
    eligible = graph.node("Unsqueeze", [_eligible(graph, op, best), graph.ints([1])])
    contending = graph.node("Where", [eligible, _class_scores(graph, op, scores, best), least])
    limits = [graph.ints([2**31 - 1]), graph.constant([op.iou_threshold.val], np.float32)]
    inputs = [boxes, contending, *limits, graph.constant([LEAST], np.float32)]
    chosen = graph.node("NonMaxSuppression", inputs, center_point_box=1)
    places = graph.node("Gather", [chosen, graph.ints([0, 2])], axis=1)  # sample and box, without the class
    none = graph.node("Expand", [least, graph.node("Shape", [best])])
    return graph.node("ScatterND", [none, places, graph.node("GatherND", [best, places])])


def _padded(graph: Graph, name: str, missing: str, rank: int, value: float, dtype: type) -> str:
    """Return a tensor with ``missing`` values more along its second dimension."""
    zeros = graph.ints([0] * (rank + 1))
    rest = graph.ints([0] * (rank - 2))
    pads = graph.node("Concat", [zeros, missing, rest] if rank > 2 else [zeros, missing], axis=0)
    return graph.node("Pad", [name, pads, graph.constant(value, dtype)])


def non_maximum_suppression(graph: Graph, op: Operation) -> list[str]:
    """Return the boxes that are not suppressed, the best first, their scores and indices, and till iOS 16 their number.

    Below ``max_boxes`` boxes, boxes and scores are filled with 0 and indices with -1. Since iOS 17 the boxes are the
    last dimension of boxes and scores.
    """
    turned = not hasattr(op, "score_threshold")
    boxes, scores = graph.tensor(op.boxes), graph.tensor(op.scores)
    if turned:
        boxes = graph.node("Transpose", [boxes], perm=[0, 2, 1])
    else:
        scores = graph.node("Transpose", [scores], perm=[0, 2, 1])
    best = graph.node("ReduceMax", [scores, graph.ints([1])], keepdims=0)
    remaining = _remaining_scores(graph, op, boxes, scores, best)
    limit = graph.ints([int(op.max_boxes.val)])
    count = graph.node("Min", [limit, graph.node("Shape", [best], start=1, end=2)])
    ranked, order = graph.node_with_outputs("TopK", [remaining, count], 2, axis=1)
    valid = graph.node("Greater", [ranked, graph.constant(LEAST, np.float32)])
    missing = graph.node("Sub", [limit, count])
    rows, behind = graph.node("Unsqueeze", [order, graph.ints([2])]), graph.node("Unsqueeze", [valid, graph.ints([2])])
    outputs = []
    for name in (boxes, graph.node("Transpose", [scores], perm=[0, 2, 1])):
        selected = graph.node("GatherND", [name, rows], batch_dims=1)
        selected = graph.node("Where", [behind, selected, graph.constant(0, np.float32)])
        selected = _padded(graph, selected, missing, 3, 0, np.float32)
        outputs.append(graph.node("Transpose", [selected], perm=[0, 2, 1]) if turned else selected)
    indices = graph.node("Where", [valid, order, graph.constant(-1, np.int64)])
    outputs.append(graph.cast(_padded(graph, indices, missing, 2, -1, np.int64), np.int32))
    if not turned:
        number = graph.node("ReduceSum", [graph.cast(valid, np.int32), graph.ints([1])], keepdims=0)
        outputs.append(graph.cast(number, carrier(dtype_name(op.outputs[3]))))
    return outputs


OPS: dict[str, Callable[[Graph, Operation], list[str]]] = {"non_maximum_suppression": non_maximum_suppression}
