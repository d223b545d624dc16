"""Shapes, slices, gather and scatter, rearrangements and generated values, against numpy and coremltools itself."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.mil_onnx.graph import UnsupportedProgramError
from tests.mil_programs import Builder, apples, close, few, fewer, numbers, run, run_one

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)
kinds = st.sampled_from([np.float32, np.float16, np.int32])
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def values(shape: tuple[int, ...], seed: int, kind: Any) -> np.ndarray:
    if kind == np.int32:
        return np.random.default_rng(seed).integers(-50, 50, shape).astype(np.int32)
    return numbers(shape, seed, kind)


@given(shape=shapes.filter(lambda shape: len(shape) < 4), seed=seeds, kind=kinds, data=st.data())
@few
def test_reordering(shape: tuple[int, ...], seed: int, kind: Any, data: Any) -> None:
    x = values(shape, seed, kind)
    perm = data.draw(st.permutations(range(x.ndim)))
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    reps = data.draw(st.lists(st.integers(1, 3), min_size=x.ndim, max_size=x.ndim))
    cut = data.draw(st.integers(0, x.ndim - 1))

    def build(x: Any) -> Any:
        return [
            Builder.transpose(x=x, perm=perm),
            Builder.reverse(x=x, axes=axes),
            Builder.tile(x=x, reps=reps),
            Builder.reshape(x=x, shape=[-1]),
            Builder.expand_dims(x=x, axes=[0, -1]),
            Builder.flatten2d(x=x, axis=cut),
        ]

    expected = [
        x.transpose(perm),
        np.flip(x, axes),
        np.tile(x, reps),
        x.reshape(-1),
        x[np.newaxis, ..., np.newaxis],
        x.reshape(int(np.prod(x.shape[:cut])), -1),
    ]
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        assert actual.dtype == kind
        np.testing.assert_array_equal(actual, wanted)


def test_squeeze_takes_what_is_of_size_one() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3)
    cases: list[Any] = [None, [2], [0, 1], [1], [1, -1]]

    def build(x: Any) -> Any:
        return [Builder.squeeze(x=Builder.exp(x=x), **({} if axes is None else {"axes": axes})) for axes in cases]

    actual = run(build, x=x)
    assert [each.shape for each in actual] == [(2, 3), (1, 2, 3), (2, 1, 3), (1, 2, 1, 3), (1, 2, 1, 3)]
    for each in actual:
        close(each.ravel(), np.exp(x).ravel())


@given(shape=shapes, seed=seeds, kind=kinds, axis=st.integers(0, 3), interleave=st.booleans())
@few
def test_joining_and_cutting(shape: tuple[int, ...], seed: int, kind: Any, axis: int, interleave: bool) -> None:
    axis %= len(shape)
    x, y = values(shape, seed, kind), values(shape, seed + 1, kind)

    def build(x: Any, y: Any) -> Any:
        joined = Builder.concat(values=[x, y], axis=axis, interleave=interleave)
        stacked = Builder.stack(values=[x, y], axis=axis)
        sizes = [shape[axis] + 1, shape[axis] - 1] if shape[axis] > 1 else [1, 1]
        return [joined, stacked, *Builder.split(x=joined, split_sizes=sizes, axis=axis)]

    joined = np.concatenate([x, y], axis)
    if interleave:
        joined = np.stack([x, y], axis + 1).reshape(joined.shape)
    cut = shape[axis] + 1 if shape[axis] > 1 else 1
    expected = [joined, np.stack([x, y], axis), *np.split(joined, [cut], axis)]
    for actual, wanted in zip(run(build, x=x, y=y), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize(("mode", "numpys"), [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge")])
@given(seed=seeds, kind=st.sampled_from([np.float32, np.float16]), data=st.data())
@few
def test_padding(mode: str, numpys: str, seed: int, kind: Any, data: Any) -> None:
    x = numbers((2, 3, 4, 3), seed, kind)
    pad = data.draw(st.lists(st.integers(0, 2), min_size=4, max_size=4))
    actual = run_one(lambda x: Builder.pad(x=x, pad=pad, mode=mode, constant_val=kind(0.5)), x=x)
    value: dict[str, Any] = {"mode": numpys, **({"constant_values": 0.5} if mode == "constant" else {})}
    np.testing.assert_array_equal(actual, np.pad(x, [(0, 0), (0, 0), *np.reshape(pad, (2, 2))], **value))


@st.composite
def slices(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 4))
    size = draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank))
    rows: dict[str, Any] = {"size": size, "begin": [], "end": [], "stride": []}
    for limit in size:
        stride = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        low, high = sorted((draw(st.integers(0, limit - 1)), draw(st.integers(0, limit - 1))))
        negative = draw(st.booleans())
        begin, end = (low, high + 1) if stride > 0 else (high, low - 1)
        rows["begin"].append(begin - limit if negative else begin)
        rows["end"].append(end)
        rows["stride"].append(stride)
    for mask in ("begin_mask", "end_mask", "squeeze_mask"):
        rows[mask] = draw(st.lists(st.booleans(), min_size=rank, max_size=rank))
    rows["end_mask"] = [open_end or end < 0 for open_end, end in zip(rows["end_mask"], rows["end"], strict=True)]
    if all(rows["squeeze_mask"]):
        rows["squeeze_mask"][0] = False
    return rows


def indexed(case: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        (0 if open_begin else begin)
        if squeeze
        else slice(None if open_begin else begin, None if open_end else end, stride)
        for begin, end, stride, open_begin, open_end, squeeze in zip(
            *(case[key] for key in ("begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask")), strict=True
        )
    )


@given(case=slices(), seed=seeds, kind=kinds, known=st.booleans())
@few
def test_slicing_by_index_is_numpys(case: dict[str, Any], seed: int, kind: Any, known: bool) -> None:
    x = values(tuple(case["size"]), seed, kind)
    how = {key: case[key] for key in ("stride", "begin_mask", "end_mask", "squeeze_mask")}
    expected = x[indexed(case)]
    if known:
        bounds = {"begin": case["begin"], "end": case["end"]}
        actual = run_one(lambda x: Builder.slice_by_index(x=x, **bounds, **how), x=x)
    else:
        begin, end = np.array(case["begin"], np.int32), np.array(case["end"], np.int32)
        build = lambda x, b, e: Builder.slice_by_index(x=x, begin=b, end=e, **how)  # noqa: E731 - the program is one op
        actual = run_one(build, x=x, b=begin, e=end)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("missing", ["begin", "end"])
def test_a_computed_bound_of_too_few_numbers_is_named(missing: str) -> None:
    bounds = {name: np.ones(2 if name == missing else 3, np.int32) for name in ("begin", "end")}
    with pytest.raises(UnsupportedProgramError, match=f"takes a '{missing}' of 3 numbers here.* and this has 2"):
        run_one(
            lambda x, begin, end: Builder.slice_by_index(x=x, begin=begin, end=end, squeeze_mask=[False, True, False]),
            x=np.zeros((2, 3, 4), np.float32),
            begin=bounds["begin"],
            end=bounds["end"],
        )


@given(case=slices(), seed=seeds, kind=kinds)
@few
def test_a_slice_is_updated(case: dict[str, Any], seed: int, kind: Any) -> None:
    x = values(tuple(case["size"]), seed, kind)
    expected = x.copy()
    update = values(x[indexed(case)].shape, seed + 1, kind)
    expected[indexed(case)] = update
    how = {key: case[key] for key in ("begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask")}
    actual = run_one(lambda x, u: Builder.slice_update(x=x, update=u, **how), target="iOS18", x=x, u=update)
    np.testing.assert_array_equal(actual, expected)


@given(seed=seeds, kind=kinds, begin=st.tuples(st.integers(-4, 3), st.integers(-5, 4)), known=st.booleans())
@few
def test_slicing_by_size(seed: int, kind: Any, begin: tuple[int, int], known: bool) -> None:
    x = values((4, 5), seed, kind)
    first, second = begin[0] % 4, begin[1] % 5
    size = [4 - first if seed % 2 else 1, -1]
    expected = x[first : first + size[0], second:]
    if known:
        actual = run_one(lambda x: Builder.slice_by_size(x=x, begin=begin, size=size), x=x)
    else:
        build = lambda x, b: Builder.slice_by_size(x=x, begin=b, size=size)  # noqa: E731 - the program is one op
        actual = run_one(build, x=x, b=np.array(begin, np.int32))
    np.testing.assert_array_equal(actual, expected)


def test_cropping_windows_and_partly_reversed_sequences() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)

    def build(x: Any) -> Any:
        return [
            Builder.crop(x=x, crop_height=[1, 0], crop_width=[2, 1]),
            Builder.sliding_windows(x=x, axis=-1, size=3, stride=2),
            Builder.reverse_sequence(x=x, lengths=[2, 3, 1], seq_axis=3, batch_axis=1),
        ]

    cropped, windows, turned = run(build, x=x)
    np.testing.assert_array_equal(cropped, x[:, :, 1:, 2:-1])
    np.testing.assert_array_equal(windows, np.lib.stride_tricks.sliding_window_view(x, 3, axis=3)[:, :, :, ::2])
    np.testing.assert_array_equal(turned, tf.reverse_sequence(x, [2, 3, 1], seq_axis=3, batch_axis=1))


@given(seed=seeds, kind=kinds, axis=st.integers(-3, 2), batch=st.integers(0, 2))
@few
def test_gather(seed: int, kind: Any, axis: int, batch: int) -> None:
    x, random = values((2, 3, 4), seed, kind), np.random.default_rng(seed)
    axis, batch = axis % 3, min(batch, axis % 3)
    indices = random.integers(0, x.shape[axis], (*x.shape[:batch], 2, 3)).astype(np.int32)
    along = random.integers(0, x.shape[axis], x.shape).astype(np.int32)
    points = random.integers(0, 2, (5, 2)).astype(np.int32)
    each = random.integers(0, 2, (2, 5, 1)).astype(np.int32)

    def build(x: Any, i: Any, a: Any, p: Any, e: Any) -> Any:
        return [
            Builder.gather(x=x, indices=i, axis=axis, batch_dims=batch),
            Builder.gather_along_axis(x=x, indices=a, axis=axis),
            Builder.gather_nd(x=x, indices=p),
            Builder.gather_nd(x=x, indices=e, batch_dims=1),
        ]

    actual = run(build, x=x, i=indices, a=along, p=points, e=each)
    np.testing.assert_array_equal(actual[0], tf.gather(x, indices, axis=axis, batch_dims=batch))
    np.testing.assert_array_equal(actual[1], np.take_along_axis(x, along, axis))
    np.testing.assert_array_equal(actual[2], x[points[:, 0], points[:, 1]])
    np.testing.assert_array_equal(actual[3], tf.gather_nd(x, each, batch_dims=1))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
def test_small_integers_are_moved_as_they_are(kind: str) -> None:
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4).astype(np.int32) + (100 if kind[0] == "u" else -100)

    def build(x: Any) -> Any:
        small = Builder.cast(x=x, dtype=kind)
        found = [
            Builder.transpose(x=small, perm=[2, 0, 1]),
            Builder.gather(x=small, indices=[1, 0, 1], axis=1),
            Builder.reverse(x=small, axes=[2]),
            Builder.concat(values=[small, small], axis=0),
            Builder.slice_by_index(x=small, begin=[0, 1, 0], end=[2, 3, 4]),
            *Builder.topk(x=small, k=2, axis=-1),
        ]
        return [Builder.cast(x=each, dtype="int32") for each in found]

    order = np.argsort(-x, axis=-1)[..., :2]
    expected = [x.transpose(2, 0, 1), x[:, [1, 0, 1]], x[..., ::-1], np.concatenate([x, x]), x[:, 1:]]
    expected += [np.take_along_axis(x, order, -1), order]
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


COMBINE: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


@pytest.mark.parametrize("mode", [*COMBINE, "update"])
@given(seed=seeds, axis=st.integers(0, 1))
@fewer
def test_scatter(mode: str, seed: int, axis: int) -> None:
    x, random = values((4, 3), seed, np.float32), np.random.default_rng(seed)
    count = x.shape[axis] if mode == "update" else 5
    lines = random.permutation(count) if mode == "update" else random.integers(0, x.shape[axis], count)
    lines = lines.astype(np.int32)
    shape = (count, 3) if axis == 0 else (4, count)
    updates = numbers(shape, seed + 1, low=0.5)
    along = np.broadcast_to(lines[:, None] if axis == 0 else lines, shape).astype(np.int32)
    points = np.stack([along, np.indices(shape)[1]] if axis == 0 else [np.indices(shape)[0], along], -1).astype(
        np.int32
    )

    def build(x: Any, i: Any, a: Any, p: Any, u: Any) -> Any:
        return [
            Builder.scatter(data=x, indices=i, updates=u, axis=axis, mode=mode),
            Builder.scatter_along_axis(data=x, indices=a, updates=u, axis=axis, mode=mode),
            Builder.scatter_nd(data=x, indices=p, updates=u, mode=mode),
        ]

    expected = x.astype(np.float64)
    place = (along, np.indices(shape)[1]) if axis == 0 else (np.indices(shape)[0], along)
    if mode == "update":
        expected[place] = updates
    else:
        COMBINE[mode].at(expected, place, updates)
    for actual in run(build, x=x, i=lines, a=along, p=points, u=updates):
        close(actual, expected, tolerance=4e-6)


def test_space_depth_and_batch_are_tensorflows() -> None:
    x = np.arange(4 * 4 * 6 * 4, dtype=np.float32).reshape(4, 4, 6, 4)
    last = x.transpose(0, 2, 3, 1)

    def build(x: Any) -> Any:
        return [
            Builder.space_to_depth(x=x, block_size=2),
            Builder.depth_to_space(x=x, block_size=2),
            Builder.space_to_batch(x=x, block_shape=[2, 3], paddings=[[1, 1], [0, 2]]),
            Builder.batch_to_space(x=x, block_shape=[2, 2], crops=[[1, 0], [2, 1]]),
        ]

    expected = [
        tf.nn.space_to_depth(last, 2),
        tf.nn.depth_to_space(last, 2),
        tf.space_to_batch(last, [2, 3], [[1, 1], [0, 2]]),
        tf.batch_to_space(last, [2, 2], [[1, 0], [2, 1]]),
    ]
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted.numpy().transpose(0, 3, 1, 2))


def test_pixels_are_shuffled_and_back() -> None:
    x = np.arange(2 * 8 * 3 * 2, dtype=np.float32).reshape(2, 8, 3, 2)
    expected = x.reshape(2, 2, 2, 2, 3, 2).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 6, 4)

    def build(x: Any) -> Any:
        shuffled = Builder.pixel_shuffle(x=x, upscale_factor=2)
        return [shuffled, Builder.pixel_unshuffle(x=shuffled, downscale_factor=np.uint32(2))]

    shuffled, back = run(build, x=x)
    np.testing.assert_array_equal(shuffled, expected)
    np.testing.assert_array_equal(back, x)


@given(shape=st.tuples(st.integers(1, 5), st.integers(1, 5)), seed=seeds, kind=kinds, data=st.data())
@few
def test_sorted_and_summed(shape: tuple[int, int], seed: int, kind: Any, data: Any) -> None:
    x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(kind)  # no two are equal
    axis, up = data.draw(st.integers(0, 1)), data.draw(st.booleans())
    count = data.draw(st.integers(1, shape[axis]))
    exclusive, reverse = data.draw(st.booleans()), data.draw(st.booleans())

    def build(x: Any) -> Any:
        return [
            Builder.argsort(x=x, axis=axis, ascending=up),
            *Builder.topk(x=x, k=count, axis=axis, ascending=up),
            Builder.topk(x=x, k=count, axis=axis, ascending=up, return_indices=False),
            Builder.cumsum(x=x, axis=axis, exclusive=exclusive, reverse=reverse),
        ]

    order = np.argsort(x if up else -x, axis=axis)
    best = np.take(order, range(count), axis=axis)
    chosen = np.take_along_axis(x, best, axis)
    expected = [order, chosen, best, chosen]
    expected.append(tf.cumsum(x, axis, exclusive=exclusive, reverse=reverse).numpy())
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=seeds,
    lower=st.integers(-1, 3),
    upper=st.integers(-1, 3),
)
@few
def test_generated_values(shape: tuple[int, int], seed: int, lower: int, upper: int) -> None:
    x = np.random.default_rng(seed).integers(-1, 4, shape).astype(np.int32)

    def build(x: Any) -> Any:
        real = Builder.cast(x=x, dtype="fp32")
        marked = Builder.cast(x=x, dtype="bool")
        size = Builder.shape(x=x)
        return [
            Builder.band_part(x=real, lower=lower, upper=upper),
            Builder.cast(x=Builder.band_part(x=marked, lower=lower, upper=upper), dtype="int32"),
            Builder.one_hot(indices=x, one_hot_vector_size=3, axis=1, on_value=2.0, off_value=-1.0),
            Builder.cast(
                x=Builder.one_hot(indices=x, one_hot_vector_size=3, on_value=True, off_value=False), dtype="int32"
            ),
            Builder.fill(shape=size, value=1.5),
            Builder.fill_like(ref_tensor=x, value=2.5),
            Builder.non_zero(x=x),
            size,
        ]

    expected = [
        apples(lambda x: Builder.band_part(x=x, lower=lower, upper=upper), x=x.astype(np.float32))[0],
        apples(lambda x: Builder.band_part(x=x, lower=lower, upper=upper), x=(x != 0).astype(np.float32))[0],
        tf.one_hot(x, 3, 2.0, -1.0, axis=1).numpy(),
        tf.one_hot(x, 3).numpy(),
        np.full(shape, 1.5),
        np.full(shape, 2.5),
        np.argwhere(x),
        np.array(shape),
    ]
    for actual, wanted in zip(run(build, x=x), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_a_range_of_open_length() -> None:
    def build(start: Any, end: Any) -> Any:
        first, last = Builder.squeeze(x=start), Builder.squeeze(x=end)
        return Builder.range_1d(start=first, end=last, step=2)

    actual = run_one(build, start=np.array([3], np.int32), end=np.array([10], np.int32))
    np.testing.assert_array_equal(actual, [3, 5, 7, 9])


def test_a_shape_taken_from_others() -> None:
    x, y = np.arange(24, dtype=np.float32).reshape(2, 12), np.zeros((4, 6), dtype=np.float32)

    def build(x: Any, y: Any) -> Any:
        like = Builder.reshape_like(x=x, ref_tensors=(y,), begins=(0,), ends=(0,), end_masks=(True,))
        return [like, Builder.add(x=y, y=1.0)]

    np.testing.assert_array_equal(run(build, x=x, y=y)[0], x.reshape(4, 6))
