"""The objective of Turi Create's logistic regression: its value and gradient, and how many rows it gets right.

The classes are 0 to K - 1. Class 0 is the reference, whose logit is 0; the others have a block of coefficients each:
one for each feature, and the intercept last. A feature is divided by its scale, ``sqrt(mean² + stdev²)``. The
objective is the sum over rows of the negative log-likelihood plus ``L2 · Σ w²``, without the intercepts, in scaled
coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coremlbench.createml.solver.rows import Array, FeatureRows, Labels

L2_PENALTY = float(np.float32(0.01))
"""Turi Create holds its penalty as a 32-bit number: 0.0099999997765."""
MIN_SQUARED_SCALE = 1e-10


@dataclass(frozen=True)
class Evaluation:
    """The negative log-likelihood at a point, without the penalty, its gradient, and the rows predicted right."""

    loss: float
    gradient: Array
    correct: int


class Objective:
    """The objective on the training rows; a point is a float64 vector of ``size`` coefficients, class by class."""

    def __init__(self, rows: FeatureRows, classes: int) -> None:
        self.rows, self.classes = rows, classes
        self.shape = (classes - 1, rows.length + 1)
        self.size = self.shape[0] * self.shape[1]
        self.scale = feature_scale(rows)
        self._last: tuple[Array, Evaluation] | None = None

    def evaluate(self, point: Array) -> Evaluation:
        """Return the loss at a point; one at the same point as the last is not computed again."""
        if self._last is None or not np.array_equal(self._last[0], point):
            self._last = (point.copy(), self._evaluate(point))
        return self._last[1]

    def penalty(self, point: Array) -> tuple[float, Array]:
        """Return the value of the penalty at a point, and its gradient."""
        weights = point.reshape(self.shape).copy()
        weights[:, -1] = 0.0
        return L2_PENALTY * float(np.square(weights).sum()), (2.0 * L2_PENALTY * weights).ravel()

    def unscaled(self, point: Array) -> Array:
        """Return the coefficients (classes - 1, features + 1) of a point for features that are not scaled."""
        coefficients: Array = point.reshape(self.shape) / self.scale
        return coefficients

    def _evaluate(self, point: Array) -> Evaluation:
        coefficients = self.unscaled(point)
        weights, intercepts = np.ascontiguousarray(coefficients[:, :-1].T), coefficients[:, -1].copy()

        def evaluate_block(rows: Array, labels: Labels) -> Evaluation:
            with np.errstate(over="ignore", invalid="ignore"):  # the solver ends at a loss that is not finite
                return _evaluate_block(rows, labels, weights, intercepts)

        loss, correct, gradient = 0.0, 0, np.zeros(self.shape)
        for block in self.rows.map_blocks(evaluate_block):
            loss += block.loss
            correct += block.correct
            gradient += block.gradient
        return Evaluation(loss, (gradient / self.scale).ravel(), correct)


def _evaluate_block(rows: Array, labels: Labels, weights: Array, intercepts: Array) -> Evaluation:
    """Return the evaluation of some rows; its gradient is (classes - 1, features + 1)."""
    logits = rows @ weights
    logits += intercepts
    correct = int((predicted_classes(logits) == labels).sum())
    exponentials = np.exp(logits)
    sums = exponentials.sum(axis=1)
    own = np.flatnonzero(labels)  # rows of the reference class have no logit of their own
    losses = np.log1p(sums)
    losses[own] -= logits[own, labels[own] - 1]
    residuals = exponentials / (1.0 + sums)[:, None]
    residuals[own, labels[own] - 1] -= 1.0
    gradient = np.empty((weights.shape[1], weights.shape[0] + 1))
    np.matmul(residuals.T, rows, out=gradient[:, :-1])
    gradient[:, -1] = residuals.sum(axis=0)
    return Evaluation(float(losses.sum()), gradient, correct)


def predicted_classes(logits: Array) -> Labels:
    """Return the class of each row of logits (rows, classes - 1): the largest, where 0 is that of class 0.

    Equal ones count for the first class, but for two classes: there Turi Create takes the second.
    """
    if logits.shape[1] == 1:
        return (logits[:, 0] >= 0).astype(np.int64)
    best: Labels = logits.argmax(axis=1)
    return np.where(np.take_along_axis(logits, best[:, None], axis=1)[:, 0] > 0, best + 1, 0)


def predict(rows: FeatureRows, coefficients: Array) -> Labels:
    """Return the predicted class of each row; ``coefficients`` (classes - 1, features + 1) are not scaled."""
    weights, intercepts = np.ascontiguousarray(coefficients[:, :-1].T), coefficients[:, -1]
    blocks = list(rows.map_blocks(lambda block, _: predicted_classes(block @ weights + intercepts)))
    return np.concatenate(blocks) if blocks else np.empty(0, np.int64)


def feature_scale(rows: FeatureRows) -> Array:
    """Return what each feature is divided by (features + 1,): the root of its mean square, and 1 for the intercept.

    The standard deviation in it has n - 1 in the denominator.
    """
    count = len(rows)
    mean = sum(rows.map_blocks(lambda block, _: block.sum(axis=0)), np.zeros(rows.length)) / count
    squares = sum(rows.map_blocks(lambda block, _: np.square(block - mean).sum(axis=0)), np.zeros(rows.length))
    variance = squares / max(count - 1, 1)
    return np.append(np.sqrt(np.maximum(np.square(mean) + variance, MIN_SQUARED_SCALE)), 1.0)
