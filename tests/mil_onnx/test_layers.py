"""Reductions, normalisations, products, attention, quantisation, resizing, recurrent layers and control flow."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from coremlbench.mil_onnx import UnsupportedProgramError
from tests.mil_programs import Builder, apples, close, few, fewer, numbers, run, run_one

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)
floats = st.sampled_from([np.float32, np.float16])
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)

REDUCTIONS = [
    *("reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "reduce_sum_square"),
    *("reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp"),
]


@pytest.mark.parametrize("name", REDUCTIONS)
@given(shape=shapes, seed=seeds, kind=st.sampled_from([np.float32, np.float16, np.int32]), data=st.data())
@fewer
def test_a_reduction_is_apples_own(name: str, shape: tuple[int, ...], seed: int, kind: Any, data: Any) -> None:
    x = numbers(shape, seed, np.float32, 0.5, 3)
    x = np.floor(x * 3).astype(kind) if kind == np.int32 else x.astype(kind)
    if name == "reduce_prod" and kind == np.int32:
        x = np.where(x > 5, -1, 1).astype(np.int32)  # what overflows is not defined
    elif name == "reduce_prod" and kind == np.float16:
        x = np.where(x > 1.75, 1.0625, 0.9375).astype(kind)  # float16 ends at 65,504
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    keep = data.draw(st.booleans())

    def build(x: Any) -> Any:
        return getattr(Builder, name)(x=x, axes=axes, keep_dims=keep)

    wide = x.astype(np.float32) if kind == np.float16 else x  # coremltools would add up in float16
    close(run_one(build, x=x), apples(build, x=wide)[0].astype(kind), tolerance=4e-6)


@given(shape=st.tuples(*[st.integers(1, 4)] * 4), seed=seeds, keep=st.booleans())
@few
def test_a_mean_over_space_is_a_mean(shape: tuple[int, ...], seed: int, keep: bool) -> None:
    x = numbers(shape, seed)
    actual = run_one(lambda x: Builder.reduce_mean(x=x, axes=[-1, 2], keep_dims=keep), x=x)
    close(actual, x.mean((2, 3), keepdims=keep))


@given(shape=shapes, seed=seeds, keep=st.booleans(), data=st.data())
@few
def test_the_place_of_an_extreme(shape: tuple[int, ...], seed: int, keep: bool, data: Any) -> None:
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float32)  # equals are many: the first wins
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))

    def build(x: Any) -> Any:
        return [getattr(Builder, name)(x=x, axis=axis, keep_dims=keep) for name in ("reduce_argmax", "reduce_argmin")]

    largest, smallest = run(build, x=x)
    np.testing.assert_array_equal(largest, np.argmax(x, axis, keepdims=keep))
    np.testing.assert_array_equal(smallest, np.argmin(x, axis, keepdims=keep))


@given(seed=seeds, kind=floats, rank=st.integers(3, 5), plain=st.booleans())
@few
def test_normalisations_by_channel(seed: int, kind: Any, rank: int, plain: bool) -> None:
    x = numbers((2, 3, 4, 2, 3)[:rank], seed, kind)
    mean, scale, shift = (numbers((3,), seed + step, kind) for step in range(3))
    variance = numbers((3,), seed + 4, kind, 0.5, 2)
    given = {} if plain else {"gamma": scale, "beta": shift}
    column = (3, *[1] * (rank - 2))

    def build(x: Any) -> Any:
        normal = Builder.batch_norm(x=x, mean=mean, variance=variance, epsilon=kind(0.01), **given)
        alone = [Builder.instance_norm(x=x, epsilon=kind(0.01), **given)] if rank < 5 else []
        return [normal, *alone]

    def normalised(mean: Any, variance: Any) -> Any:
        result = (x.astype(np.float64) - mean) / np.sqrt(variance + float(kind(0.01)))
        return result if plain else result * scale.reshape(column) + shift.reshape(column)

    actual = run(build, x=x)
    close(actual[0], normalised(mean.reshape(column).astype(float), variance.reshape(column).astype(float)), 1e-5)
    if rank < 5:
        space, wide = tuple(range(2, rank)), x.astype(np.float64)
        close(actual[1], normalised(wide.mean(space, keepdims=True), wide.var(space, keepdims=True)), 1e-5)


@given(
    seed=seeds, kind=floats, axes=st.sampled_from([[1], [2], [3], [2, 3], [1, 2, 3], [1, 3], [-1]]), plain=st.booleans()
)
@few
def test_layer_and_l2_norm_are_apples_own(seed: int, kind: Any, axes: list[int], plain: bool) -> None:
    x = numbers((2, 3, 4, 5), seed, kind)
    shape = tuple(x.shape[axis] for axis in axes)
    given = {} if plain else {"gamma": numbers(shape, seed + 1, kind), "beta": numbers(shape, seed + 2, kind)}

    def build(x: Any) -> Any:
        layer = Builder.layer_norm(x=x, axes=axes, epsilon=kind(0.01), **given)
        return [layer, Builder.l2_norm(x=x, epsilon=kind(0.01))]

    def reference(x: Any) -> Any:
        wide = {key: value.astype(np.float32) for key, value in given.items()}
        epsilon = np.float32(kind(0.01))
        layer = Builder.layer_norm(x=x, axes=axes, epsilon=epsilon, **wide)
        return [layer, Builder.l2_norm(x=x, epsilon=epsilon)]

    for actual, expected in zip(run(build, x=x), apples(reference, x=x.astype(np.float32)), strict=True):
        close(actual, expected, tolerance=1e-5)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm_is_tensorflows(size: int) -> None:
    x = numbers((2, 6, 3, 4), 0)
    how = {"alpha": 0.5, "beta": 0.75, "k": 2.0}
    actual = run_one(lambda x: Builder.local_response_norm(x=x, size=size, **how), x=x)
    last = x.transpose(0, 2, 3, 1)
    expected = tf.nn.local_response_normalization(last, depth_radius=size // 2, bias=2.0, alpha=0.5 / size, beta=0.75)
    close(actual, expected.numpy().transpose(0, 3, 1, 2), tolerance=1e-5)


@given(seed=seeds, kind=floats, left=st.booleans(), right=st.booleans(), known=st.booleans())
@few
def test_matrix_products(seed: int, kind: Any, left: bool, right: bool, known: bool) -> None:
    x = numbers((2, 3, 4, 5) if not left else (2, 3, 5, 4), seed, kind)
    y = numbers((3, 5, 2) if not right else (3, 2, 5), seed + 1, kind)
    weight, bias = numbers((6, x.shape[-1]), seed + 2, kind), numbers((6,), seed + 3, kind)

    def build(x: Any, y: Any) -> Any:
        other = numbers(y.shape, seed + 1, kind) if known else y
        product = Builder.matmul(x=x, y=other, transpose_x=left, transpose_y=right)
        first = Builder.squeeze(x=Builder.slice_by_size(x=x, begin=[0, 0, 0, 0], size=[1, -1, -1, -1]), axes=[0])
        return [product, Builder.linear(x=first, weight=weight, bias=bias)]

    wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
    product = (wide_x.swapaxes(-1, -2) if left else wide_x) @ (wide_y.swapaxes(-1, -2) if right else wide_y)
    actual = run(build, x=x, y=y)
    close(actual[0], product, 4e-6)
    close(actual[1], wide_x[0] @ weight.T.astype(np.float64) + bias, 4e-6)


def test_einsum_is_numpys() -> None:
    x, y = numbers((2, 3, 4, 5), 0), numbers((2, 5, 4, 6), 1)
    actual = run_one(lambda x, y: Builder.einsum(values=(x, y), equation="nchw,nwhu->nchu"), x=x, y=y)
    close(actual, np.einsum("nchw,nwhu->nchu", x, y), 4e-6)


@pytest.mark.parametrize("kind", [np.int32, np.float16])
def test_a_constant_factor_may_be_of_another_type(kind: Any) -> None:
    x, weight = numbers((3, 4), 0), numbers((4, 4), 1, low=-9, high=9).astype(kind)

    def build(x: Any) -> Any:
        products = [Builder.matmul(x=x, y=weight, transpose_y=turned) for turned in (False, True)]
        products.append(Builder.matmul(x=weight, y=x, transpose_y=True))
        return [*products, Builder.linear(x=x, weight=weight, bias=weight[0])]

    wide = weight.astype(np.float32)
    expected = [x @ wide, x @ wide.T, wide @ x.T, x @ wide.T + wide[0]]
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        assert actual.dtype == np.float32
        close(actual, wanted)


@pytest.mark.parametrize("mask", [None, "bool", "fp32"])
def test_attention_is_softmax_of_scaled_products(mask: str | None) -> None:
    query, key, value = numbers((2, 3, 4, 8), 0), numbers((2, 3, 5, 8), 1), numbers((2, 3, 5, 6), 2)
    allowed = np.random.default_rng(3).integers(0, 2, (4, 5)).astype(np.int32)
    allowed[:, 0] = 1

    def build(q: Any, k: Any, v: Any, m: Any) -> Any:
        given = {} if mask is None else {"attn_mask": Builder.cast(x=m, dtype=mask)}
        return [Builder.scaled_dot_product_attention(query=q, key=k, value=v, **given), Builder.add(x=m, y=1)]

    scores = query @ key.swapaxes(-1, -2) / math.sqrt(8)
    scores = scores + {None: 0, "bool": np.where(allowed, 0, -np.inf), "fp32": allowed}[mask]
    expected = tf.nn.softmax(scores).numpy() @ value
    close(run(build, target="iOS18", q=query, k=key, v=value, m=allowed)[0], expected, 4e-6)


@given(seed=seeds, kind=floats, whole=st.booleans(), signed=st.booleans())
@few
def test_quantised_and_back_is_apples_own(seed: int, kind: Any, whole: bool, signed: bool) -> None:
    x = numbers((2, 3, 4), seed, kind)
    stored = np.int8 if signed else np.uint8
    random = np.random.default_rng(seed)
    scale = kind(0.03125) if whole else 2.0 ** random.integers(-6, -2, 3).astype(kind)
    zero = stored(3) if whole else random.integers(0, 9, 3).astype(stored)
    how = {"scale": scale, "zero_point": zero} | ({} if whole else {"axis": 1})

    def build(x: Any) -> Any:
        small = Builder.quantize(input=x, output_dtype="int8" if signed else "uint8", **how)
        return [Builder.dequantize(input=small, **how), Builder.cast(x=small, dtype="int32")]

    factor, shift = (np.reshape(value, () if whole else (3, 1)).astype(np.float64) for value in (scale, zero))
    limits = np.iinfo(stored)
    expected = np.clip(np.round(x / factor) + shift, limits.min, limits.max)
    back, small = run(build, x=x)
    np.testing.assert_array_equal(small, expected)
    close(back, (expected - shift) * factor)


MODES = {
    "DEFAULT": {"align_corners": False, "half_pixel_centers": False},
    "STRICT_ALIGN_CORNERS": {"align_corners": True, "half_pixel_centers": False},
    "UNALIGN_CORNERS": {"align_corners": False, "half_pixel_centers": True},
}


@pytest.mark.parametrize("mode", MODES)
@given(size=st.tuples(st.integers(1, 6), st.integers(1, 6)), target=st.tuples(st.integers(2, 9), st.integers(2, 9)))
@few
def test_linear_resizing_is_tensorflows(mode: str, size: tuple[int, int], target: tuple[int, int]) -> None:
    x = numbers((2, 3, *size), 0)

    def build(x: Any) -> Any:
        old = Builder.resize_bilinear(
            x=x, target_size_height=target[0], target_size_width=target[1], sampling_mode=mode
        )
        return [old, Builder.resize(x=x, shape=list(target), resized_dims=np.uint32(2), sampling_mode=mode)]

    resized = tf.raw_ops.ResizeBilinear(images=x.transpose(0, 2, 3, 1), size=target, **MODES[mode])
    for actual in run(build, x=x):
        close(actual, resized.numpy().transpose(0, 3, 1, 2), 1e-5)


def test_resizing_follows_the_grids_of_the_documentation() -> None:
    x = np.array([0.0, 1.0], dtype=np.float32).reshape(1, 1, 2)
    grids = {
        (5, "OFFSET_CORNERS"): [0.1, 0.3, 0.5, 0.7, 0.9],
        (5, "DEFAULT"): [0, 0.4, 0.8, 1, 1],
        (5, "UNALIGN_CORNERS"): [0, 0.1, 0.5, 0.9, 1],
        (1, "ALIGN_CORNERS"): [0.5],
        (2, "OFFSET_CORNERS"): [0.25, 0.75],
        (2, "UNALIGN_CORNERS"): [0, 1],
    }
    for (width, mode), expected in grids.items():
        how = {"target_size_height": 1, "target_size_width": width, "sampling_mode": mode}
        close(run_one(lambda x, how=how: Builder.resize_bilinear(x=x, **how), x=x).ravel(), np.array(expected))


NEAREST = {
    "DEFAULT": [0, 0, 1, 2, 2],
    "UNALIGN_CORNERS": [0, 0, 1, 2, 2],
    "STRICT_ALIGN_CORNERS": [0, 1, 1, 2, 2],
    "ALIGN_CORNERS": [0, 1, 1, 2, 2],
    "OFFSET_CORNERS": [0, 1, 1, 1, 2],
}
"""Which of three values each of five is, by the grids of the documentation, halves rounded up."""


@pytest.mark.parametrize("mode", NEAREST)
@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int32])
def test_one_dimension_is_resized_to_the_nearest(mode: str, rank: int, kind: Any) -> None:
    x = (np.arange(48) * 3).reshape(2, 2, 4, 3).astype(kind)[(0,) * (4 - rank)]
    how = {"interpolation_mode": "NEAREST_NEIGHBOR", "sampling_mode": mode, "resized_dims": np.uint32(1)}
    np.testing.assert_array_equal(run_one(lambda x: Builder.resize(x=x, shape=[5], **how), x=x), x[..., NEAREST[mode]])


@pytest.mark.parametrize("mode", NEAREST)
@pytest.mark.parametrize("rank", [1, 3])
def test_one_dimension_is_resized_linearly(mode: str, rank: int) -> None:
    x = numbers((2, 4, 3)[3 - rank :], 0)
    both = np.broadcast_to(x[..., None, :], (*x.shape[:-1], 4, 3)).reshape(-1, 4, 3).copy()

    def build(x: Any, y: Any) -> Any:
        alone = Builder.resize(x=x, shape=[5], resized_dims=np.uint32(1), sampling_mode=mode)
        return [alone, Builder.resize(x=y, shape=[5, 5], resized_dims=np.uint32(2), sampling_mode=mode)]

    alone, beside = run(build, x=x, y=both)  # rows are equal: what is resized along them stays so
    close(alone, beside[:, 0].reshape(alone.shape))


def test_integers_are_not_interpolated() -> None:
    x = np.arange(4, dtype=np.int32).reshape(1, 1, 2, 2)
    with pytest.raises(UnsupportedProgramError, match="resize that makes 'large' interpolates between integers"):
        run_one(lambda x: Builder.resize(x=x, shape=[4, 4], resized_dims=np.uint32(2), name="large"), x=x)


@given(size=st.integers(1, 6), factor=st.integers(1, 4), target=st.integers(1, 12))
@few
def test_nearest_resizing_is_tensorflows(size: int, factor: int, target: int) -> None:
    x = numbers((1, 2, size, size), 0)

    def build(x: Any) -> Any:
        resized = Builder.resize_nearest_neighbor(x=x, target_size_height=target, target_size_width=target)
        up = Builder.upsample_nearest_neighbor(x=x, scale_factor_height=factor, scale_factor_width=factor)
        return [resized, up, Builder.upsample_bilinear(x=x, scale_factor_height=factor, scale_factor_width=factor)]

    last = x.transpose(0, 2, 3, 1)
    nearest = tf.raw_ops.ResizeNearestNeighbor(images=last, size=(target, target), half_pixel_centers=True)
    wide = (size * factor, size * factor)
    expected = [nearest.numpy().transpose(0, 3, 1, 2), x.repeat(factor, 2).repeat(factor, 3)]
    expected.append(tf.raw_ops.ResizeBilinear(images=last, size=wide, align_corners=True).numpy().transpose(0, 3, 1, 2))
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        close(actual, wanted, 1e-5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


@given(seed=seeds, reverse=st.booleans(), every=st.booleans(), after=st.booleans())
@few
def test_recurrent_layers_follow_their_formulas(seed: int, reverse: bool, every: bool, after: bool) -> None:
    steps, samples, features, size = 4, 2, 3, 5
    x, h, c = (
        numbers((steps, samples, features), seed),
        numbers((samples, size), seed + 1),
        numbers((samples, size), seed + 2),
    )
    inner = {n: numbers((n * size, features), seed + n, low=-1, high=1) for n in (1, 3, 4)}
    outer = {n: numbers((n * size, size), seed + 9 + n, low=-1, high=1) for n in (1, 3, 4)}
    bias = {n: numbers((n * size,), seed + 19 + n, low=-1, high=1) for n in (1, 3, 4)}
    peephole = numbers((3 * size,), seed + 30, low=-1, high=1)
    how = {"direction": "reverse" if reverse else "forward", "output_sequence": every}

    def build(x: Any, h: Any, c: Any) -> Any:
        given = [{"weight_ih": inner[n], "weight_hh": outer[n], "bias": bias[n], **how} for n in (1, 3, 4)]
        plain = Builder.rnn(x=x, initial_h=h, **given[0])
        gated = Builder.gru(x=x, initial_h=h, reset_after=after, **given[1])
        long = Builder.lstm(x=x, initial_h=h, initial_c=c, peephole=peephole, **given[2])
        return [*plain, *gated, *long]

    states: dict[str, list[np.ndarray]] = {"rnn": [h], "gru": [h], "lstm": [h]}
    cell = c.astype(np.float64)
    p_i, p_f, p_o = np.split(peephole, 3)
    for step in x[::-1] if reverse else x:
        states["rnn"].append(np.tanh(step @ inner[1].T + states["rnn"][-1] @ outer[1].T + bias[1]))
        before = states["gru"][-1]
        (r_x, o_x, z_x), (r_h, o_h, z_h) = (
            np.split(side, 3, axis=1) for side in (step @ inner[3].T, before @ outer[3].T)
        )
        r_b, o_b, z_b = np.split(bias[3], 3)
        reset, update = sigmoid(r_x + r_h + r_b), sigmoid(z_x + z_h + z_b)
        kept = reset * (o_h + o_b) if after else (reset * before) @ outer[3][size : 2 * size].T + o_b
        states["gru"].append((1 - update) * np.tanh(o_x + kept) + update * before)
        i, f, o, z = np.split(step @ inner[4].T + states["lstm"][-1] @ outer[4].T + bias[4], 4, axis=1)
        cell = sigmoid(f + cell * p_f) * cell + sigmoid(i + cell * p_i) * np.tanh(z)
        states["lstm"].append(sigmoid(o + cell * p_o) * np.tanh(cell))
    expected = []
    for kind in ("rnn", "gru", "lstm"):
        expected += [np.stack(states[kind][1:] if every else states[kind][-1:]), states[kind][-1]]
    for actual, wanted in zip(run(build, target="iOS18", x=x, h=h, c=c), [*expected, cell], strict=True):
        close(actual, wanted, 2e-5)


ACTIVATIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "scaled_tanh": np.tanh,
}


def stepped(x: np.ndarray, direction: str, step: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Return what ``step(input, side)`` gives for every step, the sides of a bidirectional layer beside each other."""
    forward = [] if direction == "reverse" else [np.stack([step(each, 0) for each in x])]
    side = 1 if direction == "bidirectional" else 0
    back = [] if direction == "forward" else [np.stack([step(each, side) for each in x[::-1]])]
    if direction != "bidirectional":
        return (forward or back)[0]
    return np.concatenate([forward[0], back[0][::-1]], axis=-1)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@given(names=st.tuples(*[st.sampled_from(list(ACTIVATIONS))] * 3), clip=st.sampled_from([None, 0.2]), seed=seeds)
