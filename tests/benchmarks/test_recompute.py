"""The sceptic's script: it agrees with a report of real samples, and finds each figure that was changed."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.recompute import main
from coremlbench.report.files import read_report as read
from coremlbench.report.files import write_report
from coremlbench.runs import store
from coremlbench.timing.statistics import summarise
from coremlbench.types.timing import Measurement, Round, TimingRecord
from coremlbench.types.training_records import Trained
from tests import record_samples as samples
from tests.report.test_build import save


def measured(timed: Round, folder: Path, name: str, generator: np.random.Generator) -> Round:
    """The round with the statistics of samples that are saved beside the record."""
    wall = (timed.p50 or 1e-3) * (1 + generator.exponential(0.05, 700 + 10 * timed.round))
    path = folder / "samples" / f"{name}-{timed.round}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, wall=wall, own=wall * 0.9)
    summary = asdict(summarise(wall))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = float(np.median(wall * 0.9))
    return replace(timed, **summary, samples=f"samples/{path.name}", samples_sha256=digest, own_p50=own)


def with_samples(record: TimingRecord, results: Path) -> TimingRecord:
    generator = np.random.default_rng(len(record.id))
    folder = results / record.id
    folder.mkdir(parents=True)
    cells: list[Measurement] = []
    for index, cell in enumerate(record.measurements):
        rounds = tuple(measured(timed, folder, str(index), generator) for timed in cell.rounds)
        cells.append(replace(cell, rounds=rounds))
    changed = replace(record, measurements=tuple(cells))
    store.save(changed, folder)
    return changed


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``report.json`` of timings with raw samples, trainings and conversions."""
    results = tmp_path_factory.mktemp("results")
    with_samples(samples.timing(70), results)
    with_samples(samples.timing(73, samples.BOX), results)
    confusion = ((80, 15, 5), (6, 90, 4), (2, 1, 97))
    create_ml = samples.training(1, "createml")
    accuracy = sum(row[index] for index, row in enumerate(confusion)) / 300
    assert create_ml.dataset is not None
    assert isinstance(create_ml.outcome, Trained)
    outcome = replace(create_ml.outcome, test_accuracy=accuracy)
    create_ml = replace(create_ml, outcome=outcome, dataset=replace(create_ml.dataset, test=300))
    save(results, create_ml, samples.training(2), samples.training(3), samples.conversion(60))
    save(results, samples.training(4, failure=samples.OUT_OF_MEMORY))
    output = results / "reports" / "x"
    (path,) = write_report(read([results], output), output, ("json",))
    return path


def test_no_figure_differs_from_the_raw_samples(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(page)])
    out = capsys.readouterr().out
    assert (code, out.splitlines()[-1]) == (0, "0 differ or are missing"), out
    assert int(out.split(": ")[1].split()[0].replace(",", "")) > 150


def changed_copy(page: Path, tmp_path: Path, table: str, field: str) -> Path:
    """A copy of the results whose report has one figure changed by a thousandth, in the first row that has it."""
    results = page.parents[2]
    shutil.copytree(results, tmp_path / "results")
    path = tmp_path / "results" / page.relative_to(results)
    report: dict[str, Any] = json.loads(path.read_bytes())
    rows = [row for row in report[table] if isinstance(row[field], int | float) and row[field]]
    row = random.Random(0).choice(rows)
    row[field] = row[field] + 1 if isinstance(row[field], int) else row[field] * 1.001
    path.write_text(json.dumps(report))
    return path


@pytest.mark.parametrize(
    ("table", "field"),
    [
        *(("timing", field) for field in ("p50", "low", "high", "p90", "p95", "p99", "own_p50", "drift", "calls")),
        *(("timing", field) for field in ("outliers", "energy_joules", "floor_share", "first_load_seconds")),
        *(("answers", field) for field in ("ratio", "low", "high", "rounds")),
        *(("training", field) for field in ("seconds", "low", "ratio", "accuracy")),
        *(("classifiers", field) for field in ("test_accuracy", "seconds")),
        *(("variants", field) for field in ("bytes", "accuracy_after", "relative_error", "signal_to_noise")),
    ],
)
def test_a_changed_figure_is_found(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, field: str
) -> None:
    code = main([str(changed_copy(page, tmp_path, table, field))])
    assert code == 1
    assert f": {field}: the report says" in capsys.readouterr().out


def test_samples_that_were_changed_or_lost_are_found(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = page.parents[2]
    shutil.copytree(results, tmp_path / "results")
    first, second = sorted((tmp_path / "results").glob("*/samples/*.npz"))[:2]
    with np.load(first) as arrays:
        np.savez(first, wall=arrays["wall"] * 1.01, own=arrays["own"])
    second.unlink()
    assert main([str(tmp_path / "results" / page.relative_to(results))]) == 1
    out = capsys.readouterr().out
    assert f"{first.name} is not the file that was measured" in out
    assert f"{second.name} with the samples of a round is not there" in out


def test_it_uses_numpy_and_scipy_alone() -> None:
    tree = ast.parse((Path(__file__).parents[2] / "benchmarks/recompute.py").read_text())
    names = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    names |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in names if name not in sys.stdlib_module_names} == {"numpy", "scipy"}
