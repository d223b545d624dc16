import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import (
    default_sources,
    named_sources,
    network_and_seed,
    random_weights_source,
    resolve_model,
    resolve_models,
)
from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.runs import store
from coremlbench.system.files import hash_file
from coremlbench.types.conversion import ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from tests.small_runs import CLASSES, run_of, with_model


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs of lenet, the newer without its model, and one of tinyvgg that failed."""
    results = tmp_path / "results"
    record, folder = run_of(results, "lenet", tmp_path)
    (folder / "model.keras").write_bytes(b"the weights")
    with_model(record, folder, "model.keras")
    record, folder = run_of(results, "lenet", tmp_path)
    (folder / "model.keras").write_bytes(b"others")
    with_model(replace(record, started="2999"), folder, "model.keras")
    (folder / "model.keras").unlink()
    record, folder = run_of(results, "tinyvgg", tmp_path)
    store.save(replace(record, outcome=Failure("killed", "It was killed.", "Run it again.")), folder)
    return results


def test_an_experiment_is_its_newest_run_with_a_model(results: Path) -> None:
    source = resolve_model("lenet", results=results)
    assert Path(source.path).read_bytes() == b"the weights"
    assert (source.name, source.kind, source.format, source.experiment) == ("lenet", "training-run", "keras", "lenet")
    assert source.classes == CLASSES
    assert resolve_model(source.training_run, results=results) == source
    newer = next(run for run in results.glob("*-lenet-*") if run.name != source.training_run)
    with pytest.raises(InputError, match="is gone"):
        resolve_model(newer.name, results=results)


def test_what_was_not_trained_has_random_weights(results: Path) -> None:
    sources = {source.name: source for source in default_sources(results, seed=4)}
    assert list(sources) == [experiment.name for experiment in EXPERIMENTS if experiment.name != "createml"]
    assert [name for name, source in sources.items() if source.kind == "training-run"] == ["lenet"]
    assert network_and_seed(sources["tinyvgg"]) == ("tinyvgg", 4)
    assert sources["tinyvgg"] == random_weights_source("tinyvgg", 4)
    assert sources["tinyvgg"].sha256 != random_weights_source("tinyvgg", 5).sha256
    assert [source.name for source in named_sources((), results=results)] == ["lenet"]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("createml", "There is no trained run of createml under .*; `coremlbench createml --results .*` makes one"),
        ("tinyvgg", "`coremlbench train --experiment tinyvgg --results .*` makes one"),
        ("lenett", "'lenett' is no experiment, no run under .* and no file; give one of createml, tinyvgg"),
        ("gone/model.keras", "There is no model at .*gone/model.keras"),
    ],
)
def test_a_name_that_stands_for_nothing(results: Path, model: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolve_model(model, results=results)


def test_a_failed_run_has_no_model(results: Path) -> None:
    (failed,) = results.glob("*-tinyvgg-*")
    with pytest.raises(InputError, match="failed and left no model"):
        resolve_model(failed.name, results=results)
    with pytest.raises(InputError, match="createml has no network"):
        random_weights_source("createml", 0)


def test_nothing_trained_and_nothing_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Nothing was trained yet"):
        named_sources((), results=tmp_path / "results")
    with pytest.raises(InputError, match="compares one package with one model"):
        named_sources((), results=tmp_path, check=tmp_path)


def test_the_hash_is_that_of_the_content(results: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / f"{name}.mlpackage"
        folder.mkdir()
        (folder / "Manifest.json").write_text("{}", encoding="utf-8")
    one, two = (resolve_model(str(tmp_path / f"{name}.mlpackage"), results=results) for name in ("one", "two"))
    assert (one.kind, one.format, one.name) == ("file", "mlpackage", "one")
    assert one.sha256 == two.sha256
    shutil.copy(tmp_path / "one.mlpackage" / "Manifest.json", tmp_path / "one.mlpackage" / "more")
    assert resolve_model(str(tmp_path / "one.mlpackage"), results=results).sha256 != one.sha256


def test_a_file_is_one_model_however_it_is_named(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package(tmp_path / "one.mlpackage")
    package(tmp_path / "two.mlpackage")
    names = ("one.mlpackage", "./one.mlpackage", str(tmp_path / "one.mlpackage"), "results/../one.mlpackage")
    assert [source.name for source in resolve_models((*names, "two.mlpackage"), results=results)] == ["one", "two"]


def test_of_several_files_one_that_cannot_be_opened_stops_no_other(results: Path, tmp_path: Path) -> None:
    package(tmp_path / "one.mlpackage")
    (tmp_path / "empty.keras").touch()
    names = [str(tmp_path / name) for name in ("empty.keras", "one.mlpackage")]
    bad, good = resolve_models(names, results=results)
    assert isinstance(bad, UnopenedModel)
    assert (bad.name, bad.path, bad.failure.kind) == ("empty", names[0], "input")
    assert bad.failure.reason.startswith("empty.keras is empty")
    assert isinstance(good, ModelSource)
    for alone in (names[:1], [names[0], names[0]]):
        with pytest.raises(InputError, match=r"empty\.keras is empty"):
            resolve_models(alone, results=results)
    for typo in ("one.mlpackagee", "lenett", "gone/model.keras"):
        with pytest.raises(InputError):
            resolve_models([*names, typo], results=results)


def test_the_hash_of_an_onnx_file_is_also_that_of_its_weights_in_other_files(results: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def save(name: str, value: float, *, inside: bool = False) -> None:
        weights = numpy_helper.from_array(np.full(4, value, np.float32), "w")
        body = helper.make_graph(
            [helper.make_node("Identity", ["w"], ["y"])],
            "body",
            [],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
            [weights] if inside else [],
        )
        choice = helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
        inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
        outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])]
        (tmp_path / f"{name}.data").unlink(missing_ok=True)  # onnx appends to a file that is there
        graph = helper.make_graph([choice], "g", inputs, outputs, [] if inside else [weights])
        onnx.save_model(
            helper.make_model(graph),
            str(tmp_path / name),
            save_as_external_data=True,
            location=f"{name}.data",
            size_threshold=0,
        )

    package(tmp_path / "its.mlpackage")

    def digest(name: str) -> str:
        options = ConvertOptions(check="its")
        (source,) = named_sources(
            [str(tmp_path / name)], results=results, options=options, check=tmp_path / "its.mlpackage"
        )
        assert isinstance(source, ModelSource)
        return source.sha256

    for name, inside in (("m.onnx", False), ("inner.onnx", True)):
        save(name, 1.0, inside=inside)
        assert (tmp_path / f"{name}.data").is_file()
        first, content = digest(name), (tmp_path / name).read_bytes()
        assert digest(name) == first
        save(name, 2.0, inside=inside)
        assert (tmp_path / name).read_bytes() == content
        assert digest(name) != first
        (tmp_path / f"{name}.data").unlink()
        assert digest(name) == hash_file(tmp_path / name)  # the conversion then says what is missing


def test_what_a_package_can_only_be_compared_with_is_not_converted(results: Path, tmp_path: Path) -> None:
    package(tmp_path / "its.mlpackage")
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09")
    with zipfile.ZipFile(tmp_path / "io.npz", "w") as archive:
        archive.writestr("input.npy", b"")
    for name, reason in (("m.onnx", "coremltools 9.0 has no converter for ONNX"), ("io.npz", "not the model")):
        model = str(tmp_path / name)
        advice = rf"`coremlbench convert --check PACKAGE .*{name} --results .*`\.$"
        with pytest.raises(InputError, match=rf"{name} is not converted: .*{reason}.*{advice}"):
            named_sources([model], results=results)
        (source,) = named_sources(
            [model], results=results, options=ConvertOptions(check="its"), check=tmp_path / "its.mlpackage"
        )
        assert isinstance(source, ModelSource)
        assert (source.kind, source.format) == ("file", name.partition(".")[2])
        bad, good = resolve_models([model, str(tmp_path / "its.mlpackage")], results=results)
        assert isinstance(bad, UnopenedModel)
        assert isinstance(good, ModelSource)
        with pytest.raises(InputError, match=rf"--check takes a ready .mlpackage or .mlmodel, and {name} is another"):
            named_sources([str(tmp_path / "its.mlpackage")], results=results, check=tmp_path / name)


def package(folder: Path) -> None:
    folder.mkdir()
    (folder / "Manifest.json").write_text("{}", encoding="utf-8")
