"""Graphs that are rewritten before coremltools converts them: loops, and tests of the sign bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from coremlbench.conversion.op_statistics import count_ops, multiply_adds
from coremlbench.conversion.originals import open_original, recurrent_layers
from coremlbench.conversion.originals.frozen_graph import conversion_input
from coremlbench.conversion.originals.graph_rewrites import needs_rewriting
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.sources import source_of_file
from coremlbench.mil_onnx import load_program
from coremlbench.training.random_weights import random_samples
from coremlbench.types.conversion import OUTPUT
from coremlbench.types.errors import InputError
from tests.converted_functions import convert_and_predict

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and coremltools warn about each other
]
STEPS = 7


@pytest.fixture(autouse=True)
def few_unrolled_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have layers of few steps become loops."""
    monkeypatch.setattr(recurrent_layers, "MAX_UNROLLED_STEPS", STEPS - 1)


def recurrent_model() -> Any:
    """Return a model with two loops; one gives three results to one op, the other reads its input in reverse."""
    keras.utils.set_random_seed(0)
    image = keras.Input((STEPS, 3))
    sequence = layers.GRU(3, go_backwards=True, return_sequences=True, name="reader")(image)
    states = layers.LSTM(4, return_state=True, activation="relu", name="memory")(sequence)
    return keras.Model(image, layers.Dense(3)(layers.Concatenate()(states)))


