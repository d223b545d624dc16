"""The samples and labels that the conversion worker writes."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from coremlbench.conversion.sources import source_of_file
from coremlbench.system import serialization
from coremlbench.types.errors import InputError
from coremlbench.workers.convert import work
from tests.small_datasets import pictures

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]
NAMES = [str(number) for number in range(10)]


def open_model(folder: Path, shape: tuple[int, ...], *, classes: tuple[str, ...] = (), **settings: Any) -> Any:
    """Run the worker on a model of ten classes with greyscale images of 28 x 28 as data; return its result."""
    keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(10, activation="softmax")]).save(
        folder / "mine.keras"
    )
    data: dict[str, Any] = {"kind": "arrays", "name": "digits", "classes": NAMES}
    for split, count, seed in (("train", 20, 0), ("test", 30, 1)):
        images, labels = pictures(count, (28, 28), seed)
        for kind, values in (("images", images), ("labels", labels)):
            path = folder / f"{split}_{kind}.npy"
            np.save(path, values)
            data[f"{split}_{kind}"] = str(path)
        data[split] = count
    source = {**serialization.to_json(source_of_file(folder / "mine.keras")), "classes": list(classes)}
    request = {
        "source": source,
        "settings": {"data": {"name": "digits", "classes": NAMES}, **settings},
        "data": data,
        "folder": str(folder),
        "images": 10,
        "calibration": 5,
        "seed": 0,
        "metadata": {},
        "variants": [],
    }
    return work(request, lambda *_, **__: None)


def test_a_model_of_rows_and_columns_takes_grey_pictures(tmp_path: Path) -> None:
    model = open_model(tmp_path, (28, 28))  # as in TensorFlow's first tutorial
    assert (model["shape"], model["pixels"], model["classes"]) == ([28, 28], False, NAMES)
    assert any("multiplied with 1/255; --scale sets another factor" in note for note in model["notes"])
    assert [caveat["code"] for caveat in model["caveats"]] == ["class-order"]
    assert "assumed to be those of digits" in model["caveats"][0]["text"]
    assert model["class_origin"] == "assumed"
    samples, images = np.load(tmp_path / "samples.npy"), np.load(tmp_path / "test_images.npy")
    np.testing.assert_allclose(samples[:10], images[::3].astype(np.float32) / 255)
    np.testing.assert_allclose(samples[10:], images[:6:3])  # and a fifth of them as bytes: the range is not known
    described = json.loads((tmp_path / "samples.json").read_bytes())["ranges"]
    assert [(item["rows"], item["low"], item["high"]) for item in described] == [(10, 0, 1), (2, 0, 255)]
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), np.load(tmp_path / "test_labels.npy")[::3])
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"has images of \(28, 28, 1\), and the model takes \(28, 27\)"):
        open_model(tmp_path / "other", (28, 27))


def test_labels_of_arrays_are_those_of_the_classes_that_were_named(tmp_path: Path) -> None:
    model = open_model(tmp_path, (28, 28, 1), classes=tuple(reversed(NAMES)), scale=1 / 255)
    assert (model["pixels"], model["classes"], model["class_origin"]) == (True, NAMES[::-1], "known")
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), 9 - np.load(tmp_path / "test_labels.npy")[::3])
    (tmp_path / "other").mkdir()
    model = open_model(tmp_path / "other", (28, 28, 1), classes=tuple("abcdefghij"))
    assert "The data have other classes than the model, so no accuracy is given." in model["notes"]
    assert not (tmp_path / "other" / "labels.npy").exists()


def test_a_model_with_its_channels_first_takes_pictures_too(tmp_path: Path) -> None:
    model = open_model(tmp_path, (1, 28, 28))
    assert model["shape"] == [1, 28, 28]
    samples, images = np.load(tmp_path / "samples.npy"), np.load(tmp_path / "test_images.npy")
    np.testing.assert_array_equal(samples[:, 0], images[::3].astype(np.float32) * np.float32(model["scale"]))
