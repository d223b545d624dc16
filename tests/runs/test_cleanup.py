"""Runs are deleted with their records when they are named, and pruned without them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from coremlbench.runs import store
from coremlbench.runs.cleanup import PRUNED, delete_runs, prune_runs
from coremlbench.runs.lookup import run_ids
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record
from tests import record_samples as samples

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def save(record: Record, results: Path, files: dict[str, int]) -> str:
    (results / record.id).mkdir(parents=True)
    for name, size in files.items():
        write(results / record.id / name, size)
    store.save(record, results / record.id)
    return record.id


def random_conversion(number: int) -> ConversionRecord:
    record = samples.conversion(number)
    assert record.source is not None
    return replace(record, source=replace(record.source, kind="random-weights"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    save(samples.timing(1), folder, {"samples/000-a-0.npz": 5000, "inputs/000.npz": 10})
    save(samples.training(2), folder, {"kept/features.f32": 3000, "model.keras": 20})
    save(random_conversion(3), folder, {"a.mlpackage/weights.bin": 7000, "original.keras": 900})
    save(samples.conversion(4), folder, {"b.mlpackage/weights.bin": 7000})
    new = replace(samples.timing(5), started=(NOW - timedelta(days=1)).isoformat())
    save(new, folder, {"samples/000-a-0.npz": 5000})
    return folder


def test_old_runs_lose_what_can_be_spared_and_no_record(results: Path) -> None:
    records = {run: (results / run / "run.json").read_bytes() for run in run_ids(results)}
    would = prune_runs(tuple(PRUNED), results, now=NOW, dry_run=True)
    assert (results / run_ids(results)[0] / "samples" / "000-a-0.npz").is_file()
    removed = prune_runs(tuple(PRUNED), results, now=NOW)
    assert removed == would
    assert [(run.what, run.bytes) for run in removed] == [
        (("raw samples of timings",), 5000),
        (("data for --resume",), 3000),
        (("models and packages with random weights",), 7900),
    ]
    assert {run: (results / run / "run.json").read_bytes() for run in run_ids(results)} == records
    left = sorted(path.name for path in results.rglob("*") if path.is_file() and path.name != "run.json")
    assert left == ["000-a-0.npz", "000.npz", "model.keras", "weights.bin"]
    assert prune_runs(tuple(PRUNED), results, now=NOW) == []


def test_only_what_is_named_is_pruned_and_nothing_of_a_running_run(results: Path) -> None:
    first = results / run_ids(results)[0]
    with store.lock_run(first):
        assert prune_runs(("samples",), results, now=NOW) == []
    assert [run.run for run in prune_runs(("samples",), results, now=NOW)] == [first.name]


def test_a_deleted_run_is_gone_with_its_page_and_others_are_named(results: Path) -> None:
    model = samples.training(2).id
    converted = samples.conversion(6)
    assert converted.source is not None
    user = save(replace(converted, source=replace(converted.source, training_run=model)), results, {})
    write(results / "reports" / model / "report.html", 1)
    (would,) = delete_runs([model], results, dry_run=True)
    assert (results / model).is_dir()
    (deleted,) = delete_runs([model[:11], model], results)
    assert deleted == would
    assert deleted.what == ("its record", "3 files", "its report")
    assert deleted.notes == (f"made from it, and kept: {user}",)
    assert model not in run_ids(results)
    assert not (results / model).exists()
    assert not (results / "reports" / model).exists()


def test_what_cannot_be_deleted_is_told_before_anything_is(results: Path) -> None:
    first, second = run_ids(results)[:2]
    with store.lock_run(results / second), pytest.raises(InputError, match=f"The run {second} is still running"):
        delete_runs([first, second], results)
    with store.lock_run(results / second), pytest.raises(InputError, match=f"{second} is in progress .* may need what"):
        delete_runs([first], results)
    with pytest.raises(InputError, match=r"was given an empty one; `coremlbench results --results .*` lists the ids"):
        delete_runs([first, ""], results)
    with pytest.raises(InputError, match="There is no run 2031"):
        delete_runs([first, "2031"], results)
    with pytest.raises(InputError, match=r"5 runs under .* begin with 2026"):
        delete_runs(["2026"], results)
    with pytest.raises(InputError, match=r"is not in .*; name its results folder"):
        delete_runs([str(results / first)], results / "reports")
    assert first in run_ids(results)
