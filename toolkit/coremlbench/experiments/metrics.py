"""How well a classifier did, by class."""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.types.training_records import ClassResult


def confusion_matrix(actual: Sequence[int], predicted: Sequence[int], classes: int) -> tuple[tuple[int, ...], ...]:
    """Return counts of test images by actual (row) and predicted class (column)."""
    counts = [[0] * classes for _ in range(classes)]
    for truth, guess in zip(actual, predicted, strict=True):
        counts[truth][guess] += 1
    return tuple(tuple(row) for row in counts)


def class_results(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[ClassResult, ...]:
    """Return precision and recall by class, None where they divide by nothing."""
    results = []
    for index, name in enumerate(names):
        right = confusion[index][index]
        actual, guessed = sum(confusion[index]), sum(row[index] for row in confusion)
        results.append(
            ClassResult(
                name,
                actual,
                precision=right / guessed if guessed else None,
                recall=right / actual if actual else None,
            )
        )
    return tuple(results)
