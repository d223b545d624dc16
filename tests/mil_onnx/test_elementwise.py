"""Elementwise ops and activations against numpy and against coremltools' own definitions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mil_programs import Builder, apples, close, few, fewer, numbers, run, run_one

pytestmark = pytest.mark.tensorflow

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 1000)
floats = st.sampled_from([np.float32, np.float16])

UNARY: dict[str, tuple[Callable[[np.ndarray], Any], float, float]] = {
    "abs": (np.abs, -3, 3),
    "acos": (np.arccos, -0.99, 0.99),
    "asin": (np.arcsin, -0.99, 0.99),
    "atan": (np.arctan, -3, 3),
    "atanh": (np.arctanh, -0.9, 0.9),
    "ceil": (np.ceil, -3, 3),
    "cos": (np.cos, -3, 3),
    "cosh": (np.cosh, -3, 3),
    "erf": (np.vectorize(math.erf), -3, 3),
    "exp": (np.exp, -3, 3),
    "exp2": (np.exp2, -3, 3),
    "floor": (np.floor, -3, 3),
    "inverse": (lambda x: 1 / (x + np.float16(1e-4).astype(x.dtype) if x.dtype == np.float16 else x + 1e-4), 0.5, 3),
    "log": (np.log, 0.1, 3),
    "relu": (lambda x: np.maximum(x, 0), -3, 3),
    "relu6": (lambda x: np.clip(x, 0, 6), -9, 9),
    "round": (np.round, -3, 3),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0.5, 3),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), -8, 8),
    "sign": (np.sign, -3, 3),
    "silu": (lambda x: x / (1 + np.exp(-x)), -8, 8),
    "sin": (np.sin, -3, 3),
    "sinh": (np.sinh, -3, 3),
    "softplus": (lambda x: np.log1p(np.exp(x)), -8, 8),
    "softsign": (lambda x: x / (1 + np.abs(x)), -8, 8),
    "sqrt": (np.sqrt, 0, 3),
    "square": (np.square, -3, 3),
    "tan": (np.tan, -1.2, 1.2),
    "tanh": (np.tanh, -3, 3),
}


@pytest.mark.parametrize("name", UNARY)
@given(shape=shapes, seed=seeds, dtype=floats)
@fewer
def test_a_unary_op_is_numpys(name: str, shape: tuple[int, ...], seed: int, dtype: Any) -> None:
    function, low, high = UNARY[name]
    x = numbers(shape, seed, dtype, low, high)
    actual = run_one(lambda x: getattr(Builder, name)(x=x), x=x)
    assert actual.dtype == dtype
    close(actual, np.asarray(function(x.astype(np.float64))), tolerance=4e-6)


BINARY: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "floor_div": np.floor_divide,
    "mod": np.mod,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}


@st.composite
def broadcastable(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    full = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    sides = [[1 if draw(st.booleans()) else size for size in full] for _ in range(2)]
    return tuple(sides[0]), tuple(sides[1][draw(st.integers(0, len(full) - 1)) :])


@pytest.mark.parametrize("name", BINARY)
@given(both=broadcastable(), seed=seeds, dtype=st.sampled_from([np.float32, np.int32]))
@fewer
def test_a_binary_op_broadcasts_as_numpys(name: str, both: Any, seed: int, dtype: Any) -> None:
    random = np.random.default_rng(seed)
    x, y = (random.integers(-9, 9, shape).astype(dtype) for shape in both)
    if name in {"floor_div", "mod"}:
        y[y == 0] = 4
    actual = run_one(lambda x, y: getattr(Builder, name)(x=x, y=y), x=x, y=y)
    expected = BINARY[name](x, y)
    if expected.dtype == bool:
        expected = expected.astype(np.float32)  # Core ML gives no booleans out; coremltools casts them
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@given(both=broadcastable(), seed=seeds, dtype=floats)
@few
def test_quotients_and_powers(both: Any, seed: int, dtype: Any) -> None:
    x, y = numbers(both[0], seed, dtype, 0.5, 3), numbers(both[1], seed + 1, dtype, 0.5, 3)
    actual = run(lambda x, y: [Builder.real_div(x=x, y=y), Builder.pow(x=x, y=y)], x=x, y=y)
    wide = x.astype(np.float64), y.astype(np.float64)
    close(actual[0], wide[0] / wide[1])
    close(actual[1], wide[0] ** wide[1])


@given(both=broadcastable(), seed=seeds)
@few
def test_logic_and_selection(both: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = (random.integers(0, 2, shape).astype(np.int32) for shape in both)

    def build(x: Any, y: Any) -> Any:
        a, b = Builder.cast(x=x, dtype="bool"), Builder.cast(x=y, dtype="bool")
        logical = [Builder.logical_and(x=a, y=b), Builder.logical_or(x=a, y=b), Builder.logical_xor(x=a, y=b)]
        chosen = Builder.select(cond=a, a=x, b=Builder.mul(x=x, y=-5))
        logical += [Builder.logical_not(x=a), Builder.select(cond=a, a=b, b=Builder.logical_not(x=a))]
        flags = [Builder.cast(x=each, dtype="int32") for each in logical]
        return [*flags, chosen]

    a, b = x.astype(bool), y.astype(bool)
    expected = [a & b, a | b, a ^ b, ~a, np.where(a, b, ~a), np.where(a, x, x * -5)]
    for actual, wanted in zip(run(build, x=x, y=y), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


WITH_PARAMETERS: dict[str, dict[str, float]] = {
    "clamped_relu": {"alpha": 0.25, "beta": 1.5},
    "clip": {"alpha": -1.0, "beta": 1.5},
    "elu": {"alpha": 0.5},
    "leaky_relu": {"alpha": 0.125},
    "linear_activation": {"alpha": 0.5, "beta": -1.0},
    "scaled_tanh": {"alpha": 1.5, "beta": 0.5},
    "sigmoid_hard": {"alpha": 0.25, "beta": 0.5},
    "threshold": {"alpha": 0.5},
    "thresholded_relu": {"alpha": 0.5},
}


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@given(shape=shapes, seed=seeds, dtype=floats)
@fewer
def test_an_activation_is_apples_own(name: str, shape: tuple[int, ...], seed: int, dtype: Any) -> None:
    x = numbers(shape, seed, dtype)
    x.reshape(-1)[0] = 0.5  # the threshold itself

    def build(x: Any) -> Any:
        parameters = {key: np.dtype(dtype).type(value) for key, value in WITH_PARAMETERS[name].items()}
        return getattr(Builder, name)(x=x, **parameters)

    close(run_one(build, x=x), apples(build, x=x.copy())[0])


@pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
@given(shape=shapes, seed=seeds, dtype=floats)
@few
def test_gelu_is_apples_own(mode: str, shape: tuple[int, ...], seed: int, dtype: Any) -> None:
    x = numbers(shape, seed, dtype)
    build = lambda x: Builder.gelu(x=x, mode=mode)  # noqa: E731 - the program is one op
    close(run_one(build, x=x), apples(build, x=x.astype(np.float32))[0])


@given(channels=st.integers(1, 5), seed=seeds, dtype=floats)
@few
def test_activations_by_channel_are_apples_own(channels: int, seed: int, dtype: Any) -> None:
    x = numbers((2, channels, 3, 2), seed, dtype)
    alpha, beta = numbers((channels,), seed + 1, dtype), numbers((channels,), seed + 2, dtype, 0.1, 1)

    def build(x: Any) -> Any:
        return [Builder.prelu(x=x, alpha=alpha), Builder.softplus_parametric(x=x, alpha=alpha, beta=beta)]

    for actual, expected in zip(run(build, x=x), apples(build, x=x), strict=True):
        close(actual, expected)


@given(shape=shapes, seed=seeds, dtype=floats, last=st.booleans())
@few
def test_softmax_is_apples_own(shape: tuple[int, ...], seed: int, dtype: Any, last: bool) -> None:
    x = numbers(shape, seed, dtype)
    build = lambda x: Builder.softmax(x=x, axis=-1 if last else 0)  # noqa: E731 - the program is one op
    close(run_one(build, x=x), apples(build, x=x)[0])


def test_a_cast_cuts_fractions_off_and_keeps_signs() -> None:
    x = np.array([-2.75, -0.5, 0.0, 0.5, 2.75], dtype=np.float32)

    def build(x: Any) -> Any:
        whole = Builder.cast(x=x, dtype="int32")
        return [
            whole,
            Builder.cast(x=whole, dtype="fp16"),
            Builder.cast(x=Builder.cast(x=x, dtype="bool"), dtype="fp32"),
        ]

    actual = run(build, x=x)
    np.testing.assert_array_equal(actual[0], [-2, 0, 0, 0, 2])
    assert [values.dtype.name for values in actual] == ["int32", "float16", "float32"]
    np.testing.assert_array_equal(actual[1], actual[0])
    np.testing.assert_array_equal(actual[2], [1, 1, 0, 1, 1])


def test_a_half_precision_program_overflows_where_float16_does() -> None:
    x = np.array([300.0, 200.0], dtype=np.float16)
    actual = run_one(lambda x: Builder.sqrt(x=Builder.square(x=x)), x=x)
    np.testing.assert_array_equal(actual, np.array([np.inf, 200.0], dtype=np.float16))


def test_every_op_of_a_half_precision_program_rounds() -> None:
    x = np.array([1.0, 2.0, 1000.0], dtype=np.float16)
    small = np.float16(0.0004)

    def build(x: Any) -> Any:
        return Builder.sub(x=Builder.add(x=x, y=small), y=x)  # what is left of the small number after rounding

    np.testing.assert_array_equal(run_one(build, x=x), (x + small) - x)
