"""Conversions of TensorFlow ops, executed and compared with TensorFlow."""

import math
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from coremlbench.conversion.divergence import find_divergence
from coremlbench.conversion.originals import open_original
from coremlbench.conversion.originals.tensorflow_ops import BYTE_CAST_NAME, OPS, _raw_resize, _resize_by_matrices
from coremlbench.conversion.sources import source_of_file
from coremlbench.mil_onnx import load_program
from coremlbench.types.errors import InputError
from tests.converted_functions import convert_and_predict

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and coremltools warn about each other
]
RANDOM = np.random.default_rng(0)


def check(call: Callable[[Any], Any], sample: Any, folder: Path, op: str) -> None:
    """Compare a package that uses ``op`` with TensorFlow."""
    concrete = tf.function(call).get_concrete_function(tf.TensorSpec((1, *sample.shape)))
    assert op in {operation.type for operation in concrete.graph.get_operations()}, "the case is of another op"
    expected = call(tf.constant(sample[np.newaxis])).numpy()
    np.testing.assert_allclose(convert_and_predict(call, sample, folder), expected, rtol=1e-5, atol=2e-6)


SPECIAL = np.array([0, -0.0, 1, -1, math.pi, -math.e, 1e-8, -1e-8, math.inf, -math.inf, math.nan, 30], np.float32)
PLAIN = SPECIAL[[0, 2, 3, 4, 5, 6, 7]]
BYTE_VALUES = np.arange(256, dtype=np.float32)

# Up to 1.23, which Intel Macs and Python 3.10 have, ONNX Runtime's Erf gives 1 for NaN.
ERF_KEEPS_NAN = tuple(map(int, metadata.version("onnxruntime").split(".")[:2])) > (1, 23)

CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "Erfc": (tf.math.erfc, SPECIAL if ERF_KEEPS_NAN else SPECIAL[~np.isnan(SPECIAL)]),
    "Expm1": (tf.math.expm1, SPECIAL),
    "IsInf": (lambda x: tf.where(tf.math.is_inf(x), x + 1, 2 * tf.ones_like(x)), SPECIAL),
    "IsNan": (lambda x: tf.where(tf.math.is_nan(x), 5 * tf.ones_like(x), x), SPECIAL),
    "Atan2": (lambda x: tf.math.atan2(x[:, :, None], x[:, None, :]), PLAIN),
    "Bucketize": (lambda x: tf.raw_ops.Bucketize(input=x, boundaries=[-1.0, 0.0, 1.0]), SPECIAL[:10]),
    "Cast": (
        lambda x: tf.cast(tf.cast(x, tf.uint8, name=BYTE_CAST_NAME), tf.float32) / 3,
        np.arange(256, dtype=np.float32),
    ),
    "EnsureShape": (lambda x: tf.ensure_shape(x, (1, 7)) * 2, PLAIN),
    "SplitV": (lambda x: tf.concat(tf.split(x, [2, -1, 1], axis=-1)[::-1], -1), PLAIN),
}


@pytest.mark.parametrize("op", list(CASES))
def test_elementwise(op: str, tmp_path: Path) -> None:
    call, sample = CASES[op]
    check(call, sample, tmp_path, op)


@settings(max_examples=2)
@given(data=st.data())
def test_roll(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape)), min_size=1, max_size=2))
    shifts = data.draw(st.lists(st.integers(-7, 7), min_size=len(axes), max_size=len(axes)))
    sample = RANDOM.normal(size=shape).astype(np.float32)
    check(lambda x: tf.roll(x, shifts, axes), sample, tmp_path_factory.mktemp("roll"), "Roll")


