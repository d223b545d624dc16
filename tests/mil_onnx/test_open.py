"""Programs whose inputs are of open size: what the sizes are is told only when they run."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.mil_onnx import UnsupportedProgramError
from tests.mil_programs import Builder, close, few, fewer, numbers, run, run_one

pytestmark = pytest.mark.tensorflow

axes_of_three = st.lists(st.integers(0, 2), min_size=1, unique=True).map(tuple)


def counted_from_the_end(sizes: tuple[int, ...], shape: list[int]) -> list[int]:
    """Return a shape whose zeros stand for the input's sizes, as iOS 17 counts them."""
    padded = [1] * len(shape) + list(sizes)
    return [size if wanted == 0 else wanted for wanted, size in zip(shape, padded[-len(shape) :], strict=True)]


@pytest.mark.parametrize("shape", [[-1, 0], [0, 0], [1, 0, -1, 0, 0], [0, 0, 0, -1], [-1], [2, -1, 0]])
@pytest.mark.parametrize("open_axes", [(), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("known", [True, False])
def test_zeros_of_a_shape_are_counted_from_the_end(shape: list[int], open_axes: tuple[int, ...], known: bool) -> None:
    x = numbers((1, 3, 4) if shape == [0, 0] else (2, 3, 4), 0)
    expected = x.reshape(counted_from_the_end(x.shape, shape))
    if known:
        (actual,) = run(lambda x: Builder.reshape(x=x, shape=shape), open_axes=open_axes, x=x)
    else:
        wanted = np.array(shape, np.int32)
        actual = run_one(lambda x, s: Builder.reshape(x=x, shape=s), x=x, s=wanted)
    np.testing.assert_array_equal(actual, expected)


@given(open_axes=axes_of_three, axis=st.integers(-3, 2), count=st.integers(1, 3), seed=st.integers(0, 1000))
@few
def test_values_of_open_size_are_interleaved(open_axes: tuple[int, ...], axis: int, count: int, seed: int) -> None:
    x = numbers((2, 3, 4), seed)

    def build(x: Any) -> Any:
        values = [Builder.mul(x=x, y=float(factor)) for factor in range(1, count + 1)]
        return Builder.concat(values=values, axis=axis, interleave=True)

    shape = list(x.shape)
    shape[axis] *= count
    expected = np.stack([x * factor for factor in range(1, count + 1)], axis % 3 + 1).reshape(shape)
    np.testing.assert_array_equal(run(build, open_axes=open_axes, x=x)[0], expected)


@given(open_axes=axes_of_three, axes=st.lists(st.integers(-3, 2), min_size=1), seed=st.integers(0, 1000))
@few
def test_what_is_normalised_may_be_of_open_size(open_axes: tuple[int, ...], axes: list[int], seed: int) -> None:
    x, axes = numbers((2, 3, 4), seed), sorted({axis % 3 for axis in axes})
    wide = x.astype(np.float64)
    centred = wide - wide.mean(tuple(axes), keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(tuple(axes), keepdims=True) + 0.01)
    (actual,) = run(lambda x: Builder.layer_norm(x=x, axes=axes, epsilon=0.01), open_axes=open_axes, x=x)
    close(actual, expected, 1e-5)


@pytest.mark.parametrize("pad_type", ["same", "same_lower"])
def test_a_dilated_convolution_of_open_size_is_padded(pad_type: str) -> None:
    x, weight = numbers((1, 2, 7, 8), 0), numbers((3, 2, 2, 3), 1)
    build = lambda x: Builder.conv(x=x, weight=weight, pad_type=pad_type, dilations=[3, 2])  # noqa: E731
    (actual,) = run(build, open_axes=(2, 3), x=x)
    close(actual, run_one(build, x=x), 1e-5)
    assert actual.shape == (1, 3, 7, 8)


def test_a_dilated_convolution_with_strides_of_open_size_is_refused() -> None:
    def build(x: Any) -> Any:
        how = {"pad_type": "same", "strides": [2, 2], "dilations": [2, 2], "name": "seen"}
        return Builder.conv(x=x, weight=numbers((3, 2, 2, 2), 1), **how)

    with pytest.raises(UnsupportedProgramError, match="conv that makes 'seen' is padded by the size of its input"):
        run(build, open_axes=(2, 3), x=numbers((1, 2, 7, 8), 0))


def test_single_numbers_are_joined_to_a_vector() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)

    def build(x: Any) -> Any:
        rows = Builder.gather(x=Builder.shape(x=x), indices=0)
        turned = Builder.reshape(x=x, shape=Builder.concat(values=[2, rows, 2], axis=0))
        both = [Builder.reduce_max(x=x, keep_dims=False), Builder.reduce_min(x=x, keep_dims=False)]
        return [turned, Builder.concat(values=both, axis=0)]

    turned, both = run(build, open_axes=(0,), x=x)
    np.testing.assert_array_equal(turned, x.reshape(2, 3, 2))
    np.testing.assert_array_equal(both, [11, 0])


GRIDS = ["DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS"]


@pytest.mark.parametrize("mode", GRIDS)
@pytest.mark.parametrize("interpolation", ["LINEAR", "NEAREST_NEIGHBOR"])
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    target=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    open_axes=st.sampled_from([(2,), (3,), (0, 2, 3)]),
    kind=st.sampled_from([np.float32, np.float16]),
)
@fewer
def test_images_of_open_size_are_resized_as_others(
    mode: str, interpolation: str, size: tuple[int, int], target: tuple[int, int], open_axes: tuple[int, ...], kind: Any
) -> None:
    x, how = numbers((1, 2, *size), 0, kind), {"interpolation_mode": interpolation, "sampling_mode": mode}

    def resized(shape: list[int]) -> Any:
        return lambda x: Builder.resize(x=x, shape=shape, resized_dims=np.uint32(2), **how)

    expected = run_one(resized(list(target)), x=x)
    (actual,) = run(resized(list(target)), open_axes=open_axes, x=x)
    close(actual, expected, 1e-6)
    kept = [target[0], 0]  # the width stays, whatever it is
    (actual,) = run(resized(kept), open_axes=open_axes, x=x)
    close(actual, run_one(resized(kept), x=x), 1e-6)
    computed = lambda x, s: Builder.resize(x=x, shape=s, resized_dims=np.uint32(2), **how)  # noqa: E731
    close(run_one(computed, x=x, s=np.array([3, *target], np.int32)), expected, 1e-6)


