"""Records are found at any depth, each once, and never among what a run or a report keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from coremlbench.runs import store
from coremlbench.runs.record_paths import locate_records, record_paths, run_folders
from coremlbench.types.errors import InputError
from tests import record_samples as samples


def saved(folder: Path, number: int = 1) -> Path:
    record = samples.training(number)
    path = folder / record.id
    path.mkdir(parents=True)
    store.save(record, path)
    return path


@pytest.mark.parametrize("depth", ["", "from-air", "a/b/c d"])
def test_records_are_found_at_any_depth(tmp_path: Path, depth: str) -> None:
    first, second = saved(tmp_path / depth, 1), saved(tmp_path / depth, 2)
    assert list(record_paths(tmp_path)) == [first / "run.json", second / "run.json"]
    assert list(record_paths(first)) == [first / "run.json"]
    records, problems = store.load_all(tmp_path)
    assert ([record.id for record in records], problems) == ([first.name, second.name], [])


def test_what_a_run_a_report_and_hidden_folders_hold_is_not_searched(tmp_path: Path) -> None:
    run = saved(tmp_path)
    saved(run / "model.mlpackage", 2)
    saved(tmp_path / "reports/x/records", 3)
    saved(tmp_path / ".trash", 4)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    assert list(record_paths(tmp_path)) == [run / "run.json"]
    assert [path.parent.name for path in record_paths(tmp_path / "reports/x/records")] == [samples.training(3).id]


def test_a_linked_folder_counts_once(tmp_path: Path) -> None:
    run = saved(tmp_path / "elsewhere")
    (tmp_path / "results").mkdir()
    for name in ("a", "b"):
        (tmp_path / "results" / name).symlink_to(tmp_path / "elsewhere")
    assert list(record_paths(tmp_path / "results")) == [tmp_path / "results/a" / run.name / "run.json"]
    assert run_folders([tmp_path / "results", run / "run.json"])[run.name] in (run, tmp_path / "results/a" / run.name)


def test_arguments_are_paths_or_the_beginnings_of_ids(tmp_path: Path) -> None:
    results = tmp_path / "results"
    first, second = saved(results, 1), saved(results / "air", 2)
    (first / "model.mlpackage").mkdir()
    assert locate_records((), results) == (results,)
    assert locate_records([str(first / "run.json"), str(tmp_path)], results) == (first / "run.json", tmp_path)
    assert locate_records([first.name[:11]], results) == (first,)
    assert locate_records(["2026-00000"], results) == (first, second)
    assert locate_records([str(first / "model.mlpackage")], results) == (first,)


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("20260101", "There is no folder and no run 20260101 under"),
        ("", "There is no folder and no run"),
        ("own.mlpackage", "own.mlpackage is in no run's folder"),
    ],
)
def test_an_argument_that_names_nothing_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "results")
    (tmp_path / "own.mlpackage").mkdir()
    with pytest.raises(InputError, match=says):
        locate_records([argument], tmp_path / "results")
