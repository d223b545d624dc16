"""Kinds of Core ML models, read from their bytes; ML Programs pass, the others are described with a way to a Mac."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coremlbench.model_files.core_ml_kinds import MODEL_KINDS, check_ml_program, core_ml_kind
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder, ct

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]  # coremltools imports TensorFlow, and warns


def specification(kind: str, *names: str) -> Any:
    """Return a specification of a kind, with an input and an output of these names."""
    spec = ct.proto.Model_pb2.Model(specificationVersion=4)
    getattr(spec, kind).SetInParent()
    if names:
        spec.description.input.add(name=names[0])
        spec.description.output.add(name=names[1])
    return spec


def package(folder: Path, spec: Any) -> Path:
    """Write a specification as a package."""
    (folder / "Data" / "model").mkdir(parents=True)
    (folder / "Data" / "model" / "m.mlmodel").write_bytes(spec.SerializeToString())
    entry = {"itemInfoEntries": {"1": {"path": "model/m.mlmodel"}}, "rootModelIdentifier": "1"}
    (folder / "Manifest.json").write_text(json.dumps(entry))
    return folder


def test_every_kind_of_coremltools_is_known_by_its_field() -> None:
    fields = ct.proto.Model_pb2.Model.DESCRIPTOR.oneofs_by_name["Type"].fields
    assert {field.number: field.name for field in fields} == MODEL_KINDS


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("neuralNetwork", "m.mlmodel holds a neural network, the form of Core ML models before ML Programs"),
        ("neuralNetworkClassifier", "convert its original with convert_to='mlprogram', or "),
        ("treeEnsembleClassifier", "m.mlmodel holds a Core ML model of the kind treeEnsembleClassifier"),
    ],
)
def test_what_only_core_ml_executes_is_described_with_the_way_to_a_mac(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sentence: str
) -> None:
    path = tmp_path / "in here" / "m.mlmodel"
    path.parent.mkdir()
    path.write_bytes(specification(kind).SerializeToString())
    assert core_ml_kind(path) == kind
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as raised:
        check_ml_program(path)
    assert sentence in str(raised.value)
    assert "`coremlbench convert-and-time 'in here/m.mlmodel' --kit kit` packs it for a Mac" in str(raised.value)


@pytest.mark.parametrize("kind", ["pipeline", "pipelineClassifier", "pipelineRegressor"])
def test_the_stages_of_a_pipeline_are_named(tmp_path: Path, kind: str) -> None:
    spec = specification(kind, "image", "label")
    stages = spec.pipeline.models if kind == "pipeline" else getattr(spec, kind).pipeline.models
    stages.append(specification("mlProgram", "image", "features"))
    stages.append(specification("glmClassifier", "features", "label"))
    path = package(tmp_path / "m.mlpackage", spec)
    assert core_ml_kind(path) == kind
    stages_text = r"\(1: ML Program from image to features; 2: glmClassifier from features to label\)"
    with pytest.raises(InputError, match=rf"m.mlpackage is a pipeline of 2 models {stages_text}.*save its stages"):
        check_ml_program(path)


def test_a_stage_saved_as_the_page_says_is_a_package(tmp_path: Path) -> None:
    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 4))])
    def program(x: Any) -> Any:
        return Builder.relu(x=x, name="y")

    model = ct.convert(program, convert_to="mlprogram", skip_model_load=True)
    pipeline = ct.models.pipeline.Pipeline([("x", ct.models.datatypes.Array(4))], ["y"])
    pipeline.spec.pipeline.models.append(model.get_spec())
    (stage,) = pipeline.spec.pipeline.models
    ct.models.MLModel(stage, weights_dir=model.weights_dir, skip_model_load=True).save(str(tmp_path / "1.mlpackage"))
    assert core_ml_kind(tmp_path / "1.mlpackage") == "mlProgram"
    check_ml_program(tmp_path / "1.mlpackage")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_bytes_of_any_kind_pass_or_are_described(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.mlmodel"
    path.write_bytes(content)
    if core_ml_kind(path) in {"", "mlProgram"}:
        check_ml_program(path)
    else:
        with pytest.raises(InputError, match=r"Core ML executes|pipeline of"):
            check_ml_program(path)


def test_a_package_without_a_manifest_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "m.mlpackage").mkdir()
    assert core_ml_kind(tmp_path / "m.mlpackage") == ""
    check_ml_program(tmp_path / "m.mlpackage")