@example(names=("hard_sigmoid", "tanh", "scaled_tanh"), clip=None, seed=0)
@example(names=("sigmoid", "linear", "hard_sigmoid"), clip=0.1, seed=0)
@few
def test_an_lstm_takes_any_activations(
    direction: str, names: tuple[str, str, str], clip: float | None, seed: int
) -> None:
    sides, size = 2 if direction == "bidirectional" else 1, 5
    x = numbers((4, 2, 3), seed)
    h, c = (numbers((2, sides * size), seed + step, low=-1, high=1) for step in (1, 2))
    inner = [numbers((4 * size, 3), seed + 3 + side, low=-0.5, high=0.5) for side in range(sides)]
    outer = [numbers((4 * size, size), seed + 5 + side, low=-0.5, high=0.5) for side in range(sides)]
    how: dict[str, Any] = {"direction": direction, "output_sequence": True}
    how |= dict(zip(("recurrent_activation", "cell_activation", "activation"), names, strict=True))
    how |= {} if clip is None else {"clip": np.float32(clip)}
    for side, tail in enumerate(("", "_back")[:sides]):
        how |= {f"weight_ih{tail}": inner[side], f"weight_hh{tail}": outer[side]}
    recurrent, cell, last = (ACTIVATIONS[name] for name in names)
    states = [[part.astype(np.float64) for part in np.split(start, sides, axis=1)] for start in (h, c)]

    def step(given: np.ndarray, side: int) -> np.ndarray:
        i, f, o, z = np.split(given @ inner[side].T + states[0][side] @ outer[side].T, 4, axis=1)
        cells = recurrent(f) * states[1][side] + recurrent(i) * cell(z)
        states[1][side] = cells if clip is None else np.clip(cells, -clip, clip)
        states[0][side] = recurrent(o) * last(states[1][side])
        return states[0][side]

    expected = stepped(x, direction, step)
    every, hidden, cells = run(lambda x, h, c: Builder.lstm(x=x, initial_h=h, initial_c=c, **how), x=x, h=h, c=c)
    close(every, expected, 2e-5)
    close(hidden, np.concatenate(states[0], axis=1), 2e-5)
    close(cells, np.concatenate(states[1], axis=1), 2e-5)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@given(names=st.tuples(*[st.sampled_from(list(ACTIVATIONS))] * 2), seed=seeds)
