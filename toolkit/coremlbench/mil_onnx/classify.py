"""The op at the end of a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from coremlbench.mil_onnx.graph import Graph, Operation


def labels(op: Operation) -> list[Any]:
    """Return the labels, strings or integers, in the order of the probabilities."""
    found = [getattr(label, "val", label) for label in op.classes.val]
    return [label if isinstance(label, str) else int(label) for label in found]


def classify(graph: Graph, op: Operation) -> list[str]:
    """Return the label of the largest probability (of equals, the first) and the probabilities as a vector."""
    found = labels(op)
    table: Any = np.array(found, dtype=object if isinstance(found[0], str) else np.int64)
    probabilities = graph.node("Reshape", [graph.tensor(op.probabilities), graph.ints([-1])])
    best = graph.node("ArgMax", [probabilities], axis=0, keepdims=1)
    return [graph.node("Gather", [graph.initializer(table, f"{graph.place}/classes"), best]), probabilities]


OPS: dict[str, Callable[[Graph, Operation], list[str]]] = {"classify": classify}
