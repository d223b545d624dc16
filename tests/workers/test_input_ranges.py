"""Keras models converted and proven in this process, in each range of values that their input may have."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from coremlbench.conversion.sources import source_of_file
from coremlbench.system import serialization
from coremlbench.workers.convert import work
from coremlbench.workers.proof import _prove

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow, Keras and coremltools warn about each other
]


def silent(*_: Any, **__: Any) -> None:
    pass


def proven(model: Any, folder: Path, *, variant: str = "fp16", images: int = 40, **settings: Any) -> dict[str, Any]:
    """Convert a model and return the result of its proof on random inputs, with the worker's ``model`` beside it."""
    model.save(folder / "model.keras")
    package = {
        "key": variant,
        "variant": variant,
        "batch": 1,
        "target": "macOS14",
        "base_target": "macOS14",
        "package": str(folder / f"{variant}.mlpackage"),
        "ready_package": None,
        "without_original": False,
    }
    request = {
        "source": serialization.to_json(source_of_file(folder / "model.keras")),
        "settings": {"data": None, **settings},
        "data": {"kind": "random"},
        "folder": str(folder),
        "images": images,
        "calibration": 8,
        "seed": 0,
        "metadata": {},
        "variants": [package],
    }
    opened = work(request, silent)
    proof_request: dict[str, Any] = {"folder": str(folder), "original": "Keras", "labels": [], "classes": None}
    proof_request |= {"inputs": "data"}
    proof_request |= {name: opened[name] for name in ("scale", "data", "class_origin")}
    result = _prove({**package, "precision": variant}, proof_request, silent)
    assert "error" not in result
    return {"model": opened, **result}


def features(image: Any) -> Any:
    """Return 900 positive features of a picture that grow with its pixels."""
    x = layers.Conv2D(4, 3, activation="relu", kernel_initializer="he_normal")(image)
    return layers.Flatten()(layers.Conv2D(4, 3, activation="relu", kernel_initializer="he_normal")(x))


def unit_vectors() -> Any:
    """Return a model of vectors of length 1: in float16 their squared length is infinite for pixels up to 255."""
    keras.utils.set_random_seed(0)
    image = keras.Input((19, 19, 3))
    return keras.Model(image, layers.Reshape((1, 30, 30))(layers.UnitNormalization()(features(image))))


def powers() -> Any:
    """Return a model whose features are squared: pixels up to 255 leave float16 within a pooling."""
    keras.utils.set_random_seed(0)
    image = keras.Input((19, 19, 3))
    x = keras.ops.sqrt(keras.ops.mean(keras.ops.square(features(image)), axis=-1, keepdims=True))
    return keras.Model(image, layers.concatenate([x, layers.Dense(3)(features(image))]))


def saturated() -> Any:
    """Return a model whose features tell pixels up to 1 apart, and are all 1 for pixels up to 255.

    Its outputs are differences of features.
    """
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    kernel, bias = keras.initializers.RandomUniform(0, 0.05), keras.initializers.Constant(-2.4)
    dense = layers.Dense(8, activation="tanh", kernel_initializer=kernel, bias_initializer=bias)
    x = dense(layers.Flatten()(image))
    model = keras.Model(image, layers.Dense(3, name="differences")(x))
    kernel, bias = model.get_layer("differences").get_weights()
    model.get_layer("differences").set_weights([kernel - kernel.mean(axis=0), bias])
    return model


def test_an_overflow_in_the_other_range_of_pixels_is_wrong(tmp_path: Path) -> None:
    result = proven(unit_vectors(), tmp_path)
    assert result["proof"]["verdict"] == "wrong"
    assert result["proof"]["reason"].startswith("for values from 0 to 255, ")
    assert result["first_sample"] == 40
    assert [caveat["code"] for caveat in result["proof"]["caveats"]] == ["few-images", "pixel-range"]
    assert np.load(tmp_path / "samples.npy").shape == (48, 19, 19, 3)


def test_the_range_that_scale_names_is_proven_alone(tmp_path: Path) -> None:
    result = proven(unit_vectors(), tmp_path, scale=1 / 255)
    assert result["proof"]["verdict"] == "proven with caveats"
    assert [caveat["code"] for caveat in result["proof"]["caveats"]] == ["few-images"]
    assert np.load(tmp_path / "samples.npy").dtype == np.uint8


def test_another_overflow_is_wrong_and_float32_has_none(tmp_path: Path) -> None:
    assert proven(powers(), tmp_path)["proof"]["verdict"] == "wrong"
    (tmp_path / "again").mkdir()
    result = proven(powers(), tmp_path / "again", variant="fp32")
    assert result["proof"]["verdict"] == "proven with caveats"
    assert "from 0 to 1 and from 0 to 255" in result["proof"]["caveats"][-1]["text"]


def test_a_network_that_saturates_in_the_other_range_is_not_wrong(tmp_path: Path) -> None:
    proof = proven(saturated(), tmp_path)["proof"]
    assert proof["verdict"] == "proven with caveats"
    assert proof["reason"].startswith("for values from 0 to 1, ")
    assert "for those from 0 to 255 the original's outputs say nothing" in proof["caveats"][-1]["text"]


def test_activations_of_8_bits_are_compared_in_the_range_that_they_were_measured_in(tmp_path: Path) -> None:
    proof = proven(unit_vectors(), tmp_path, variant="int8-activations")["proof"]
    assert proof["verdict"] in {"proven with caveats", "degraded"}
    assert "compared on those from 0 to 1; give --scale" in proof["caveats"][-1]["text"]


@pytest.mark.parametrize("variant", ["fp16", "int8-activations"])
def test_words_are_compared_as_words(tmp_path: Path, variant: str) -> None:
    keras.utils.set_random_seed(0)
    words = keras.Input((12,))
    x = layers.Embedding(10_000, 16, embeddings_initializer="normal")(words)
    result = proven(keras.Model(words, layers.Dense(4)(layers.GlobalAveragePooling1D()(x))), tmp_path, variant=variant)
    assert result["model"]["data"] == "random inputs (indices) from the seed 0"
    assert result["proof"]["verdict"] == "proven with caveats"
    assert [caveat["code"] for caveat in result["proof"]["caveats"]] == [
        "few-images",
        *(["known-deviation"] if variant == "int8-activations" else []),
    ]
    samples = np.load(tmp_path / "samples.npy")
    assert (samples.min(), samples.max()) == (0, 9999)


def test_the_values_of_measurements_are_told(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    numbers = keras.Input((6,))
    proof = proven(keras.Model(numbers, layers.Dense(3)(numbers)), tmp_path)["proof"]
    samples = np.load(tmp_path / "samples.npy")
    text = (
        f"Compared on values from {samples.min():.3g} to {samples.max():.3g} only; nothing is known about larger ones."
    )
    assert {"code": "value-range", "text": text} in proof["caveats"]
