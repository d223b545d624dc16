"""``coremlbench createml --engine createml`` as a person runs it, with the stand-in in Create ML's place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.model_files.core_ml_kinds import core_ml_kind
from tests.createml.create_ml_stand_in import BEHAVIOUR, CLASSES, cli, digest, the_record

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("create_ml")]

FAILING_COMPILER = """#!/bin/sh
[ "$1" = --version ] && echo "Swift version 6" && exit
echo "error: no such module 'CreateML'" >&2
exit 1
"""
Trained = tuple[Path, Mapping[str, Any], str]


def command(pictures: Path, results: Path, *options: str) -> list[str]:
    return ["createml", "--engine", "createml", "--dataset", str(pictures), "--results", str(results), *options]


@pytest.fixture(scope="module")
def trained(create_ml: None, colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    del create_ml
    results = tmp_path_factory.mktemp("trained")
    code, out, err = cli(command(colours, results))
    assert code == 0, out + err
    record = the_record(results)
    return results / record["id"], record, out


def test_the_record_says_what_was_done_and_by_whom(trained: Trained) -> None:
    folder, record, _ = trained
    assert (record["engine"], record["stand_in"]) == ("createml", True)
    assert record["weights"]["source"] == "the tests' stand-in for Create ML"
    assert "extractor stand-in for VisionFeaturePrint_Scene" in record["deviations"]
    assert record["versions"]["createml"] == "stand-in of the tests"
    assert (record["options"]["extraction"], record["options"]["feature_revision"]) == ("createml", 1)
    assert record["options"]["extractions"] == 54 * 12 + 6 + 18
    names = ["setup", "data", "link", "extract", "train", "evaluate", "export"]
    assert [phase["name"] for phase in record["phases"]] == names
    assert {phase["name"]: phase["items"] for phase in record["phases"]} == {
        "setup": 1, "data": 78, "link": 60, "extract": 654, "train": 648, "evaluate": 18, "export": 1
    }  # fmt: skip
    assert record["seconds"] >= 0.95 * sum(phase["seconds"] for phase in record["phases"])
    assert any("has no seed" in note for note in record["notes"])
    assert {path.name for path in folder.iterdir()} == {"run.json", "logs", "model.mlmodel", "samples"}


def test_the_outcome_adds_up(trained: Trained) -> None:
    _, record, _ = trained
    outcome = record["outcome"]
    confusion = np.array(outcome["confusion"])
    assert confusion.sum() == 18
    assert outcome["test_accuracy"] == pytest.approx(np.trace(confusion) / 18)
    assert outcome["test_accuracy"] > 0.8  # the classes differ in colour
    assert [row["name"] for row in outcome["per_class"]] == list(CLASSES)
    assert [row["recall"] for row in outcome["per_class"]] == pytest.approx(np.diag(confusion) / 6)
    assert [row["iteration"] for row in record["iterations"]] == list(range(1, 26))
    assert record["iterations"][-1]["training_accuracy"] == outcome["training_accuracy"]
    assert record["iterations"][-1]["validation_accuracy"] == outcome["validation_accuracy"]
    assert (outcome["solver"]["iterations"], outcome["solver"]["max_iterations"]) == (25, 25)


def test_the_model_is_saved_and_recorded(trained: Trained) -> None:
    folder, record, _ = trained
    model = folder / record["model"]["path"]
    assert model.suffix == ".mlmodel"
    assert record["model"]["sha256"] == digest(model)
    assert record["model"]["bytes"] == model.stat().st_size
    assert core_ml_kind(model) == "pipelineClassifier"


@pytest.mark.tensorflow  # coremltools imports it
def test_the_model_is_a_valid_core_ml_model(trained: Trained) -> None:
    import coremltools

    folder, record, _ = trained
    spec = coremltools.utils.load_spec(str(folder / record["model"]["path"]))
    vision, regression = spec.pipelineClassifier.pipeline.models
    assert vision.visionFeaturePrint.scene.version == 1
    assert list(regression.glmClassifier.stringClassLabels.vector) == list(CLASSES)
    assert [len(row.value) for row in regression.glmClassifier.weights] == [2048, 2048]
    assert dict(spec.description.metadata.userDefined)["test accuracy"] == f"{record['outcome']['test_accuracy']:.4f}"
    assert dict(spec.description.metadata.userDefined)["run"] == record["id"]


def test_nothing_shows_a_figure_as_create_ml_s(trained: Trained) -> None:
    folder, _, shown = trained
    assert "trained by the tests' stand-in, not by Create ML" in shown
    assert "extractor: stand-in for VisionFeaturePrint_Scene" in shown
    report = folder.parent / "report"
    code, _, err = cli(["report", str(folder.parent), "--output", str(report)])
    assert code == 0, err
    content = json.loads((report / "report.json").read_text())
    (row,) = content["training"]
    assert row["seconds"] is None
    assert "the tests' stand-in, not Create ML" in row["work"]
    assert content["classifiers"][0]["extractor"] == "stand-in for VisionFeaturePrint_Scene"
    assert any("none of its features and figures is Apple's" in warning["text"] for warning in content["warnings"])
    code, out, err = cli(["compare", "--results", str(folder.parent)])
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if "measured here" in line]
    assert "trained by the tests' stand-in for Create ML: not" in " ".join(line.split())
    assert " – " in line, "it has no ratio"


def test_the_model_is_not_judged_here(trained: Trained, tmp_path: Path) -> None:
    folder, record, _ = trained
    for model in (record["id"], str(folder / "model.mlmodel")):
        code, out, err = cli(["convert-and-time", model, "--results", str(folder.parent)])
        assert (code, out) == (2, ""), err
        (sentence,) = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert "Only Core ML executes" in sentence
        assert "add `--kit kit` to pack it for a Mac" in sentence
    kit = tmp_path / "kit"
    code, out, err = cli(["convert-and-time", record["id"], "--results", str(folder.parent), "--kit", str(kit)])
    assert code == 0, out + err
    assert list(kit.rglob("*.mlmodel"))
    records = [json.loads(path.read_text()) for path in folder.parent.glob("*/run.json")]
    conversions = [other for other in records if other["kind"] == "conversion"]
    assert {variant["proof"]["verdict"] for other in conversions for variant in other["variants"]} == {"not judged"}
    notes = [other["source"]["note"] for other in conversions if "-createml-" in other["id"]]
    assert len(notes) == 2
    assert all("stand-in for Create ML" in note for note in notes)


def test_a_failed_training_is_a_recorded_failure_that_can_be_resumed(colours: Path, tmp_path: Path) -> None:
    code, out, err = cli(command(colours, tmp_path, "--iterations", "20"), **{BEHAVIOUR: "train:13:kill"})
    assert code == 3, out + err
    failed = the_record(tmp_path)
    assert (failed["outcome"]["kind"], failed["stand_in"]) == ("killed", True)
    assert [phase["name"] for phase in failed["phases"]] == ["setup", "data", "link"]
    assert failed["outcome"]["evidence"]["phase"] == "train"
    assert any("Create ML after iteration 10 of the training" in note for note in failed["notes"])

    code, out, err = cli(["createml", "--resume", "--results", str(tmp_path)])
    assert code == 0, out + err
    (name,) = {path.parent.name for path in tmp_path.glob("*/run.json")} - {failed["id"]}
    record = the_record(tmp_path, name)
    assert record["resumed_from"] == failed["id"]
    assert [row["iteration"] for row in record["iterations"]] == list(range(11, 21))
    assert "Create ML went on at iteration 10 of the training." in record["notes"]
    assert "extract" not in [phase["name"] for phase in record["phases"]]
    assert record["outcome"]["solver"]["iterations"] == 20
    assert not list(tmp_path.glob("*/kept"))


def test_a_killed_extraction_is_resumed(colours: Path, tmp_path: Path) -> None:
    code, out, err = cli(command(colours, tmp_path, "--iterations", "2"), **{BEHAVIOUR: "extract:33:kill"})
    assert code == 3, out + err
    assert any("after iteration 30 of the extraction" in note for note in the_record(tmp_path)["notes"])
    code, out, err = cli(["createml", "--engine", "createml", "--resume", "--results", str(tmp_path)])
    assert code == 0, out + err
    assert "Create ML went on at iteration 30 of the extraction" in " ".join(out.split())


def test_two_sets_of_parameters_share_one_extraction(colours: Path, tmp_path: Path) -> None:
    records = []
    for number, iterations in enumerate(("5", "9")):
        options = ["--reuse-features", "--iterations", iterations]
        code, out, err = cli(command(colours, tmp_path / str(number), *options))
        assert code == 0, out + err
        records.append(the_record(tmp_path / str(number)))
    has_extraction = ["extract" in [phase["name"] for phase in record["phases"]] for record in records]
    assert has_extraction == [True, False]
    assert ["extraction reused" in record["deviations"] for record in records] == [False, True]
    assert any("features are those of an earlier run" in note for note in records[1]["notes"])
    assert [row["iteration"] for row in records[1]["iterations"]] == list(range(1, 10))


def test_iterations_that_create_ml_does_not_report_are_said(colours: Path, tmp_path: Path) -> None:
    code, out, err = cli(command(colours, tmp_path, "--iterations", "3"), **{BEHAVIOUR: "silent"})
    assert code == 0, out + err
    assert "Create ML did not report its iterations." in the_record(tmp_path)["notes"]


def test_the_second_revision_of_the_extractor_is_a_deviation(colours: Path, tmp_path: Path) -> None:
    code, out, err = cli(command(colours, tmp_path, "--feature-revision", "2", "--iterations", "1"))
    assert code == 0, out + err
    record = the_record(tmp_path)
    assert "extractor stand-in for VisionFeaturePrint_Scene revision 2" in record["deviations"]


def test_a_compiler_that_fails_is_one_sentence(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "swiftc"
    compiler.write_text(FAILING_COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setenv("COREMLBENCH_SWIFTC", str(compiler))
    code, out, err = cli(command(colours, tmp_path / "results"))
    assert code == 3, err
    outcome = the_record(tmp_path / "results")["outcome"]
    assert outcome["kind"] == "swift-compiler"
    assert re.fullmatch(
        r"The program .* \(no such module 'CreateML'\); install Xcode from .*, then run this again\.", outcome["reason"]
    )
    assert "install Xcode" in " ".join(out.split())
