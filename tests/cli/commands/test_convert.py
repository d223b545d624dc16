import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.small_conversions import ready_package


def old_network(folder: Path) -> str:
    """Make a model of the old kind, and return its file's name."""
    from coremltools.models import MLModel, datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    shape = [("x", datatypes.Array(4))], [("y", datatypes.Array(4))]
    builder = NeuralNetworkBuilder(*shape)
    builder.add_activation("relu", "RELU", "x", "y")
    MLModel(builder.spec, skip_model_load=True).save(str(folder / "its.mlmodel"))
    return "its.mlmodel"


def any_size(folder: Path) -> str:
    """Make a package that takes any number of columns, and return its folder's name."""
    from tests.mil_programs import Builder, ct, get_new_symbol

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, get_new_symbol()))], opset_version=ct.target.macOS15)
    def program(x: Any) -> Any:
        return Builder.relu(x=x)

    inputs = [ct.TensorType(name="x", shape=(1, ct.RangeDim(1, 8)))]
    converted = ct.convert(
        program,
        inputs=inputs,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS15,
        skip_model_load=True,
    )
    converted.save(str(folder / "its.mlpackage"))
    return "its.mlpackage"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Nothing was trained yet under"),
        (("lenet",), "`coremlbench train --experiment lenet` makes one"),
        (("model.keras",), "There is no model at"),
        (
            ("lenet", "--random-weights", "--variants", "fp16,palettised-4"),
            "There is no variant 'palettised-4' (did you mean palettized-4?)",
        ),
        (("lenet", "--batch", "one"), "write it as 1,8"),
        (("lenet", "--input-shape", "224,224"), "write it as 224x224x3"),
        (("--check", "model.mlpackage"), "--check PACKAGE MODEL"),
        (("lenet", "--random-weights", "--check", "model.mlpackage"), "There is no package at"),
        (("lenet", "--random-weights", "--variants", ""), "No variant is named, so nothing would be made; choose from"),
        (("lenet", "--random-weights", "--variants", "as-is"), "There is no variant 'as-is'; choose from all, fp32"),
        (("lenet", "--check", "p.mlpackage", "--variants", "all", "--batch", "8"), "so --batch, --variants would mean"),
        (("lenet", "--random-weights", "--classes", "cat"), "'cat' is no file; name the classes as cat,dog"),
        (("lenet", "--random-weights", "--classes", "cat,dog,cat"), "Each class has a name of its own"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    coremlbench: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = coremlbench("convert", *arguments)
    assert ended.returncode == 2
    assert sentence in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()


def test_what_is_checked_is_a_package(coremlbench: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    ended = coremlbench("convert", "--check", "m.keras", "lenet", "--random-weights")
    assert ended.returncode == 2
    assert "--check takes a ready .mlpackage or .mlmodel, and m.keras is another kind" in " ".join(ended.stderr.split())


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")  # Keras's own, as it saves
def test_the_classes_of_a_file_become_labels_and_a_package_in_the_home_folder_is_found(
    coremlbench: Run, tmp_path: Path, pictures: Path
) -> None:
    import keras

    home = {"HOME": str(tmp_path), "COREMLBENCH_CACHE": str(tmp_path / "cache")}
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(tmp_path / "m.keras")

    def converted(*arguments: str) -> dict[str, Any]:
        ended = coremlbench(
            "convert", *arguments, "m.keras", "--data", str(pictures), "--images", "9", "--json", **home
        )
        (record,) = json.loads(ended.stdout)
        assert record["outcome"]["status"] == "converted", ended.stderr
        return dict(record)

    (tmp_path / "classes.txt").write_text("青い\nred stripes\ngrüne Punkte\n\n", encoding="utf-8-sig")
    given, taken = converted("--classes", "classes.txt"), converted()
    for record, names in (
        (given, ["青い", "red stripes", "grüne Punkte"]),
        (taken, ["grüne Punkte", "red stripes", "青い"]),
    ):
        (variant,) = record["variants"]
        assert record["source"]["classes"] == names
        assert labels(tmp_path / "results" / record["id"] / variant["path"]) == names
        assert not variant["reused"]  # the second differs in its labels
        assert variant["proof"]["accuracy_after"] is not None
    assert any("The model's classes are taken to be those of" in note for note in taken["notes"])
    assert not any("classes" in note for note in given["notes"])

    made = tmp_path / "results" / given["id"] / given["variants"][0]["path"]
    shutil.copytree(made, tmp_path / "its.mlpackage")
    (as_is,) = converted("--check=~/its.mlpackage")["variants"]
    assert (as_is["failure"], as_is["proof"]["verdict"]) == (None, "proven")


def test_a_blank_line_among_classes_is_named(coremlbench: Run, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n", encoding="utf-8")
    ended = coremlbench("convert", "lenet", "--random-weights", "--classes", "classes.txt")
    assert ended.returncode == 2
    assert "Line 2 of classes.txt is blank; name one class a line" in " ".join(ended.stderr.split())


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")  # coremltools's own
def test_of_several_models_a_bad_one_is_a_failed_record_and_the_others_are_converted(
    coremlbench: Run, tmp_path: Path
) -> None:
    ready_package(tmp_path)
    (tmp_path / "empty.keras").touch()
    names = ("wide.mlpackage", "empty.keras", "./wide.mlpackage")
    ended = coremlbench("convert", *names, "--images", "5", "--json")
    assert ended.returncode == 3
    good, bad = json.loads(ended.stdout)
    assert (good["outcome"]["status"], good["options"]["path"]) == ("converted", str(tmp_path / "wide.mlpackage"))
    assert (bad["outcome"]["status"], bad["outcome"]["kind"]) == ("failed", "input")
    assert bad["outcome"]["reason"] == "empty.keras is empty; save or copy the model again."
    assert bad["options"]["path"] == str(tmp_path / "empty.keras")
    assert json.loads((tmp_path / "results" / bad["id"] / "run.json").read_bytes())["outcome"] == bad["outcome"]
    assert coremlbench("convert", "empty.keras").returncode == 2


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")  # coremltools's own
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (old_network, "Error: its.mlmodel holds a neural network, the form of Core ML models before ML Programs"),
        (any_size, "Error: its.mlpackage takes inputs of several sizes (1 to 8)"),
    ],
)
def test_what_cannot_be_compared_is_said_alike_of_a_package_to_check_and_of_a_model(
    coremlbench: Run, tmp_path: Path, spoil: Callable[[Path], str], sentence: str
) -> None:
    ready_package(tmp_path)
    name = spoil(tmp_path)
    for arguments in (("--check", name, "wide.mlpackage"), (name,)):
        ended = coremlbench("convert", *arguments, "--images", "5")
        assert ended.returncode == 2
        said = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
        assert sentence in " ".join(ended.stderr.split()), (said, ended.stderr)
        assert ended.stderr.count("Mac") <= 1
        assert not list(tmp_path.glob("results/*"))


def labels(package: Path) -> list[str]:
    from coremlbench.runtimes.reference import ReferenceRuntime

    return [str(name) for name in ReferenceRuntime.load(package, threads=1).classes]
