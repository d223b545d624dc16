"""Wrong input to the public functions is one sentence, and so is a record that was pruned or changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench import api
from coremlbench.runs import store
from coremlbench.types.timing import TimingRecord
from tests import record_samples as samples


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COREMLBENCH_RESULTS", raising=False)
    for record in (samples.training(1), samples.timing(2)):
        (tmp_path / "results" / record.id).mkdir(parents=True)
        store.save(record, tmp_path / "results" / record.id)
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: api.open_run("2031"), "There is no run 2031 under"),
        (lambda: api.list_runs("elsewhere"), "There is no results folder"),
        (lambda: api.open_report("elsewhere"), "There is no results folder elsewhere"),
        (lambda: api.open_report("elsewhere.json"), "elsewhere.json cannot be read: No such file"),
        (lambda: api.save_report("results", output="out", formats=("pdf",)), "formats of a report are html, md"),
        (lambda: api.read_samples(api.open_run("2026-000001")), "a run of the kind training; only timings have"),
        (lambda: api.read_samples(api.open_run()), r"are gone, as `coremlbench results --prune` removes"),
        (lambda: api.convert("nothing.keras"), "There is no model at"),
        (lambda: api.convert("m.keras", variant="fp16"), "There is no option 'variant' of a conversion; choose from"),
        (lambda: api.convert("m.keras", variants="fp16"), r"variants is a sequence: variants=\('fp16',\)"),
        (lambda: api.convert("m.keras", variants=["fp61"]), "There is no variant 'fp61'"),
        (lambda: api.convert("m.keras", images=0), "A proof takes one image at least"),
        (lambda: api.prove("p.mlpackage", "m.keras"), "There is no package at"),
        (lambda: api.prove("p.mlpackage", "m.keras", batches=(8,)), "prove.. makes no package, so batches would"),
    ],
)
def test_wrong_input_is_one_sentence(call: Callable[[], Any], sentence: str, results: Path) -> None:
    assert results.is_dir()
    with pytest.raises(api.InputError, match=sentence) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_record_that_cannot_be_read_is_a_warning_and_an_error(results: Path) -> None:
    (results / "broken").mkdir()
    (results / "broken" / "run.json").write_text("{")
    with pytest.warns(UserWarning, match=r"broken/run\.json cannot be read"):
        assert len(api.list_runs()) == 2
    with pytest.raises(api.CoremlbenchError, match=r"broken/run\.json cannot be read"):
        api.open_record(results / "broken")


@pytest.mark.parametrize("text", ["[]", "{}", '{"kind": "report", "schema": 1}', "no JSON"])
def test_what_is_no_report_is_an_input_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(api.InputError, match="is no report that `coremlbench report` saved as JSON"):
        api.open_report(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"kind": "report", "schema": 99}')
    with pytest.raises(api.InputError, match="the schema 99, and this release reads reports up to schema 1"):
        api.open_report(tmp_path / "report.json")


def test_samples_of_another_file_or_folder_are_refused(results: Path) -> None:
    run = api.open_run()
    record, folder = run.record, run.folder
    assert isinstance(record, TimingRecord)
    cell = record.measurements[0]
    (folder / "samples").mkdir()
    np.savez(folder / "samples" / "0.npz", wall=np.ones(3))
    for path, digest, sentence in (
        ("samples/0.npz", "0f", "are not those that were saved with the record"),
        ("../0.npz", "", "names samples outside of its folder"),
    ):
        round_ = replace(cell.rounds[0], samples=path, samples_sha256=digest)
        changed = replace(record, measurements=(replace(cell, rounds=(round_,)),))
        with pytest.raises(api.InputError, match=sentence):
            api.read_samples(api.SavedRun(changed, folder))


def test_packages_are_the_models_that_are_there(results: Path) -> None:
    record = samples.conversion(3)
    run = api.SavedRun(record, results / record.id)
    assert list(run.packages) == []
    path = run.folder / record.variants[0].path
    path.mkdir(parents=True)
    assert list(run.packages) == [path]
    assert run.failure is None
