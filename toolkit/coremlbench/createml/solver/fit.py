"""A whole training: iterations with their accuracies, a state file to continue from, and predictions."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.createml.solver import lbfgs
from coremlbench.createml.solver.objective import Objective, predict
from coremlbench.createml.solver.rows import Array, FeatureRows, Labels
from coremlbench.system.files import atomic_write

VERSION = "1"
"""Changed whenever the numbers of an iteration change: no state of another version is continued."""
NEWTON_COEFFICIENTS = 500
"""Up to so many, Turi Create takes Newton's method; the features of images have more coefficients."""


@dataclass(frozen=True)
class Row:
    """A row of the solver's table; iterations count from 0, ``passes`` are all evaluations so far."""

    iteration: int
    passes: int
    step: float
    seconds: float
    training_accuracy: float
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class Fit:
    """A training that ended: coefficients (classes - 1, features + 1), the intercept last, and the solver's table."""

    coefficients: Array
    rows: tuple[Row, ...]
    status: str
    iterations: int
    passes: int


def fit(
    training: FeatureRows,
    validation: FeatureRows | None,
    classes: int,
    max_iterations: int,
    *,
    state_file: Path | None = None,
    identity: str = "",
    on_row: Callable[[Row], None] = lambda _: None,
) -> Fit:
    """Train on the rows; ``on_row`` is called after each iteration.

    The state is saved to ``state_file`` after each iteration, and a training whose state is there is continued, with
    the same result to the last bit. ``identity`` says what is trained on: a state of something else is not used.
    """
    began = time.monotonic()
    objective = Objective(training, classes)
    state, rows = _read(state_file, identity, objective.size) if state_file else (None, ())
    state = state or lbfgs.start(objective.size)
    seconds_before = rows[-1].seconds if rows else 0.0
    while not state.status and state.iterations < max_iterations:
        iteration = state.iterations
        state = lbfgs.iterate(objective, state)
        row = Row(
            iteration=iteration,
            passes=state.passes,
            step=state.step,
            seconds=seconds_before + time.monotonic() - began,
            training_accuracy=objective.evaluate(state.point).correct / len(training),
            validation_accuracy=_accuracy(validation, objective.unscaled(state.point)),
        )
        rows = (*rows, row)
        if state_file:
            _write(state_file, identity, state, rows)
        on_row(row)
    status = state.status or lbfgs.ITERATION_LIMIT
    return Fit(objective.unscaled(state.point), rows, status, state.iterations, state.passes)


def accuracy_and_classes(rows: FeatureRows, coefficients: Array) -> tuple[float, Labels]:
    """Return the share of rows whose class is predicted right, and the predicted class of each."""
    predicted = predict(rows, coefficients)
    return float((predicted == rows.labels).mean()), predicted


def _accuracy(rows: FeatureRows | None, coefficients: Array) -> float | None:
    return accuracy_and_classes(rows, coefficients)[0] if rows else None


def _write(path: Path, identity: str, state: lbfgs.State, rows: tuple[Row, ...]) -> None:
    """Save a state in one step, so that a process that is killed leaves this one or the one before."""
    about = {"version": VERSION, "identity": identity, "rows": [asdict(row) for row in rows]}
    content = io.BytesIO()
    values: dict[str, Any] = {name: np.asarray(getattr(state, name)) for name in _FIELDS}
    np.savez(content, about=np.array(json.dumps(about)), **values)
    atomic_write(path, content.getvalue())


def _read(path: Path, identity: str, size: int) -> tuple[lbfgs.State | None, tuple[Row, ...]]:
    """Return a saved state and its rows; ``None`` if there is none of this training, or it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            about: dict[str, Any] = json.loads(str(saved["about"]))
            values = {name: saved[name] for name in _FIELDS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None, ()
    if (about["version"], about["identity"], values["point"].shape) != (VERSION, identity, (size,)):
        return None, ()
    state = lbfgs.State(**{name: value if value.ndim else value.item() for name, value in values.items()})
    return state, tuple(Row(**row) for row in about["rows"])


_FIELDS = tuple(field.name for field in fields(lbfgs.State))
