"""Class names taken from the data, or given, in whole conversions: the labels and the accuracy they lead to."""

from __future__ import annotations

import colorsys
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.conversion.sources import source_of_file
from coremlbench.runtimes.reference import ReferenceRuntime
from coremlbench.types.conversion import ConversionRecord
from tests.small_conversions import convert
from tests.spoilt import relabel

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Keras and coremltools warn about each other
]
BY_TEXT = sorted(str(number) for number in range(12))  # 0, 1, 10, 11, 2, …: as Keras reads the folders
BY_NUMBER = [str(number) for number in range(12)]


def colour(name: str) -> Any:
    """Return the colour of a class, from 0 to 1."""
    return np.array(colorsys.hsv_to_rgb(int(name) / 12, 1, 0.9))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of plain pictures, a colour for each of twelve classes."""
    folder, random = tmp_path_factory.mktemp("pictures") / "colours", np.random.default_rng(0)
    for split, count in (("train", 2), ("test", 10)):
        for name in BY_NUMBER:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(255 * colour(name) + random.normal(0, 12, (8, 8, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def nearest_colour(order: list[str]) -> Any:
    """Return a Keras model whose values are the classes in that order; the largest is that of the nearest colour."""
    import keras

    head = keras.layers.Dense(12, activation="softmax")
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D(), head]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    colours = np.stack([colour(name) for name in order])
    head.set_weights([2 * colours.T, -(colours**2).sum(axis=1)])
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = {"text": folder / "text.keras", "number": folder / "number.keras", "saved": folder / "saved"}
    nearest_colour(BY_TEXT).save(paths["text"])
    nearest_colour(BY_NUMBER).save(paths["number"])
    nearest_colour(BY_NUMBER).export(paths["saved"], verbose=False)
    return paths


def converted(model: Path, pictures: Path, results: Path, **settings: Any) -> tuple[ConversionRecord, list[str]]:
    """Return the record of a conversion and the labels of its package."""
    ((record, folder),) = convert(
        [source_of_file(model)], results, data=str(pictures), images=120, variants=("fp16",), **settings
    )
    (variant,) = record.variants
    labels = ReferenceRuntime.load(folder / variant.path, threads=1).classes
    return record, [str(label) for label in labels]


def figures(record: ConversionRecord) -> tuple[str, float | None, str]:
    """Return verdict, accuracy of the package, and the text of the caveat on the order of the classes."""
    proof = record.variants[0].proof
    assert proof is not None
    texts = [caveat.text for caveat in proof.caveats if caveat.code == "class-order"]
    assert len(texts) <= 1
    return proof.verdict, proof.accuracy_after, "".join(texts)


def test_a_model_in_the_order_of_keras_has_its_labels(models: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    record, labels = converted(models["text"], pictures, tmp_path)
    verdict, accuracy, caveat = figures(record)
    assert (labels, verdict, accuracy) == (BY_TEXT, "proven with caveats", 1.0)
    assert record.source is not None
    assert list(record.source.classes) == BY_TEXT
    assert caveat == (
        "The class names were assumed to be those of colours in their order (0, 1, 10, 11, 2, …, as Keras sorts "
        "folders); 100.0% of the 120 images are right so. --classes sets them."
    )


@pytest.mark.parametrize("form", ["number", "saved"])
def test_a_model_in_another_order_has_no_labels_until_they_are_named(
    models: dict[str, Path], pictures: Path, tmp_path: Path, form: str
) -> None:
    scale = {"scale": 1.0} if form == "saved" else {}
    record, labels = converted(models[form], pictures, tmp_path, **scale)
    _, accuracy, caveat = figures(record)
    assert (labels, accuracy) == ([], None)
    assert record.source is not None
    assert record.source.classes == ()
    assert "16.7% of the 120 images are right, and 100.0% with the names sorted by the numbers in them" in caveat
    assert caveat.endswith(f"--classes {','.join(BY_NUMBER)} sets that order.")
    record, labels = converted(models[form], pictures, tmp_path, classes=tuple(BY_NUMBER), **scale)
    assert (labels, figures(record)[1:]) == (BY_NUMBER, (1.0, ""))


def test_named_classes_in_a_wrong_order_are_doubted(models: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    record, labels = converted(models["number"], pictures, tmp_path, classes=tuple(BY_TEXT))
    verdict, accuracy, caveat = figures(record)
    assert (labels, verdict) == (BY_TEXT, "proven with caveats")
    assert accuracy == pytest.approx(1 / 6)
    assert caveat.startswith("The class names (0, 1, 10, 11, 2, …) seem to be in another order than the model's values")


def test_labels_that_one_folder_supports_are_not_taken_for_another(
    models: dict[str, Path], pictures: Path, tmp_path: Path
) -> None:
    """The packages of both have the same names, and a cache that knew the names alone would mix them up."""
    other = tmp_path / pictures.name
    shutil.copytree(pictures, other)
    for split in ("train", "test"):
        (other / split / "3").rename(other / split / "x")
        (other / split / "7").rename(other / split / "3")
        (other / split / "x").rename(other / split / "7")
    assert converted(models["text"], pictures, tmp_path)[1] == BY_TEXT
    record, labels = converted(models["text"], other, tmp_path)
    assert (labels, record.variants[0].reused) == ([], False)
    assert "83.3% of the 120 images are right, and 100.0% with the names in another order" in figures(record)[2]


def test_other_classes_than_the_models_are_no_labels(models: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    """As many folders as the model has values, and nothing of what it was trained on in them."""
    other, random = tmp_path / "noise", np.random.default_rng(1)
    for name in BY_NUMBER:
        (other / f"kind {name}").mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 256, (1, 1, 3), dtype=np.uint8)
            Image.fromarray(np.broadcast_to(pixels, (8, 8, 3))).save(other / f"kind {name}" / f"{number}.png")
    record, labels = converted(models["text"], other, tmp_path)
    _, accuracy, caveat = figures(record)
    assert (labels, accuracy) == ([], None)
    assert "no more than by guessing" in caveat


@pytest.fixture(scope="module")
def package(models: dict[str, Path], pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package with labels in the order of Keras."""
    settings: Any = {"images": 120, "data": str(pictures), "classes": tuple(BY_TEXT), "variants": ("fp16",)}
    ((record, folder),) = convert([source_of_file(models["text"])], tmp_path_factory.mktemp("results"), **settings)
    return folder / record.variants[0].path


