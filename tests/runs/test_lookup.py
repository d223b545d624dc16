"""Runs are found by the beginning of their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from coremlbench.runs import store
from coremlbench.runs.lookup import find_ids, find_run, run_ids
from coremlbench.types.errors import InputError
from tests import record_samples as samples


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for record in (samples.training(1), samples.training(2, "lenet"), samples.conversion(3)):
        (tmp_path / "results" / record.id).mkdir(parents=True)
        store.save(record, tmp_path / "results" / record.id)
    (tmp_path / "results" / "reports").mkdir()
    return tmp_path / "results"


def test_a_run_is_found_by_its_beginning_its_path_or_as_the_newest(results: Path) -> None:
    first, second, third = run_ids(results)
    assert find_run("2026-000002", results)[0].experiment == "lenet"
    assert find_run(second, results) == find_run(str(results / second), Path("nowhere"))
    assert find_run(str(results / second / "run.json"), results)[1] == results / second
    assert find_run("", results)[1] == results / third
    assert find_ids(["2026-000001", "2026-000003"], results) == [first, third]


def test_what_is_no_run_or_several_is_told(results: Path) -> None:
    with pytest.raises(InputError, match=r"3 runs under .* begin with 2026: 2026-000001.*give more of the id"):
        find_run("2026", results)
    with pytest.raises(InputError, match=r"There is no run 2027 under .*; `coremlbench results --results .*` lists"):
        find_run("2027", results)
    with pytest.raises(InputError, match=r"There are no runs under .* yet; `coremlbench createml --scale 0.1"):
        find_run("", results / "elsewhere")
    assert run_ids(results / "elsewhere") == []


def test_an_id_that_begins_another_is_its_own(results: Path) -> None:
    longer = results / f"{run_ids(results)[0]}-copy"
    longer.mkdir()
    store.save(samples.training(1), longer)
    assert find_run(run_ids(results)[0], results)[1].name == run_ids(results)[0]