@settings(max_examples=2)
@given(data=st.data(), mode=st.sampled_from(["SYMMETRIC", "REFLECT"]))
def test_mirrored_margins(data: st.DataObject, mode: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    shape = data.draw(st.lists(st.integers(3, 6), min_size=3, max_size=3))
    margin = st.integers(0, 2)
    margins = [(0, 0), *(data.draw(st.tuples(margin, margin)) for _ in range(2)), (0, 0)]
    sample = RANDOM.normal(size=shape).astype(np.float32)
    check(lambda x: tf.pad(x, margins, mode), sample, tmp_path_factory.mktemp("pad"), "MirrorPad")


RESIZINGS: dict[str, tuple[str, Callable[..., Any]]] = {
    "bicubic": ("ResizeBicubic", lambda x, size: tf.image.resize(x, size, "bicubic")),
    "bicubic, corners aligned": (
        "ResizeBicubic",
        lambda x, size: tf.raw_ops.ResizeBicubic(images=x, size=size, align_corners=True),
    ),
    "area": ("ResizeArea", lambda x, size: tf.image.resize(x, size, "area")),
    "nearest": ("ResizeNearestNeighbor", lambda x, size: tf.image.resize(x, size, "nearest")),
    "nearest, by corners": (
        "ResizeNearestNeighbor",
        lambda x, size: tf.raw_ops.ResizeNearestNeighbor(images=x, size=size),
    ),
    "nearest, corners aligned": (
        "ResizeNearestNeighbor",
        lambda x, size: tf.raw_ops.ResizeNearestNeighbor(images=x, size=size, align_corners=True),
    ),
    "nearest of integers": (
        "ResizeNearestNeighbor",
        lambda x, size: tf.image.resize(tf.cast(x * 9, tf.int32), size, "nearest"),
    ),
    "bilinear": ("ResizeBilinear", lambda x, size: tf.image.resize(x, size, "bilinear")),
    "bilinear, by corners": ("ResizeBilinear", lambda x, size: tf.raw_ops.ResizeBilinear(images=x, size=size)),
    "bilinear, corners aligned": (
        "ResizeBilinear",
        lambda x, size: tf.raw_ops.ResizeBilinear(images=x, size=size, align_corners=True),
    ),
    "lanczos3": ("ScaleAndTranslate", lambda x, size: tf.image.resize(x, size, "lanczos3")),
    "bilinear, antialiased": (
        "ScaleAndTranslate",
        lambda x, size: tf.image.resize(x, size, "bilinear", antialias=True),
    ),
    "gaussian, antialiased": (
        "ScaleAndTranslate",
        lambda x, size: tf.image.resize(x, size, "gaussian", antialias=True),
    ),
}


@pytest.mark.parametrize("how", list(RESIZINGS))
@settings(max_examples=2)
@given(sizes=st.tuples(*[st.integers(1, 12)] * 4))
def test_resizing(how: str, sizes: tuple[int, int, int, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    op, resize = RESIZINGS[how]
    height, width, *target = sizes
    sample = RANDOM.normal(size=(height, width, 3)).astype(np.float32)
    check(lambda x: resize(x, target), sample, tmp_path_factory.mktemp("resize"), op)


@pytest.mark.parametrize("size", [(3, 5), (8, 10), (16, 30), (11, 7)])
def test_nearest_pixels_are_exact_in_float16(size: tuple[int, int], tmp_path: Path) -> None:
    sample = RANDOM.integers(0, 256, (8, 10, 3)).astype(np.float32)
    resized = convert_and_predict(lambda x: tf.image.resize(x, size, "nearest"), sample, tmp_path, "float16")
    np.testing.assert_array_equal(resized, tf.image.resize(sample[np.newaxis], size, "nearest"))


def test_a_wrong_resizing_is_named_and_not_the_convolution_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blur(mb: Any, node: Any, x: Any, size: Any) -> Any:
        return _resize_by_matrices(mb, node, x, size, _raw_resize("ResizeBilinear", node))

    image = keras.Input((12, 9, 3))
    small = keras.layers.Resizing(5, 6, interpolation="nearest", name="small")(image)
    keras.Model(image, keras.layers.Conv2D(2, 3)(small)).save(tmp_path / "model.keras")
    original = open_original(source_of_file(tmp_path / "model.keras"), {})
    monkeypatch.setitem(OPS, "ResizeNearestNeighbor", blur)
    original.convert("float16", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    samples = RANDOM.normal(size=(2, 12, 9, 3)).astype(np.float32)
    program, reference = load_program(tmp_path / "model.mlpackage"), original.intermediate_values()
    assert reference is not None
    divergence = find_divergence(program, reference, samples, original.layers, lambda *_, **__: None)
    assert divergence is not None
    assert divergence.layer == "small"


@pytest.mark.parametrize("size", [(6, 15), (15, 6), (9, 9)])
def test_a_resizing_that_pads_converts_to_the_branch_that_is_taken(size: tuple[int, int], tmp_path: Path) -> None:
    layer = keras.layers.Resizing(*size, pad_to_aspect_ratio=True, fill_value=0.5)
    sample = RANDOM.normal(size=(9, 9, 3)).astype(np.float32)
    expected = layer(sample[np.newaxis]).numpy()
    np.testing.assert_allclose(convert_and_predict(layer, sample, tmp_path), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_condition_on_the_input_converts_to_both_branches(sign: int, tmp_path: Path) -> None:
    def call(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: x - 1)

    sample = sign * np.array([1, 2], np.float32)
    np.testing.assert_array_equal(
        convert_and_predict(call, sample, tmp_path), call(tf.constant(sample[np.newaxis])).numpy()
    )


def test_every_op_has_a_case() -> None:
    resizings = {op for op, _ in RESIZINGS.values()} - {"ResizeBilinear"}  # coremltools' own conversion
    assert set(OPS) == {*CASES, "Roll", "MirrorPad", *resizings}


def test_an_op_that_nobody_knows_is_named(tmp_path: Path) -> None:
    sample = np.ones(4, np.float32)
    with pytest.raises(InputError, match=r"no conversion for TensorFlow's Cumprod, which 'Cumprod'"):
        convert_and_predict(lambda x: tf.math.cumprod(x, axis=1), sample, tmp_path)