@pytest.mark.parametrize(
    ("labels", "classes", "verdict", "says"),
    [
        ({"2": "10", "10": "2"}, BY_TEXT, "wrong", "other classes: '10' is called '2', '2' is called '10';"),
        (
            {"2": "two"},
            BY_TEXT,
            "wrong",
            "the package has other names for classes of the model: '2' is called 'two'",
        ),
        ({"2": "10", "10": "2"}, [], "degraded", "other classes: '10' is called '2', '2' is called '10';"),
    ],
)
def test_spoilt_labels_are_found_and_no_op_is_blamed(
    package: Path,
    models: dict[str, Path],
    pictures: Path,
    tmp_path: Path,
    labels: dict[str, str],
    classes: list[str],
    verdict: str,
    says: str,
) -> None:
    spoilt = tmp_path / "spoilt.mlpackage"
    shutil.copytree(package, spoilt)
    relabel(spoilt, labels)
    record, _ = converted(models["text"], pictures, tmp_path, check=str(spoilt), classes=tuple(classes))
    proof = record.variants[0].proof
    assert proof is not None
    assert proof.verdict == verdict
    assert says in proof.reason
    assert proof.divergence is None
    assert not any("No op can be named" in note for note in record.variants[0].notes)


def test_folders_in_another_spelling_are_the_named_classes(
    models: dict[str, Path], pictures: Path, tmp_path: Path
) -> None:
    classes = tuple(f"Colour {name}" for name in BY_TEXT)
    other = tmp_path / "spelt"
    for split in ("train", "test"):
        for name in BY_NUMBER:
            shutil.copytree(pictures / split / name, other / split / f"colour {name}")
    record, labels = converted(models["text"], other, tmp_path, classes=classes)
    assert (labels, figures(record)[1:]) == (list(classes), (1.0, ""))
