"""The op ``classify``, the last one of a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation


def labels(op: Operation) -> list[Any]:
    """Return the labels, strings or integers, in the order of the probabilities."""
    class_labels = [getattr(label, "val", label) for label in op.classes.val]
    return [label if isinstance(label, str) else int(label) for label in class_labels]


def classify(graph: Graph, op: Operation) -> list[str]:
    """Return the label of the largest probability (of equals, the first) and the probabilities as a vector."""
    class_labels = labels(op)
    table: Any = np.array(class_labels, dtype=object if isinstance(class_labels[0], str) else np.int64)
    probabilities = graph.node("Reshape", [graph.tensor(op.probabilities), graph.ints([-1])])
    best = graph.node("ArgMax", [probabilities], axis=0, keepdims=1)
    return [graph.node("Gather", [graph.initializer(table, f"{graph.place}/classes"), best]), probabilities]


OPS: dict[str, Callable[[Graph, Operation], list[str]]] = {"classify": classify}