@example(names=("hard_sigmoid", "scaled_tanh"), seed=0)
@example(names=("tanh", "hard_sigmoid"), seed=0)
@few
def test_a_gru_takes_any_activations(direction: str, names: tuple[str, str], seed: int) -> None:
    size, x, h = 5, numbers((4, 2, 3), seed), numbers((2, 5), seed + 1, low=-1, high=1)
    inner = numbers((3 * size, 3), seed + 2, low=-0.5, high=0.5)
    outer = numbers((3 * size, size), seed + 3, low=-0.5, high=0.5)
    how = {"weight_ih": inner, "weight_hh": outer, "direction": direction, "output_sequence": True}
    how |= dict(zip(("recurrent_activation", "activation"), names, strict=True))
    recurrent, last = (ACTIVATIONS[name] for name in names)
    state = [h.astype(np.float64)]

    def step(given: np.ndarray, _: int) -> np.ndarray:
        before = state[-1]
        r, o, z = np.split(given @ inner.T, 3, axis=1)
        reset, update = recurrent(r + before @ outer[:size].T), recurrent(z + before @ outer[2 * size :].T)
        new = last(o + (reset * before) @ outer[size : 2 * size].T)
        state.append((1 - update) * new + update * before)
        return state[-1]

    expected = stepped(x, direction, step)
    every, hidden = run(lambda x, h: Builder.gru(x=x, initial_h=h, **how), x=x, h=h)
    close(every, expected, 2e-5)
    close(hidden, state[-1], 2e-5)


