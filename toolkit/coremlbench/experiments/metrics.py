"""Confusion matrix, and precision and recall by class."""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.types.training_records import ClassResult


def confusion_matrix(actual: Sequence[int], predicted: Sequence[int], classes: int) -> tuple[tuple[int, ...], ...]:
    """Return counts of test images by actual (row) and predicted class (column)."""
    counts = [[0] * classes for _ in range(classes)]
    for true_class, predicted_class in zip(actual, predicted, strict=True):
        counts[true_class][predicted_class] += 1
    return tuple(tuple(row) for row in counts)


def per_class(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[ClassResult, ...]:
    """Return precision and recall by class, ``None`` for a class without predictions or images."""
    results = []
    for index, name in enumerate(names):
        correct = confusion[index][index]
        images, predictions = sum(confusion[index]), sum(row[index] for row in confusion)
        results.append(
            ClassResult(
                name,
                images,
                precision=correct / predictions if predictions else None,
                recall=correct / images if images else None,
            )
        )
    return tuple(results)