@pytest.mark.parametrize("form", ["keras", "saved-model"])
def test_long_recurrent_layers_become_loops(form: str, tmp_path: Path) -> None:
    model = recurrent_model()
    path = tmp_path / ("model.keras" if form == "keras" else "model")
    if form == "keras":
        model.save(path)
    else:
        model.export(path, format="tf_saved_model", verbose=False)
    original = open_original(source_of_file(path), {})
    samples = random_samples((STEPS, 3), pixels=False, seed=0, count=3)
    expected = model.predict(samples, verbose=0)
    original.convert("float32", batch=2, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    program = load_program(tmp_path / "model.mlpackage")
    assert count_ops(program)["while_loop"] == 2
    assert multiply_adds(program) is None  # the number of steps is not in the program
    predictions = PackageRunner.from_program(program).predict(samples)
    np.testing.assert_allclose(predictions[OUTPUT], expected, rtol=1e-4, atol=1e-5)
    if form == "keras":
        assert "loops of the program: reader (7 steps), memory (7 steps)." in original.notes[-1]


def test_short_layers_are_unrolled_until_the_steps_are_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent_layers, "MAX_UNROLLED_STEPS", STEPS)
    recurrent_model().save(tmp_path / "model.keras")
    original = open_original(source_of_file(tmp_path / "model.keras"), {})
    assert "loops of the program: memory (7 steps)." in original.notes[-1]
    original.convert("float32", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    assert count_ops(load_program(tmp_path / "model.mlpackage"))["while_loop"] == 1


def test_masked_steps_are_skipped_in_a_loop(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((STEPS, 3)), layers.Masking(0.0), layers.LSTM(3), layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    original = open_original(source_of_file(tmp_path / "model.keras"), {})
    samples = random_samples((STEPS, 3), pixels=False, seed=0, count=4)
    for number in range(len(samples)):
        samples[number, number + 2 :] = 0
    original.convert("float32", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    predictions = PackageRunner.load(tmp_path / "model.mlpackage").predict(samples)
    np.testing.assert_allclose(predictions[OUTPUT], model.predict(samples, verbose=0), rtol=1e-4, atol=1e-5)


def halved_until_small(image: Any) -> Any:
    """Return the input halved until its sum is below 1, at most six times."""
    (halved,) = tf.while_loop(
        lambda x: tf.reduce_sum(tf.abs(x)) > 1.0, lambda x: [x / 2], [image], maximum_iterations=6
    )
    return halved + image


def doubled_in_a_loop_in_a_loop(image: Any) -> Any:
    """Return the input doubled until its sum exceeds 10, less 5, three times over."""

    def double(x: Any) -> Any:
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 10.0, lambda y: [y * 2 + 1], [x])[0]

    return tf.while_loop(lambda _, count: count < 3, lambda x, count: [double(x) - 5, count + 1], [image, 0])[0]


LOOPS: dict[str, Callable[[Any], Any]] = {
    "condition and limit": halved_until_small,
    "loop in a loop": doubled_in_a_loop_in_a_loop,
    "map": lambda image: tf.map_fn(lambda row: row * 2 + 1, image),
}


@pytest.mark.parametrize("name", list(LOOPS))
@pytest.mark.parametrize("size", [1.0, 40.0, 4000.0])
def test_loops_of_tensorflow(name: str, size: float, tmp_path: Path) -> None:
    sample = np.array([size, -size / 2], np.float32)
    expected = LOOPS[name](tf.constant(sample[np.newaxis])).numpy()
    np.testing.assert_allclose(convert_and_predict(LOOPS[name], sample, tmp_path), expected, rtol=1e-5)


STEP_SLICES: dict[str, Callable[[Any, Any], Any]] = {
    "one step": lambda x, step: x[:, step],
    "two steps": lambda x, step: x[:, step : step + 2],
    "last dimension": lambda x, step: x[..., step],
    "between other dimensions": lambda x, step: x[..., step, :],
    "with a new dimension": lambda x, step: x[:, tf.newaxis, step],
    "every dimension": lambda x, step: x[:, step, :, 0],
}


@pytest.mark.parametrize("name", list(STEP_SLICES))
def test_a_loop_reads_the_slice_of_its_step(name: str, tmp_path: Path) -> None:
    read = STEP_SLICES[name]

    def sum_of_steps(x: Any) -> Any:
        first = tf.zeros_like(read(x, 0))
        return tf.while_loop(lambda step, _: step < 3, lambda step, y: [step + 1, 2 * y + read(x, step)], [0, first])[1]

    sample = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    expected = sum_of_steps(tf.constant(sample[np.newaxis])).numpy()
    np.testing.assert_allclose(convert_and_predict(sum_of_steps, sample, tmp_path), expected, rtol=1e-5, atol=1e-6)


def test_a_slice_up_to_a_computed_index(tmp_path: Path) -> None:
    def sum_of_first(x: Any) -> Any:
        return tf.reduce_sum(x[:, : tf.cast(tf.reduce_max(x), tf.int32)], axis=1)

    sample = np.array([[1, 2], [3, 0.5], [-1, 7]], np.float32) / 3
    expected = sum_of_first(tf.constant(sample[np.newaxis])).numpy()
    np.testing.assert_allclose(convert_and_predict(sum_of_first, sample, tmp_path), expected, rtol=1e-5)


VALUES = np.random.default_rng(0).normal(size=(4, 5, 7)).astype(np.float32)
VALUES[0, 0] = 0  # the first of equal values is taken
SIGN_TESTS: dict[str, Callable[[Any], Any]] = {
    "argmax": lambda x: keras.ops.argmax(x, axis=-1),
    "argmin over rows": lambda x: keras.ops.argmin(x, axis=1),
    "argmax with its dimension": lambda x: keras.ops.argmax(x, axis=2, keepdims=True),
    "signbit": lambda x: tf.where(keras.ops.signbit(x), x, 2 * x),
}


@pytest.mark.parametrize("name", list(SIGN_TESTS))
def test_sign_bits(name: str, tmp_path: Path) -> None:
    call = SIGN_TESTS[name]
    expected = call(tf.constant(VALUES[np.newaxis])).numpy()
    np.testing.assert_array_equal(convert_and_predict(call, VALUES, tmp_path), expected)


def test_the_place_of_the_largest_value_takes_one_op() -> None:
    concrete = tf.function(SIGN_TESTS["argmax"]).get_concrete_function(tf.TensorSpec((1, 7)))
    assert needs_rewriting(concrete.graph.as_graph_def())
    (rewritten,) = conversion_input(concrete)
    kinds = {operation.type for operation in rewritten.graph.get_operations()}
    assert "ArgMax" in kinds
    assert not kinds & {"Bitcast", "BitwiseAnd", "SelectV2", "Less"}


def test_other_arithmetic_with_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no conversion for TensorFlow's Bitcast, which 'Bitcast'"):
        convert_and_predict(lambda x: tf.cast(tf.bitcast(x, tf.int32) + 1, tf.float32), VALUES[0, 0], tmp_path)