@pytest.mark.parametrize("every", [True, False])
def test_a_clipped_lstm_has_biases_and_peepholes(every: bool) -> None:
    x, size = numbers((3, 2, 4), 0), 3
    inner, outer = numbers((4 * size, 4), 1, low=-1, high=1), numbers((4 * size, size), 2, low=-1, high=1)
    bias, peephole = numbers((4 * size,), 3, low=-1, high=1), numbers((3 * size,), 4, low=-1, high=1)
    start = np.zeros((2, size), np.float32)
    weights = {"weight_ih": inner, "weight_hh": outer, "bias": bias, "peephole": peephole}
    states, cell, (p_i, p_f, p_o) = [start.astype(np.float64)], start.astype(np.float64), np.split(peephole, 3)
    for row in x:
        i, f, o, z = np.split(row @ inner.T + states[-1] @ outer.T + bias, 4, axis=1)
        cell = np.clip(sigmoid(f + cell * p_f) * cell + sigmoid(i + cell * p_i) * np.tanh(z), -0.1, 0.1)
        states.append(sigmoid(o + cell * p_o) * np.tanh(cell))
    outputs = run(
        lambda x: Builder.lstm(
            x=x, initial_h=start, initial_c=start, output_sequence=every, clip=np.float32(0.1), **weights
        ),
        x=x,
    )
    for actual, expected in zip(outputs, [np.stack(states[1 if every else -1 :]), states[-1], cell], strict=True):
        close(actual, expected, 2e-5)


