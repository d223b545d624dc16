"""Small trainings of the logistic classifier: features that are the same on every platform, and worker requests."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coremlbench.createml.solver.rows import FeatureRows


@dataclass(frozen=True)
class Problem:
    """A training: numbers of classes, features and training rows, and iterations at most."""

    classes: int
    features: int
    rows: int
    iterations: int
    seed: int = 0

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """Return the rows of each part; 30 validate and 30 test."""
        return {
            "train": (0, self.rows),
            "validation": (self.rows, self.rows + 30),
            "test": (self.rows + 30, self.rows + 60),
        }

    @property
    def labels(self) -> dict[str, list[int]]:
        """Return the labels of each part."""
        return {name: [row % self.classes for row in range(*part)] for name, part in self.parts.items()}


GOLDEN = {
    "2 classes, to convergence": Problem(2, 520, 200, 100),
    "2 classes": Problem(2, 520, 300, 25, seed=1),
    "4 classes": Problem(4, 200, 300, 25, seed=2),
    "10 classes": Problem(10, 60, 300, 25, seed=3),
}
"""Those that ``tests.make_solver_golden`` lets Turi Create train; each has more than 500 coefficients."""


def features(problem: Problem) -> npt.NDArray[np.float32]:
    """Return the features of all parts, sparse and positive as a network's, in eighths; each class has its own mean.

    Python promises the numbers of ``random.random`` for every release; NumPy makes no such promise.
    """
    source = random.Random(problem.seed)
    count = problem.rows + 60
    means = np.array([source.random() for _ in range(problem.classes * problem.features)])
    noise = np.array([source.random() for _ in range(count * problem.features)]).reshape(count, problem.features)
    own = means.reshape(problem.classes, problem.features)[np.arange(count) % problem.classes]
    values: npt.NDArray[np.float32] = (np.floor(np.maximum(noise * 2 + own * 0.4 - 0.9, 0) * 32) / 8).astype(np.float32)
    return values


def training_rows(folder: Path, problem: Problem, **settings: Any) -> FeatureRows:
    """Write the features to a file; return the rows to train on."""
    path = folder / "features.f32"
    features(problem).tofile(path)
    return FeatureRows(path, problem.features, *problem.parts["train"], np.array(problem.labels["train"]), **settings)


def request(folder: Path, problem: Problem) -> dict[str, Any]:
    """Write the features to a file; return a request that the workers of both engines take."""
    path = folder / "features.f32"
    features(problem).tofile(path)
    (folder / "scratch").mkdir(exist_ok=True)
    return {
        "task": "train",
        "features": str(path),
        "features_sha256": "of the features",
        "length": problem.features,
        "parts": problem.parts,
        "labels": problem.labels,
        "iterations": problem.iterations,
        "seed": 0,
        "scratch": str(folder / "scratch"),
        "state": str(folder / "solver-state.npz"),
    }
