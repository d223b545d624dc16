"""A training that is continued from its state: after every iteration, and after kills at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.createml.solver import fit as fit_module
from coremlbench.createml.solver.agreement import solver_agreement
from coremlbench.createml.solver.fit import Fit, fit
from coremlbench.runs.steps import worker
from coremlbench.supervision.supervisor import supervise
from tests.small_solver_problems import Problem, request, training_rows

PROBLEM = Problem(classes=4, features=40, rows=200, iterations=25)


def assert_same(one: Fit, two: Fit) -> None:
    """Both are the same to the last bit, but for the seconds."""
    assert one.coefficients.tobytes() == two.coefficients.tobytes()
    assert [replace(row, seconds=0.0) for row in one.rows] == [replace(row, seconds=0.0) for row in two.rows]
    assert (one.status, one.iterations, one.passes) == (two.status, two.iterations, two.passes)


def test_a_training_is_continued_after_any_iteration(tmp_path: Path) -> None:
    rows = training_rows(tmp_path, PROBLEM)
    whole = fit(rows, None, 4, 25)
    for iterations in range(26):
        state = tmp_path / f"{iterations}.npz"
        fit(rows, None, 4, iterations, state_file=state)
        assert_same(fit(rows, None, 4, 25, state_file=state), whole)


def test_a_finished_training_is_not_continued(tmp_path: Path) -> None:
    rows = training_rows(tmp_path, Problem(classes=2, features=5, rows=200, iterations=0))
    state = tmp_path / "state.npz"
    whole = fit(rows, None, 2, 100, state_file=state)
    assert whole.iterations < 100
    calls: list[Any] = []
    assert_same(fit(rows, None, 2, 100, state_file=state, on_row=calls.append), whole)
    assert calls == []


@pytest.mark.parametrize("change", ["identity", "version", "size", "cut", "noise"])
def test_a_state_of_something_else_is_not_used(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, state = training_rows(tmp_path, PROBLEM), tmp_path / "state.npz"
    whole = fit(rows, None, 4, 25)
    fit(rows, None, 4, 10, state_file=state, identity="one")
    if change == "version":
        monkeypatch.setattr(fit_module, "VERSION", "other")
    elif change == "size":
        fit(training_rows(tmp_path, replace(PROBLEM, features=30)), None, 4, 10, state_file=state, identity="one")
        rows = training_rows(tmp_path, PROBLEM)
    elif change == "cut":
        state.write_bytes(state.read_bytes()[:1000])
    elif change == "noise":
        state.write_bytes(bytes(1000))
    first: list[int] = []
    again = fit(
        rows,
        None,
        4,
        25,
        state_file=state,
        identity="two" if change == "identity" else "one",
        on_row=lambda row: first.append(row.iteration),
    )
    assert first[0] == 0
    assert_same(again, whole)


def test_the_seconds_go_on_where_they_stopped(tmp_path: Path) -> None:
    rows, state = training_rows(tmp_path, PROBLEM), tmp_path / "state.npz"
    before = fit(rows, None, 4, 10, state_file=state).rows
    after = fit(rows, None, 4, 25, state_file=state).rows
    assert after[:10] == before
    assert after[10].seconds >= before[-1].seconds


# --- the worker, killed -------------------------------------------------------------------------------------


def run_and_kill(folder: Path, seconds: float) -> int:
    """Start the worker, kill it so many seconds after its first word of the training; return its exit code."""
    reading, writing = os.pipe()
    command = [*worker("train_builtin"), str(folder), str(writing)]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.PIPE) as child, os.fdopen(reading) as lines:
        os.close(writing)
        assert any('"phase": "train"' in line for line in lines)
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        code = child.wait()
        assert child.stderr is not None
        assert code in (0, -signal.SIGKILL), child.stderr.read()
    return code


def result_of(folder: Path) -> dict[str, Any]:
    """Return the result of a worker that is not killed, without its seconds."""
    ended = supervise(worker("train_builtin"), folder=folder, request=json.loads((folder / "request.json").read_text()))
    assert ended.result is not None, ended.log_tail
    result = dict(ended.result)
    del result["seconds"]
    for row in result["iterations"]:
        del row["seconds"]
    return result


@pytest.mark.parametrize(
    "kills",  # each starts a Python with NumPy
    [pytest.param(3, marks=pytest.mark.long), pytest.param(20, marks=pytest.mark.slow)],
)
def test_a_worker_that_is_killed_at_any_moment_comes_to_the_same_bits(kills: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    problem = Problem(classes=10, features=300, rows=2000, iterations=60)
    for folder in (tmp_path / "whole", tmp_path / "killed"):
        (folder / "request.json").write_text(json.dumps(request(folder, problem)))
    whole = result_of(tmp_path / "whole")
    moments = random.Random(f"{kills} kills")
    reached: list[int] = []
    for _ in range(kills):
        run_and_kill(tmp_path / "killed", moments.uniform(0, 2 / kills))
        (tmp_path / "killed" / "result.json").unlink(missing_ok=True)
        state = tmp_path / "killed" / "solver-state.npz"
        if state.exists():
            with np.load(state) as saved:
                reached.append(int(saved["iterations"]))
    assert reached == sorted(reached)
    assert result_of(tmp_path / "killed") == whole


@pytest.mark.long
@pytest.mark.usefixtures("ordinary_workers")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Neither the file nor its rows as float64 are in memory as a whole."""
    few, many = (Problem(classes=3, features=500, rows=rows, iterations=1) for rows in (2_000, 100_000))
    message = request(tmp_path, few)
    block = (tmp_path / "features.f32").read_bytes()[: 2_000 * 500 * 4]
    with (tmp_path / "many.f32").open("wb") as file:
        for _ in range(51):
            file.write(block)
    message |= {"features": str(tmp_path / "many.f32"), "parts": many.parts, "labels": many.labels}
    ended = supervise(worker("train_builtin"), folder=tmp_path, request=message)
    assert ended.result is not None, ended.log_tail
    assert ended.peak_bytes < 100_000 * 500 * 4 < (tmp_path / "many.f32").stat().st_size