def test_a_bidirectional_lstm_is_two_of_one_direction() -> None:
    x, h, c = numbers((4, 2, 3), 0), numbers((2, 10), 1), numbers((2, 10), 2)
    weights = [numbers(shape, seed, low=-1, high=1) for seed, shape in enumerate([(20, 3), (20, 5), (20, 3), (20, 5)])]

    def build(x: Any, h: Any, c: Any) -> Any:
        both = {
            "weight_ih": weights[0],
            "weight_hh": weights[1],
            "weight_ih_back": weights[2],
            "weight_hh_back": weights[3],
        }
        pair = Builder.lstm(x=x, initial_h=h, initial_c=c, direction="bidirectional", output_sequence=True, **both)
        start = [Builder.split(x=state, num_splits=2, axis=1) for state in (h, c)]
        alone = []
        for side, direction in enumerate(("forward", "reverse")):
            given = {"weight_ih": weights[2 * side], "weight_hh": weights[2 * side + 1], "output_sequence": True}
            states = {"initial_h": start[0][side], "initial_c": start[1][side]}
            alone.append(Builder.lstm(x=x, direction=direction, **states, **given)[0])
        back = Builder.reverse(x=alone[1], axes=[0])
        return [pair[0], Builder.concat(values=[alone[0], back], axis=2)]

    both, joined = run(build, x=x, h=h, c=c)
    close(both, joined)


