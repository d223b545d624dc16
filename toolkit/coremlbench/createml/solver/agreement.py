"""How far two trainings on the same features agree: coefficients, accuracies by iteration, evaluations, predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coremlbench.types.training_records import SolverAgreement


def solver_agreement(
    engine: str, trained: Mapping[str, Any], other: Mapping[str, Any], training_rows: int
) -> SolverAgreement:
    """Return the agreement of a training with that of ``engine``; both are results of the stage ``train``.

    Turi Create prints accuracies with six digits, so they are compared as numbers of rows.
    """
    pairs = [
        (value, other_value)
        for label, values in trained["coefficients"].items()
        for value, other_value in zip(values, other["coefficients"][label], strict=True)
    ]
    correct, other_correct = (
        [round(row["training_accuracy"] * training_rows) for row in result["iterations"]] for result in (trained, other)
    )
    compared = min(len(correct), len(other_correct))
    differing = [step for step in range(compared) if correct[step] != other_correct[step]]
    if not differing and len(correct) != len(other_correct):
        differing = [compared]
    return SolverAgreement(
        engine=engine,
        version=other["versions"].get(engine, ""),
        largest_difference=max(abs(value - other_value) for value, other_value in pairs),
        largest_coefficient=max(abs(value) for value, _ in pairs),
        iterations=len(correct),
        first_difference=differing[0] if differing else None,
        passes=trained["iterations"][-1]["passes"],
        other_passes=other["iterations"][-1]["passes"],
        predictions=len(trained["predicted"]),
        equal_predictions=sum(a == b for a, b in zip(trained["predicted"], other["predicted"], strict=True)),
    )