@pytest.mark.parametrize("factors", [(2, 3), (1, 1), (1.5, 2.25), (0.5, 1.3)])
def test_images_of_open_size_are_enlarged_as_others(factors: tuple[float, float]) -> None:
    x = numbers((1, 2, 5, 4), 0)
    scale = {"scale_factor_height": factors[0], "scale_factor_width": factors[1]}

    def build(x: Any) -> Any:
        return [
            Builder.upsample_nearest_neighbor(x=x, **scale),
            Builder.upsample_bilinear(x=x, align_corners=True, **scale),
            Builder.upsample_bilinear(x=x, align_corners=False, **scale),
            Builder.resize_bilinear(x=x, target_size_height=3, target_size_width=9, sampling_mode="UNALIGN_CORNERS"),
            Builder.resize_nearest_neighbor(x=x, target_size_height=3, target_size_width=9),
        ]

    for actual, expected in zip(run(build, open_axes=(2, 3), x=x), run(build, x=x), strict=True):
        close(actual, expected, 1e-6)


@pytest.mark.parametrize("pad_type", ["valid", "custom", "same"])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_a_transposed_convolution_of_open_size_makes_what_others_do(pad_type: str, strides: int) -> None:
    x, weight = numbers((1, 2, 4, 5), 0), numbers((2, 3, 2, 3), 1)
    how = {"pad_type": pad_type, "strides": [strides, 1], "dilations": [2, 1]}
    if pad_type == "custom":
        how["pad"] = [1, 0, 0, 1]
    build = lambda x: Builder.conv_transpose(x=x, weight=weight, **how)  # noqa: E731 - the program is one op
    (actual,) = run(build, open_axes=(2, 3), x=x)
    close(actual, run_one(build, x=x), 1e-5)


@pytest.mark.parametrize("open_axes", [(0,), (1,), (0, 1, 2)])
def test_slices_are_updated_and_windows_slide_in_open_sizes(open_axes: tuple[int, ...]) -> None:
    x = np.arange(2 * 7 * 3, dtype=np.float32).reshape(2, 7, 3)

    def build(x: Any) -> Any:
        update = -np.ones((2, 2, 3), np.float32)
        ends = {"begin_mask": [True, False, True], "end_mask": [True, False, True]}
        return [
            Builder.slice_update(x=x, update=update, begin=[0, 1, 0], end=[2, 6, 3], stride=[1, 3, 1], **ends),
            Builder.sliding_windows(x=x, axis=1, size=3, stride=2),
        ]

    updated = x.copy()
    updated[:, 1:6:3] = -1
    found = run(build, "iOS18", open_axes, x=x)
    np.testing.assert_array_equal(found[0], updated)
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)[:, ::2]
    np.testing.assert_array_equal(found[1], windows.transpose(0, 1, 3, 2))
