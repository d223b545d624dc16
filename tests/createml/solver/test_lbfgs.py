"""The iterations: those of Turi Create 6.4.1 (tests/golden/solver.json), the optimum, and every way to end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.createml.solver import lbfgs
from coremlbench.createml.solver.fit import Fit, accuracy_and_classes, fit
from coremlbench.createml.solver.objective import L2_PENALTY, Evaluation, Objective
from coremlbench.createml.solver.rows import Array, FeatureRows
from tests.make_solver_golden import GOLDEN_FILE
from tests.small_solver_problems import GOLDEN, Problem, training_rows


def part(rows: FeatureRows, problem: Problem, name: str) -> FeatureRows:
    """Return another part of the same file."""
    first, last = problem.parts[name]
    return replace(rows, first=first, last=last, labels=np.array(problem.labels[name]))


def fitted(folder: Path, problem: Problem, **settings: Any) -> Fit:
    rows = training_rows(folder, problem, **settings)
    return fit(rows, part(rows, problem, "validation"), problem.classes, problem.iterations)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_iterations_are_those_of_turi_create(name: str, tmp_path: Path) -> None:
    problem, golden = GOLDEN[name], json.loads(GOLDEN_FILE.read_text())[name]
    result = fitted(tmp_path, problem)
    assert golden["solver"] == "lbfgs"
    assert result.status == golden["solver_status"]
    assert result.iterations == golden["solver_iterations"]
    assert [row.passes for row in result.rows] == [row["passes"] for row in golden["iterations"]]
    for row, theirs in zip(result.rows, golden["iterations"], strict=True):
        # Turi Create prints six digits.
        assert row.training_accuracy == pytest.approx(theirs["training_accuracy"], abs=1e-6)
        assert row.validation_accuracy == pytest.approx(theirs["validation_accuracy"], abs=1e-6)
    for label, coefficients in enumerate(result.coefficients, start=1):
        intercept, *weights = golden["coefficients"][str(label)]
        np.testing.assert_allclose(coefficients, [*weights, intercept], rtol=0, atol=1e-9)
    test = part(training_rows(tmp_path, problem), problem, "test")
    accuracy, predicted = accuracy_and_classes(test, result.coefficients)
    assert accuracy == pytest.approx(golden["test_accuracy"])
    assert predicted.tolist() == golden["predicted"]


@pytest.mark.parametrize("block_rows", [1, 7, 64])
def test_another_order_of_summation_changes_rounding_only(block_rows: int, tmp_path: Path) -> None:
    problem = GOLDEN["4 classes"]
    one, two = fitted(tmp_path, problem), fitted(tmp_path, problem, block_rows=block_rows)
    assert [row.passes for row in one.rows] == [row.passes for row in two.rows]
    assert [row.training_accuracy for row in one.rows] == [row.training_accuracy for row in two.rows]
    np.testing.assert_allclose(one.coefficients, two.coefficients, rtol=0, atol=1e-9)


@pytest.mark.parametrize("classes", range(2, 13))
def test_any_number_of_classes_is_trained(classes: int, tmp_path: Path) -> None:
    result = fitted(tmp_path, Problem(classes, 30, 130, 15))
    assert result.coefficients.shape == (classes - 1, 31)
    assert result.rows[-1].training_accuracy > result.rows[0].training_accuracy
    assert result.passes >= result.iterations


def noisy_rows(folder: Path) -> FeatureRows:
    """Rows of two classes that overlap, so that the optimum is not far away."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 400)
    (random.normal(1, 1, (400, 6)) + 0.4 * labels[:, None]).astype(np.float32).tofile(folder / "noisy.f32")
    return FeatureRows(folder / "noisy.f32", 6, 0, 400, labels)


