import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from conftest import Run


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

    (tmp_path / "classes.txt").write_text("青い\nred stripes\ngrüne Punkte\n", encoding="utf-8")
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


def labels(package: Path) -> list[str]:
    from coremlbench.runtimes.reference import ReferenceRuntime

    return [str(name) for name in ReferenceRuntime.load(package, threads=1).classes]
