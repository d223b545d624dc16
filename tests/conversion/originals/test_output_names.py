"""Names of the outputs of converted models: those of the model, valid in code, and one for each output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from coremlbench.conversion.compression import compress
from coremlbench.conversion.originals import open_original
from coremlbench.conversion.originals.output_names import choose_output_names
from coremlbench.conversion.package_files import save_package
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.sources import source_of_file
from coremlbench.conversion.variants import VARIANTS
from coremlbench.training.random_weights import random_samples
from coremlbench.types.conversion import OUTPUT

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]


def package_of(original: Any, folder: Path, precision: str = "float32") -> PackageRunner:
    """Convert an original, and return a runner of the saved package."""
    original.convert(precision, batch=1, target="macOS13").save(str(folder / "made.mlpackage"))
    return PackageRunner.load(folder / "made.mlpackage")


@pytest.mark.parametrize(
    ("structured", "own", "count", "names"),
    [
        (None, ["dense_2"], 1, ("dense_2",)),
        (None, [], 1, ("output",)),
        (None, ["one"], 2, ("output_0", "output_1")),
        (None, ["a.b", "a-b", "2d", "ö"], 4, ("a_b", "a_b_", "_2d", "_")),
        ({"y": 0, "x": 1}, ["one", "two"], 2, ("x", "y")),
    ],
)
def test_outputs_have_names_that_can_be_written_in_code(
    structured: Any, own: list[str], count: int, names: tuple[str, ...]
) -> None:
    assert choose_output_names(structured, own, count) == names


def test_outputs_keep_clear_of_the_names_in_their_program(tmp_path: Path) -> None:
    image = keras.Input((4,), name="x")
    outputs = [layers.Dense(3, name="image")(image), layers.Dense(2, name="bool")(image)]
    keras.Model(image, outputs, name="net").save(tmp_path / "model.keras")
    original: Any = open_original(source_of_file(tmp_path / "model.keras"), {})
    samples = random_samples((4,), pixels=False, seed=0, count=2)
    executed = package_of(original, tmp_path)
    assert executed.outputs == ("image_", "bool_")
    np.testing.assert_allclose(executed.predict(samples)[OUTPUT], original.predict(samples)[OUTPUT], rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_outputs_of_one_value_have_a_name_each(precision: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((4,), name="x")
    hidden = layers.Dense(3, name="h")(image)
    same = [layers.Reshape((3,), name="same")(hidden), layers.Dropout(0.5, name="h_")(hidden)]
    keras.Model(image, [hidden, hidden, image, *same, layers.Reshape((3, 1))(hidden)]).save(tmp_path / "model.keras")
    original: Any = open_original(source_of_file(tmp_path / "model.keras"), {})
    samples = random_samples((4,), pixels=False, seed=0, count=2)
    executed = package_of(original, tmp_path, precision)
    assert executed.outputs == original.outputs
    assert len(set(executed.outputs)) == 6
    assert executed.widths == (3, 3, 4, 3, 3, 3)
    predictions = executed.predict(samples)[OUTPUT]
    np.testing.assert_allclose(predictions, original.predict(samples)[OUTPUT], rtol=2e-3, atol=2e-3)


def test_a_compressed_package_keeps_outputs_of_one_value(tmp_path: Path) -> None:
    image = keras.Input((64,))
    hidden = layers.Dense(64, name="h")(image)
    keras.Model(image, [hidden, hidden]).save(tmp_path / "model.keras")
    package_of(open_original(source_of_file(tmp_path / "model.keras"), {}), tmp_path, "float16")
    int8 = next(variant for variant in VARIANTS if variant.name == "int8")
    samples = random_samples((64,), pixels=False, seed=0, count=2)
    compressed = compress(int8, tmp_path / "made.mlpackage", samples, 1.0, lambda *_, **__: None)
    save_package(compressed, tmp_path / "int8.mlpackage", {})
    executed = PackageRunner.load(tmp_path / "int8.mlpackage")
    assert executed.outputs == ("h", "h_")
    first, second = np.split(executed.predict(samples)[OUTPUT], 2, axis=1)
    np.testing.assert_array_equal(first, second)


def test_many_outputs_keep_their_order(tmp_path: Path) -> None:
    image = keras.Input((3,))
    outputs = [layers.Rescaling(float(number), name=f"times_{number}")(image) for number in range(12)]
    keras.Model(image, outputs).save(tmp_path / "model.keras")
    executed = package_of(open_original(source_of_file(tmp_path / "model.keras"), {}), tmp_path)
    assert executed.outputs == tuple(f"times_{number}" for number in range(12))
    (values,) = executed.predict(np.ones((1, 3), np.float32))[OUTPUT]
    np.testing.assert_allclose(values, np.repeat(np.arange(12), 3))
