"""Inputs of floats whose numbers are indices of tables."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from coremlbench.conversion.originals import open_original
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.sampling import random_inputs
from coremlbench.conversion.sources import source_of_file
from coremlbench.types.conversion import OUTPUT
from coremlbench.types.errors import InputError

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and coremltools warn about each other
]
WORDS = 10_000


def opened(model: Any, folder: Path, **settings: Any) -> Any:
    model.save(folder / "model.keras")
    return open_original(source_of_file(folder / "model.keras"), settings)


def reading(build: Callable[[Any], Any]) -> Any:
    """Return a model that reads tables at the numbers of an input of six floats."""
    keras.utils.set_random_seed(0)
    numbers = keras.Input((6,))
    return keras.Model(numbers, layers.Dense(3)(layers.GlobalAveragePooling1D()(build(numbers))))


def embedded(numbers: Any, rows: int = WORDS, **settings: Any) -> Any:
    return layers.Embedding(rows, 8, embeddings_initializer="normal", **settings)(numbers)


READERS: dict[str, tuple[Callable[[Any], Any], int, int]] = {
    "an embedding": (embedded, 0, WORDS - 1),
    "a mask": (partial(embedded, mask_zero=True), 0, WORDS - 1),
    "one-hot vectors": (lambda x: keras.ops.one_hot(keras.ops.cast(x, "int32"), 3000), 0, 2999),
    "rounding and a new shape": (
        lambda x: embedded(layers.Flatten()(keras.ops.round(layers.Reshape((3, 2))(x)))),
        0,
        WORDS - 1,
    ),
    "a shift by one": (lambda x: embedded(x + 1), 0, WORDS - 2),
    "a large table": (lambda x: embedded(x, 70_000), 0, 69_999),
}


@pytest.mark.parametrize("reader", list(READERS))
def test_indices_are_found_and_reach_their_tables_exactly(tmp_path: Path, reader: str) -> None:
    build, low, high = READERS[reader]
    original = opened(reading(build), tmp_path, scale=1 / 255)
    indices = original.sampling.indices
    assert indices.is_index.all()
    assert (indices.low.tolist(), indices.high.tolist()) == ([low] * 6, [high] * 6)
    assert original.notes[0].startswith(
        f"The numbers of the input are indices, whole numbers from {low:,} to {high:,};"
    )
    assert original.notes[0].endswith("--scale was left out.")
    samples = random_inputs(original, seed=0, count=20)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, samples.round())
    assert (samples.min(), samples.max()) == (low, high)
    expected = original.predict(samples)[OUTPUT]
    original.convert("float16", batch=1, target="macOS13").save(str(tmp_path / "made.mlpackage"))
    actual = PackageRunner.load(tmp_path / "made.mlpackage").predict(samples)[OUTPUT]
    np.testing.assert_allclose(actual, expected, atol=2e-3 * np.ptp(expected))


def test_each_column_has_the_indices_of_its_own_table(tmp_path: Path) -> None:
    numbers = keras.Input((5,))
    kinds = [layers.Flatten()(embedded(numbers[:, column : column + 1], rows)) for column, rows in ((0, 7), (3, 5000))]
    model = keras.Model(numbers, layers.Dense(3)(layers.concatenate([*kinds, numbers[:, 1:3], numbers[:, 4:]])))
    original = opened(model, tmp_path)
    indices = original.sampling.indices
    assert indices.is_index.tolist() == [True, False, False, True, False]
    assert indices.high[indices.is_index].tolist() == [6, 4999]
    assert not original.sampling.range_known
    assert original.notes[0].startswith("2 of the 5 numbers of the input are indices, whole numbers from 0 to 4,999;")
    samples = random_inputs(original, seed=0, count=50)
    assert samples[:2, [0, 3]].tolist() == [[0, 4999], [6, 0]]
    assert np.abs(samples[:, 1]).max() < 6
    assert len(np.unique(samples[:, 1])) == 50
    expected = original.predict(samples)[OUTPUT]
    original.convert("float16", batch=1, target="macOS15").save(str(tmp_path / "made.mlpackage"))
    actual = PackageRunner.load(tmp_path / "made.mlpackage").predict(samples)[OUTPUT]
    np.testing.assert_allclose(actual, expected, atol=2e-3 * np.ptp(expected))


def test_the_table_of_a_saved_model_is_a_variable(tmp_path: Path) -> None:
    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = tf.Variable(np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float32)])
        def __call__(self, x: Any) -> Any:
            return tf.reduce_mean(tf.gather(self.table, tf.cast(tf.round(x), tf.int64)), axis=1)

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    original = open_original(source_of_file(tmp_path / "model"), {})
    assert original.sampling.indices is not None
    assert original.sampling.indices.high.tolist() == [4999] * 6
    original.convert("float16", batch=1, target="macOS13").save(str(tmp_path / "made.mlpackage"))
    samples = random_inputs(original, seed=1, count=5)
    actual = PackageRunner.load(tmp_path / "made.mlpackage").predict(samples)[OUTPUT]
    expected: Any = original.predict(samples)[OUTPUT]
    np.testing.assert_allclose(actual, expected, atol=5e-3)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Dense(8)(x)[:, None],
        lambda x: keras.ops.take(x, [0, 3, 5], axis=1)[:, None],
        lambda x: layers.Embedding(4, 8)(layers.Discretization(bin_boundaries=[0.0, 0.5, 1.0])(x)),
        lambda x: keras.ops.cast(keras.ops.cast(x, "int32"), "float32")[:, None],
    ],
    ids=["no table", "chosen columns", "measurements put into bins", "whole parts"],
)
def test_measurements_are_no_indices(tmp_path: Path, build: Callable[[Any], Any]) -> None:
    assert opened(reading(build), tmp_path).sampling.indices is None


def test_a_table_of_unknown_size_is_refused(tmp_path: Path) -> None:
    model = reading(lambda x: layers.CategoryEncoding(30, output_mode="multi_hot")(x)[:, None])
    with pytest.raises(InputError, match=r"model takes the numbers of its input for indices \(DenseBincount in '.*'\)"):
        opened(model, tmp_path)