def test_it_converges_to_the_optimum_that_scikit_learn_finds(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # it has no types

    rows = noisy_rows(tmp_path)
    result = fit(rows, None, 2, 200)
    assert result.status == lbfgs.OPTIMAL
    assert result.iterations == len(result.rows) - 1  # the one that finds the optimum is not counted
    scale = Objective(rows, 2).scale[:-1]
    scaled = np.fromfile(rows.path, np.float32).reshape(400, 6) / scale
    reference = LogisticRegression(C=1 / (2 * L2_PENALTY), tol=1e-10, max_iter=1000).fit(scaled, rows.labels)
    np.testing.assert_allclose(result.coefficients[0, :-1], reference.coef_[0] / scale, atol=1e-3)
    assert result.coefficients[0, -1] == pytest.approx(float(reference.intercept_[0]), abs=1e-3)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_converges_to_the_optimum_that_scipy_finds(classes: int, tmp_path: Path) -> None:
    from scipy.optimize import minimize

    objective = Objective(training_rows(tmp_path, Problem(classes, 5, 300, 0)), classes)

    def function(point: Array) -> tuple[float, Array]:
        evaluation, (penalty, gradient) = objective.evaluate(point), objective.penalty(point)
        return evaluation.loss + penalty, evaluation.gradient + gradient

    best = minimize(function, np.zeros(objective.size), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).fun
    result = fit(objective.rows, None, classes, 500)
    assert result.status == lbfgs.OPTIMAL
    point = (result.coefficients * objective.scale).ravel()
    assert function(point)[0] == pytest.approx(best, rel=1e-6)


# --- ends that no real training comes to --------------------------------------------------------------------


class Changed(Objective):
    """An objective whose evaluations are changed after some iterations."""

    change: Callable[[Evaluation], Evaluation] = staticmethod(lambda here: here)

    def _evaluate(self, point: Array) -> Evaluation:
        return self.change(super()._evaluate(point))


def ended(
    rows: FeatureRows, change: Callable[[Evaluation], Evaluation], after: int, **settings: float
) -> tuple[lbfgs.State, lbfgs.State]:
    """Return the state after some iterations with these settings, and that of the first one with a status."""
    objective = Changed(rows, 2)
    state = lbfgs.start(objective.size)
    for _ in range(after):
        state = lbfgs.iterate(objective, state)
    changed = Changed(rows, 2)
    changed.change = change
    before = state = replace(state, **settings)  # type: ignore[arg-type]  # all of them are numbers
    while not state.status and state.iterations < 100:
        state = lbfgs.iterate(changed, state)
    return before, state


def test_a_loss_that_is_no_number_ends_with_its_status(tmp_path: Path) -> None:
    before, state = ended(noisy_rows(tmp_path), lambda here: replace(here, loss=math.inf), after=4)
    assert (state.status, state.iterations, state.passes) == (lbfgs.NUMERIC_ERROR, 4, before.passes + 1)
    assert state.point.tobytes() == before.point.tobytes()


def test_a_gradient_that_is_no_number_ends_with_its_status(tmp_path: Path) -> None:
    _, state = ended(noisy_rows(tmp_path), lambda here: replace(here, gradient=here.gradient * np.nan), after=4)
    assert (state.status, state.iterations) == (lbfgs.OVERFLOW, 4)


@pytest.mark.parametrize(("after", "counted"), [(0, True), (1, False)])
def test_a_search_without_a_step_ends_with_its_status(after: int, counted: bool, tmp_path: Path) -> None:
    """Values and slopes contradict each other. Turi Create counts the evaluations of the first search only."""
    before, state = ended(noisy_rows(tmp_path), lambda here: replace(here, gradient=-here.gradient), after)
    assert (state.status, state.iterations) == (lbfgs.SEARCH_FAILED, after)
    assert (state.passes > before.passes + 1) == counted
    assert (state.step != before.step) == counted


def test_a_point_that_does_not_move_ends_with_its_status(tmp_path: Path) -> None:
    """The step is so short that Turi Create sees no progress: the point moves and the iteration does not count."""
    before, state = ended(noisy_rows(tmp_path), lambda here: here, after=2, step=1e-12)
    assert (state.status, state.iterations) == (lbfgs.NUMERIC_ERROR, 2)
    assert 0 < np.linalg.norm(state.point - before.point) < 1e-9


def test_a_move_that_is_no_number_ends_with_its_status(tmp_path: Path) -> None:
    _, state = ended(noisy_rows(tmp_path), lambda here: here, after=2, step=math.inf)
    assert (state.status, state.iterations) == (lbfgs.OVERFLOW, 2)
