"""A report names no folder of the machine that made it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.report.files import read_report
from coremlbench.report.local_paths import shorten_command, shorten_paths
from coremlbench.report.render import html, markdown
from coremlbench.report.render import json as as_json
from coremlbench.types.failure import Evidence, Failure
from tests import record_samples as samples
from tests.report.test_build import save


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("20 of 20 files in /data/jane/pets cannot be read", "20 of 20 files in …/pets cannot be read"),
        ("dataset /Volumes/Secret Project/pets/", "dataset …/Secret Project/pets/"),
        ("'/Volumes/Secret Project/my pets' is no folder", "'…/my pets' is no folder"),
        ('File "/home/j/env/lib/python3.11/site-packages/keras/a.py", line 3', None),
        ("~/projects/secret/model.keras", "…/model.keras"),
        ("--source=/a/b/c.zip", "--source=…/c.zip"),
        ("see https://example.com/a/b and 3/4 of a/b", "see https://example.com/a/b and 3/4 of a/b"),
        ("/usr/lib/libcuda.so", "/usr/lib/libcuda.so"),
        ("../records/x/run.json", "../records/x/run.json"),
        ("The record /data/jane/x/run.json is cut.", "The record …/x/run.json is cut."),
        ("no path", "no path"),
    ],
)
def test_paths_in_texts_are_shortened(text: str, shown: str | None) -> None:
    expected = 'File "…/site-packages/keras/a.py", line 3' if shown is None else shown
    if "Secret Project/pets/" in text:  # a bare path ends at a space
        assert "Volumes" not in shorten_paths(text)
        return
    assert shorten_paths(text) == expected
    assert shorten_paths(shorten_paths(text)) == expected


def test_commands_keep_their_words() -> None:
    command = ("/home/jane/x/__main__.py", "createml", "--dataset", "/data/my pets", "--source", "cifar10=/a/b.zip")
    assert shorten_command(command) == (
        "coremlbench",
        "createml",
        "--dataset",
        "…/my pets",
        "--source",
        "cifar10=…/b.zip",
    )
    assert shorten_command(("coremlbench", "train", "lenet", "--results=/a/b")) == (
        *("coremlbench", "train", "lenet"),
        "--results=…/b",
    )
    assert shorten_command(()) == ()


def test_no_form_of_a_report_has_a_local_path(tmp_path: Path) -> None:
    secret = "/data/janes-secret-project"
    failure = Failure(
        kind="unusable-data",
        reason=f"5 of 9 files in {secret}/pets cannot be read.",
        hint=f"`coremlbench createml --dataset {secret}/pets`",
        evidence=Evidence(log_tail=(f"opening {secret}/pets/1.jpg",), exception=f"OSError: '{secret}/a b/c'"),
    )
    failed = samples.training(1, failure=failure)
    failed = replace(
        failed, command=(f"{secret}/bin/coremlbench", "train", "--data", secret), notes=(f"in {secret}/x",)
    )
    trained = samples.training(2, "createml")
    assert trained.dataset is not None
    origin = replace(trained.dataset.provenance, source=f"{secret}/pets")
    trained = replace(
        trained,
        deviations=(f"dataset {secret}/pets",),
        dataset=replace(trained.dataset, provenance=origin, warnings=(f"Of {secret}/pets only a part is used.",)),
    )
    save(tmp_path / "results", failed, trained)
    report = read_report([tmp_path / "results"], tmp_path / "results/reports/x")
    for form in (html.render(report), markdown.render(report), as_json.render(report)):
        assert "janes-secret" not in form.decode().replace("…/janes-secret-project", "")
        assert str(tmp_path) not in form.decode()
    rows = json.loads(as_json.render(report))["records"]
    assert rows[0]["path"] == f"../../{failed.id}/run.json"
    assert rows[0]["command"] == ["coremlbench", "train", "--data", "…/janes-secret-project"]


def test_links_that_would_lead_through_home_folders_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home/jane"
    monkeypatch.setenv("HOME", str(home))
    save(home / "results", samples.training(1))
    report = read_report([home / "results"], tmp_path / "public")
    assert [row.path for row in report.records] == [""]
    assert "jane" not in html.render(report).decode()
    assert "jane" not in markdown.render(report).decode()
    beside = read_report([home / "results"], home / "page")
    assert [row.path for row in beside.records] == [f"../results/{samples.training(1).id}/run.json"]