# --- agreement ----------------------------------------------------------------------------------------------

RESULT: dict[str, Any] = {
    "coefficients": {"1": [0.5, -2.0, 1.0]},
    "iterations": [{"training_accuracy": 0.5, "passes": 4}, {"training_accuracy": 2 / 3, "passes": 6}],
    "predicted": [0, 1, 1],
    "versions": {"turicreate": "6.4.1"},
}


def test_the_agreement_of_equal_trainings() -> None:
    printed = {
        **RESULT,
        "iterations": [{"training_accuracy": 0.5, "passes": 4}, {"training_accuracy": 0.666667, "passes": 6}],
    }
    agreement = solver_agreement("turicreate", RESULT, printed, 300)
    assert (agreement.engine, agreement.version, agreement.reason) == ("turicreate", "6.4.1", "")
    assert (agreement.largest_difference, agreement.largest_coefficient) == (0.0, 2.0)
    assert (agreement.iterations, agreement.first_difference) == (2, None)
    assert (agreement.passes, agreement.other_passes) == (6, 6)
    assert (agreement.predictions, agreement.equal_predictions) == (3, 3)


def test_the_agreement_of_trainings_that_differ() -> None:
    other: dict[str, Any] = {
        "coefficients": {"1": [0.5, -2.0, 1.25]},
        "iterations": [{"training_accuracy": 0.5, "passes": 4}, {"training_accuracy": 0.67, "passes": 7}],
        "predicted": [0, 0, 1],
        "versions": {},
    }
    agreement = solver_agreement("builtin", RESULT, other, 300)
    assert agreement.largest_difference == 0.25
    assert agreement.first_difference == 1
    assert (agreement.passes, agreement.other_passes, agreement.equal_predictions) == (6, 7, 2)
    shorter = {**other, "iterations": other["iterations"][:1]}
    assert solver_agreement("builtin", RESULT, shorter, 300).first_difference == 1
