"""The objective: its gradient, its sums over blocks, the scale of the features, and predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.createml.solver.objective import L2_PENALTY, Objective, feature_scale, predict, predicted_classes
from coremlbench.createml.solver.rows import FeatureRows
from tests.small_solver_problems import Problem, features, training_rows

PROBLEM = Problem(classes=4, features=12, rows=50, iterations=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_the_gradient_is_that_of_the_value(classes: int, folder: Path) -> None:
    from scipy.optimize import check_grad

    objective = Objective(training_rows(folder, Problem(classes, 12, 50, 5)), classes)

    def value(point: np.ndarray) -> float:
        return objective.evaluate(point).loss + objective.penalty(point)[0]

    def gradient(point: np.ndarray) -> np.ndarray:
        return objective.evaluate(point).gradient + objective.penalty(point)[1]

    random = np.random.default_rng(classes)
    for size in (0.0, 0.1, 1.0):
        point = random.normal(0, size, objective.size)
        assert check_grad(value, gradient, point) <= 1e-5 * max(1.0, float(np.linalg.norm(gradient(point))))


def test_the_value_is_the_sum_by_hand(folder: Path) -> None:
    rows = training_rows(folder, PROBLEM)
    objective = Objective(rows, 4)
    point = np.random.default_rng(0).normal(0, 0.3, objective.size)
    scaled = np.hstack([features(PROBLEM)[:50] / objective.scale[:-1], np.ones((50, 1))])
    logits = np.hstack([np.zeros((50, 1)), scaled @ point.reshape(3, 13).T])
    log_likelihood = logits[np.arange(50), rows.labels] - np.log(np.exp(logits).sum(axis=1))
    evaluation = objective.evaluate(point)
    assert evaluation.loss == pytest.approx(-log_likelihood.sum(), rel=1e-13)
    assert evaluation.correct == (logits.argmax(axis=1) == rows.labels).sum()
    weights = point.reshape(3, 13)[:, :-1]
    assert objective.penalty(point)[0] == pytest.approx(float(np.float32(0.01)) * (weights**2).sum(), rel=1e-13)
    assert L2_PENALTY != 0.01  # Turi Create holds it as a 32-bit number


@given(st.integers(1, 60), st.integers(1, 4))
def test_blocks_and_threads_change_no_more_than_rounding(folder: Path, block_rows: int, threads: int) -> None:
    reference = Objective(training_rows(folder, PROBLEM, block_rows=1024), 4)
    blocked = Objective(training_rows(folder, PROBLEM, block_rows=block_rows), 4)
    threaded = Objective(training_rows(folder, PROBLEM, block_rows=block_rows, threads=threads), 4)
    point = np.random.default_rng(0).normal(0, 0.3, reference.size)
    one, two, three = (objective.evaluate(point) for objective in (reference, blocked, threaded))
    assert two.loss == pytest.approx(one.loss, rel=1e-13)
    np.testing.assert_allclose(two.gradient, one.gradient, rtol=1e-10, atol=1e-11)
    assert one.correct == two.correct == three.correct
    # The number of threads changes nothing at all.
    assert three.loss == two.loss
    assert three.gradient.tobytes() == two.gradient.tobytes()
    assert threaded.scale.tobytes() == blocked.scale.tobytes()


def test_the_scale_is_the_root_of_mean_and_deviation_squared(folder: Path) -> None:
    values = features(PROBLEM)[:50].astype(float)
    expected = np.sqrt(values.mean(axis=0) ** 2 + values.std(axis=0, ddof=1) ** 2)
    np.testing.assert_allclose(feature_scale(training_rows(folder, PROBLEM))[:-1], expected, rtol=1e-13)
    assert feature_scale(training_rows(folder, PROBLEM))[-1] == 1.0


def test_a_feature_that_is_always_zero_has_the_smallest_scale(tmp_path: Path) -> None:
    np.array([[0, 3], [0, 3]], np.float32).tofile(tmp_path / "rows.f32")
    rows = FeatureRows(tmp_path / "rows.f32", 2, 0, 2, np.array([0, 1]))
    assert feature_scale(rows).tolist() == [1e-5, 3.0, 1.0]
    one_row = FeatureRows(tmp_path / "rows.f32", 2, 1, 2, np.array([0]))
    assert feature_scale(one_row).tolist() == [1e-5, 3.0, 1.0]  # a single row has no deviation


def test_equal_logits_are_decided_as_turi_create_does() -> None:
    assert predicted_classes(np.array([[0.0, 0.0], [2.0, 2.0], [-1.0, 1.0], [-1.0, -2.0]])).tolist() == [0, 1, 2, 0]
    assert predicted_classes(np.array([[0.0], [-0.1], [0.1]])).tolist() == [1, 0, 1]


def test_predictions_of_no_rows_are_none(folder: Path) -> None:
    rows = training_rows(folder, PROBLEM)
    none = FeatureRows(rows.path, rows.length, 0, 0, np.empty(0, np.int64))
    assert predict(none, np.zeros((3, 13))).tolist() == []


def test_a_file_that_is_too_short_is_an_error(folder: Path, tmp_path: Path) -> None:
    rows = training_rows(folder, PROBLEM)
    (tmp_path / "short.f32").write_bytes(rows.path.read_bytes()[: 40 * 12 * 4 - 1])
    short = FeatureRows(tmp_path / "short.f32", 12, 0, 50, rows.labels)
    with pytest.raises(OSError, match="ends before row 50"):
        Objective(short, 4)


def test_rows_without_a_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 labels for 4 rows"):
        FeatureRows(tmp_path / "rows.f32", 2, 0, 4, np.array([0, 1, 0]))