def test_a_branch_is_taken() -> None:
    def build(x: Any, flag: Any) -> Any:
        asked = Builder.greater(x=Builder.squeeze(x=flag), y=0.0)
        scale = Builder.exp(x=x)  # computed outside, used inside
        return Builder.cond(
            pred=asked, _true_fn=lambda: Builder.add(x=scale, y=1.0), _false_fn=lambda: Builder.mul(x=x, y=-2.0)
        )

    x = numbers((2, 3), 0)
    close(run_one(build, x=x, flag=np.array([1], np.float32)), np.exp(x) + 1)
    close(run_one(build, x=x, flag=np.array([-1], np.float32)), x * -2)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("turns", [0, 1, 5])
def test_a_loop_runs_while_its_condition_holds(turns: int, kind: Any) -> None:
    def build(x: Any, limit: Any) -> Any:
        last = Builder.squeeze(x=limit)
        _, total = Builder.while_loop(
            _cond=lambda i, _: Builder.less(x=i, y=last),
            _body=lambda i, total: (Builder.add(x=i, y=1), Builder.mul(x=total, y=kind(1.5))),
            loop_vars=(0, x),
        )
        return total

    x = numbers((2, 3), 0, kind)
    close(run_one(build, x=x, limit=np.array([turns], np.int32)), x.astype(np.float64) * 1.5**turns, turns * 2.0**-11)
