"""Convolutions and pooling against TensorFlow (the ``same`` paddings) and against plain numpy (all the rest)."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st

from coremlbench.mil_onnx import UnsupportedProgramError
from tests.mil_programs import Builder, close, few, numbers, run, run_one

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)
sizes = st.integers(1, 3)


def windows(x: np.ndarray, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> np.ndarray:
    """Return every window of the spatial dimensions: (n, channels, *outputs, *kernel)."""
    extent = tuple((size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True))
    axes = tuple(range(2, x.ndim))
    every = np.lib.stride_tricks.sliding_window_view(x, extent, axis=axes)
    steps = [slice(None, None, stride) for stride in strides] + [slice(None, None, gap) for gap in dilations]
    return every[(slice(None), slice(None), *steps)]


def convolved(x: np.ndarray, weight: np.ndarray, groups: int, **how: tuple[int, ...]) -> np.ndarray:
    """Return the convolution without padding, group by group."""
    rank, outputs = x.ndim - 2, []
    seen = windows(x, weight.shape[2:], **how)
    for part, filters in zip(np.split(seen, groups, axis=1), np.split(weight, groups), strict=True):
        summed = [1, *range(2 + rank, 2 + 2 * rank)]
        outputs.append(np.moveaxis(np.tensordot(part, filters, (summed, range(1, filters.ndim))), -1, 1))
    return np.concatenate(outputs, axis=1)


@st.composite
def convolutions(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    each = st.tuples(*[sizes] * rank)
    return {
        "kernel": draw(each),
        "strides": draw(each),
        "dilations": draw(each),
        "size": draw(st.tuples(*[st.integers(3, 8)] * rank)),
        "pad": draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank)),
        "groups": draw(st.sampled_from([1, 1, 2, 4])),
        "custom": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }


@given(case=convolutions(), seed=seeds, dtype=st.sampled_from([np.float32, np.float16]))
@few
def test_a_convolution_with_its_own_padding(case: dict[str, Any], seed: int, dtype: Any) -> None:
    rank = len(case["kernel"])
    pad = case["pad"] if case["custom"] else [0] * 2 * rank
    for axis, (size, kernel, gap) in enumerate(zip(case["size"], case["kernel"], case["dilations"], strict=True)):
        assume(size + pad[2 * axis] + pad[2 * axis + 1] >= (kernel - 1) * gap + 1)
    x = numbers((2, 4, *case["size"]), seed, dtype, -1, 1)
    weight = numbers((8, 4 // case["groups"], *case["kernel"]), seed + 1, dtype, -1, 1)
    bias = numbers((8,), seed + 2, dtype) if case["bias"] else np.zeros(8, dtype)

    def build(x: Any) -> Any:
        given: dict[str, Any] = {"bias": bias} if case["bias"] else {}
        given |= {"pad_type": "custom", "pad": pad} if case["custom"] else {"pad_type": "valid"}
        how = {key: case[key] for key in ("strides", "dilations", "groups")}
        return Builder.conv(x=x, weight=weight, **how, **given)

    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *np.reshape(pad, (-1, 2))])
    expected = convolved(
        padded, weight.astype(np.float64), case["groups"], strides=case["strides"], dilations=case["dilations"]
    )
    close(run_one(build, x=x), expected + bias.reshape(-1, *[1] * rank), tolerance=4e-6)


@given(size=st.tuples(st.integers(3, 9), st.integers(3, 9)), kernel=sizes, stride=sizes, gap=sizes, seed=seeds)
@few
def test_same_padding_is_tensorflows(size: tuple[int, int], kernel: int, stride: int, gap: int, seed: int) -> None:
    assume(stride == 1 or gap == 1)  # TensorFlow takes one or the other
    x, weight = numbers((1, 2, *size), seed), numbers((3, 2, kernel, kernel + 1), seed + 1)

    def build(x: Any) -> Any:
        return Builder.conv(x=x, weight=weight, pad_type="same", strides=[stride] * 2, dilations=[gap] * 2)

    expected = tf.nn.conv2d(
        x.transpose(0, 2, 3, 1), weight.transpose(2, 3, 1, 0), strides=stride, padding="SAME", dilations=gap
    )
    close(run_one(build, x=x), expected.numpy().transpose(0, 3, 1, 2), tolerance=4e-6)


def test_same_lower_puts_the_odd_padding_before() -> None:
    x, weight = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4), np.ones((1, 1, 2), dtype=np.float32)

    def build(x: Any, kind: str) -> Any:
        return Builder.conv(x=x, weight=weight, pad_type=kind)

    np.testing.assert_array_equal(run_one(lambda x: build(x, "same_lower"), x=x).ravel(), [1, 3, 5, 7])
    np.testing.assert_array_equal(run_one(lambda x: build(x, "same"), x=x).ravel(), [3, 5, 7, 4])


def transposed(x: np.ndarray, weight: np.ndarray, stride: int, gap: int, groups: int) -> np.ndarray:
    """Return the transposed convolution without any cut: every input adds its scaled kernel to the output."""
    n, channels, *size = x.shape
    _, fan, *kernel = weight.shape
    full = [(each - 1) * stride + (extent - 1) * gap + 1 for each, extent in zip(size, kernel, strict=True)]
    result = np.zeros((n, fan * groups, *full))
    for channel, tap in product(range(channels), np.ndindex(*kernel)):
        first = channel // (channels // groups) * fan
        place = [
            slice(at * gap, at * gap + (each - 1) * stride + 1, stride) for at, each in zip(tap, size, strict=True)
        ]
        added = x[:, channel, None] * weight[(channel, slice(None), *tap)].reshape(-1, *[1] * len(size))
        result[(slice(None), slice(first, first + fan), *place)] += added
    return result


@given(
    rank=st.integers(1, 3),
    kernel=sizes,
    stride=sizes,
    gap=sizes,
    groups=st.sampled_from([1, 2]),
    cut=st.integers(0, 1),
    seed=seeds,
)
@few
def test_a_transposed_convolution(
    rank: int, kernel: int, stride: int, gap: int, groups: int, cut: int, seed: int
) -> None:
    x, weight = numbers((1, 4, *(4, 3, 2)[:rank]), seed), numbers((4, 2, *[kernel] * rank), seed + 1)
    full = transposed(x.astype(np.float64), weight.astype(np.float64), stride, gap, groups)
    assume(min(full.shape[2:]) > 2 * cut)
    pad = [cut, cut, 0, cut, cut, 0][: 2 * rank]

    def build(x: Any) -> Any:
        how = {"strides": [stride] * rank, "dilations": [gap] * rank, "groups": groups}
        return Builder.conv_transpose(x=x, weight=weight, pad_type="custom", pad=pad, **how)

    kept = [slice(pad[2 * axis], size - pad[2 * axis + 1]) for axis, size in enumerate(full.shape[2:])]
    close(run_one(build, x=x), full[(slice(None), slice(None), *kept)], tolerance=4e-6)


@given(rank=st.integers(1, 3), kernel=sizes, stride=st.integers(2, 3), more=st.integers(-1, 1), seed=seeds)
@few
def test_a_transposed_convolution_of_a_stated_size(rank: int, kernel: int, stride: int, more: int, seed: int) -> None:
    x, weight = numbers((1, 2, *(4, 3, 2)[:rank]), seed), numbers((2, 3, *[kernel] * rank), seed + 1)
    full = transposed(x.astype(np.float64), weight.astype(np.float64), stride, 1, 1)
    target = [size + more for size in full.shape[2:]]

    def build(x: Any) -> Any:
        how = {"strides": [stride] * rank, "output_shape": [1, 3, *target]}
        return Builder.conv_transpose(x=x, weight=weight, pad_type="valid", **how)

    grown = np.pad(full, [(0, 0), (0, 0), *[(0, 1)] * rank])
    close(run_one(build, x=x), grown[(slice(None), slice(None), *(slice(size) for size in target))], tolerance=4e-6)


@given(size=st.integers(2, 5), kernel=st.integers(1, 4), stride=sizes, seed=seeds)
@few
def test_a_same_transposed_convolution_is_tensorflows(size: int, kernel: int, stride: int, seed: int) -> None:
    x, weight = numbers((1, 3, size, size), seed), numbers((3, 2, kernel, kernel), seed + 1)

    def build(x: Any) -> Any:
        return Builder.conv_transpose(x=x, weight=weight, pad_type="same", strides=[stride] * 2)

    target = (1, size * stride, size * stride, 2)
    expected = tf.nn.conv2d_transpose(x.transpose(0, 2, 3, 1), weight.transpose(2, 3, 1, 0), target, stride, "SAME")
    close(run_one(build, x=x), expected.numpy().transpose(0, 3, 1, 2), tolerance=4e-6)


@st.composite
def poolings(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    return {
        "kernel": draw(st.tuples(*[sizes] * rank)),
        "strides": draw(st.tuples(*[sizes] * rank)),
        "size": draw(st.tuples(*[st.integers(3, 8 if rank < 3 else 5)] * rank)),
        "pad": draw(st.lists(st.integers(0, 2), min_size=rank, max_size=rank)),
        "ceil": rank < 3 and draw(st.booleans()),  # by the ops' definition
        "exclude": draw(st.booleans()),
    }


def pooled(x: np.ndarray, case: dict[str, Any], kind: str) -> np.ndarray:
    """Return the pooling by its definition: each window cut to the padded input, the padding counted or not."""
    outputs = []
    for size, kernel, stride, pad in zip(case["size"], case["kernel"], case["strides"], case["pad"], strict=True):
        room = size + 2 * pad - kernel
        count = (-(-room // stride) if case["ceil"] else room // stride) + 1
        if case["ceil"] and pad > 0 and (count - 1) * stride >= size + pad:
            count -= 1
        outputs.append(count)
    result = np.zeros((*x.shape[:2], *outputs))
    for place in np.ndindex(*outputs):
        starts = [at * stride - pad for at, stride, pad in zip(place, case["strides"], case["pad"], strict=True)]
        ends = [
            min(start + kernel, size + pad)
            for start, kernel, size, pad in zip(starts, case["kernel"], case["size"], case["pad"], strict=True)
        ]
        counted = np.prod([end - start for start, end in zip(starts, ends, strict=True)])
        inside = tuple(
            slice(max(start, 0), min(end, n)) for start, end, n in zip(starts, ends, case["size"], strict=True)
        )
        seen = x[(slice(None), slice(None), *inside)].reshape(*x.shape[:2], -1)
        if kind == "max_pool":
            value = seen.max(-1)
        elif kind == "l2_pool":
            value = np.sqrt(np.square(seen).sum(-1))
        else:
            value = seen.sum(-1) / (seen.shape[-1] if case["exclude"] else counted)
        result[(slice(None), slice(None), *place)] = value
    return result


@pytest.mark.parametrize("kind", ["max_pool", "avg_pool", "l2_pool"])
@given(case=poolings(), seed=seeds, dtype=st.sampled_from([np.float32, np.float16]))
@few
def test_pooling(kind: str, case: dict[str, Any], seed: int, dtype: Any) -> None:
    assume(kind != "l2_pool" or len(case["size"]) < 3)  # by its definition
    for size, kernel, stride, pad in zip(case["size"], case["kernel"], case["strides"], case["pad"], strict=True):
        assume(pad < kernel)  # a window of padding alone has no largest value
        assume(not case["ceil"] or stride <= kernel)  # nor has one that lies past the input
        assume(size + 2 * pad >= kernel)
    x = numbers((2, 3, *case["size"]), seed, dtype)

    def build(x: Any) -> Any:
        how = {"kernel_sizes": case["kernel"], "strides": case["strides"], "ceil_mode": case["ceil"]}
        how |= {"pad_type": "custom", "pad": np.repeat(case["pad"], 2)}
        how |= {"exclude_padding_from_average": case["exclude"]} if kind == "avg_pool" else {}
        return getattr(Builder, kind)(x=x, **how)

    close(run_one(build, x=x), pooled(x.astype(np.float64), case, kind), tolerance=4e-6)


@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
@given(size=st.tuples(st.integers(3, 9), st.integers(3, 9)), kernel=sizes, stride=sizes, seed=seeds)
@few
def test_same_pooling_is_tensorflows(kind: str, size: tuple[int, int], kernel: int, stride: int, seed: int) -> None:
    x = numbers((1, 2, *size), seed)

    def build(x: Any) -> Any:
        how = {"exclude_padding_from_average": True} if kind == "avg_pool" else {}
        return getattr(Builder, kind)(x=x, kernel_sizes=[kernel] * 2, strides=[stride] * 2, pad_type="same", **how)

    function = {"max_pool": tf.nn.max_pool2d, "avg_pool": tf.nn.avg_pool2d}[kind]
    expected = function(x.transpose(0, 2, 3, 1), kernel, stride, "SAME").numpy()
    close(run_one(build, x=x), expected.transpose(0, 3, 1, 2))


POOLED: dict[str, Callable[..., Any]] = {
    "max_pool": lambda seen, _: np.nanmax(seen, -1),
    "avg_pool": lambda seen, exclude: np.nanmean(seen, -1) if exclude else np.nansum(seen, -1) / seen.shape[-1],
    "l2_pool": lambda seen, _: np.sqrt(np.nansum(np.square(seen), -1)),
}


def pooled_same(x: np.ndarray, kind: str, kernel: int, stride: int, *, lower: bool, exclude: bool) -> np.ndarray:
    """Return the pooling with as many outputs as strides begin, the odd padding behind, or before if ``lower``."""
    rank, pads = x.ndim - 2, [(0, 0), (0, 0)]
    for size in x.shape[2:]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads.append((total - total // 2, total // 2) if lower else (total // 2, total - total // 2))
    padded = np.pad(x.astype(np.float64), pads, constant_values=np.nan)
    seen = windows(padded, (kernel,) * rank, (stride,) * rank, (1,) * rank)
    return np.asarray(POOLED[kind](seen.reshape(*seen.shape[: 2 + rank], -1), exclude))


@pytest.mark.parametrize("kind", POOLED)
@given(rank=st.integers(1, 3), kernel=sizes, stride=sizes, lower=st.booleans(), exclude=st.booleans(), seed=seeds)
@few
def test_same_pooling_pads_evenly(
    kind: str, rank: int, kernel: int, stride: int, lower: bool, exclude: bool, seed: int
) -> None:
    assume(kind != "l2_pool" or rank < 3)  # by its definition
    x = numbers((1, 2, *(5, 4, 3)[:rank]), seed)

    def build(x: Any) -> Any:
        how: dict[str, Any] = {"exclude_padding_from_average": exclude} if kind == "avg_pool" else {}
        how |= {"pad_type": "same_lower" if lower else "same"}
        return getattr(Builder, kind)(x=x, kernel_sizes=[kernel] * rank, strides=[stride] * rank, **how)

    expected = pooled_same(x, kind, kernel, stride, lower=lower, exclude=exclude)
    close(run_one(build, x=x), expected, tolerance=4e-6)


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("size", [(5, 4), (6, 7)])
def test_same_padding_of_an_open_size(size: tuple[int, int], lower: bool, exclude: bool) -> None:
    weight, pad_type = numbers((3, 2, 3, 2), 1), "same_lower" if lower else "same"

    def build(x: Any) -> Any:
        how = {"strides": [2, 2], "pad_type": pad_type}
        made = [Builder.conv(x=x, weight=weight, **how)]
        for kind in POOLED:
            given = {"exclude_padding_from_average": exclude} if kind == "avg_pool" else {}
            made.append(getattr(Builder, kind)(x=x, kernel_sizes=[3, 3], **how, **given))
        return made

    x = numbers((1, 2, *size), 0)
    convolution, *pools = run(build, open_axes=(2, 3), x=x)
    close(convolution, run_one(lambda x: build(x)[0], x=x), 4e-6)
    for actual, kind in zip(pools, POOLED, strict=True):
        close(actual, pooled_same(x, kind, 3, 2, lower=lower, exclude=exclude), 4e-6)


def test_averages_that_count_their_padding_in_an_open_size() -> None:
    x, how = numbers((2, 3, 5, 6), 0), {"pad_type": "custom", "pad": [1, 0, 0, 2]}
    case = {"kernel_sizes": [2, 3], "strides": [1, 2], "exclude_padding_from_average": False}
    (actual,) = run(lambda x: [Builder.avg_pool(x=x, **case, **how)], open_axes=(2, 3), x=x)
    seen = windows(np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 0), (0, 2)]), (2, 3), (1, 2), (1, 1))
    close(actual, seen.mean((-2, -1)), 4e-6)


def test_an_average_where_padding_reaches_the_kernels_size() -> None:
    x = np.array([1, 2, 4, 8], np.float32).reshape(1, 1, 4)
    for exclude, last in ((True, 8.0), (False, 4.0)):
        how = {"pad_type": "custom", "pad": [0, 2], "exclude_padding_from_average": exclude}
        build = lambda x, how=how: Builder.avg_pool(x=x, kernel_sizes=[2], strides=[3], **how)  # noqa: E731 - one op
        close(run_one(build, x=x).ravel(), np.array([1.5, last]))
    how = {"pad_type": "custom", "pad": [2, 0], "exclude_padding_from_average": True}
    with pytest.raises(UnsupportedProgramError, match="avg_pool that makes 'mean' has a window of padding alone"):
        run_one(lambda x: Builder.avg_pool(x=x, kernel_sizes=[2], strides=[1], name="mean", **how), x=x)
    how = {"pad_type": "valid", "ceil_mode": True}
    with pytest.raises(UnsupportedProgramError, match="has a window of padding alone"):
        run_one(lambda x: Builder.avg_pool(x=x, kernel_sizes=[1], strides=[3], **how), x=numbers((1, 1, 5), 0))
