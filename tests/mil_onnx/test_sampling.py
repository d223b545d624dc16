"""Images read at points: resample, affine and crop_resize, against padded images in numpy, scipy and TensorFlow."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from coremlbench.mil_onnx import UnsupportedProgramError, to_onnx
from tests.mil_programs import Builder, close, few, fewer, numbers, run, run_one, saved

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)
sizes = st.integers(1, 5)
floats = st.sampled_from([np.float32, np.float16])

NUMPYS = {"constant": "constant", "border": "edge", "reflection": "reflect", "symmetric": "symmetric"}
MODES = ["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"]
MARGIN = 24
"""Pixels that the expected images are padded with on every side: further out no point of these tests lies."""


def bounds(size: int, mode: str, aligned: bool) -> tuple[float, float, float, float]:
    """Return two coordinates and the pixels where they lie, as the documentation of ``resample`` describes them."""
    low, high = (0, size - 1) if aligned or mode == "unnormalized" else (-0.5, size - 0.5)
    start, end = {"unnormalized": (low, high), MODES[1]: (-1, 1), MODES[2]: (0, 1)}[mode]
    return start, end, low, high


def in_pixels(given: np.ndarray, size: int, mode: str, aligned: bool) -> np.ndarray:
    start, end, low, high = bounds(size, mode, aligned)
    return np.asarray(given if mode == "unnormalized" else low + (given - start) / (end - start) * (high - low))


def coordinates(pixels: np.ndarray, size: int, mode: str, aligned: bool) -> np.ndarray:
    start, end, low, high = bounds(size, mode, aligned)
    if mode == "unnormalized" or low == high:
        return pixels
    return np.asarray(start + (pixels - low) / (high - low) * (end - start))


def looked_up(x: np.ndarray, points: np.ndarray, *, nearest: bool, padding: str, value: float) -> np.ndarray:
    """Return images (batch, channels, height, width) at points (batch, height, width, 2) in pixels, x before y."""
    how: dict[str, Any] = {"mode": NUMPYS[padding], **({"constant_values": value} if padding == "constant" else {})}
    wide = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)], **how)
    places = np.moveaxis(points[..., ::-1] + MARGIN, -1, 1)
    order = 0 if nearest else 1
    return np.array(
        [
            [map_coordinates(channel, at, order=order) for channel in image]
            for image, at in zip(wide, places, strict=True)
        ]
    )


@pytest.mark.parametrize("padding", NUMPYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
@given(
    shape=st.tuples(*[sizes] * 4),
    target=st.tuples(sizes, sizes),
    aligned=st.booleans(),
    seed=seeds,
    kinds=st.tuples(floats, floats),
    value=st.sampled_from([0, -1.5]),
)
@fewer
def test_images_are_read_as_if_they_were_padded(
    padding: str, mode: str, sampling: str, shape: Any, target: Any, aligned: bool, seed: int, kinds: Any, value: float
) -> None:
    x, random = numbers(shape, seed, kinds[0]), np.random.default_rng(seed)
    # Not in the middle between two pixels, where it is not told which is nearer.
    points = random.integers(-11, 15, (shape[0], *target, 2)) + random.uniform(-0.4, 0.4, (shape[0], *target, 2))
    wanted = np.stack([coordinates(points[..., side], shape[3 - side], mode, aligned) for side in (0, 1)], -1)
    wanted = wanted.astype(kinds[1])
    exact = wanted.astype(np.float64)
    points = np.stack([in_pixels(exact[..., side], shape[3 - side], mode, aligned) for side in (0, 1)], -1)
    how = {
        "sampling_mode": sampling,
        "padding_mode": padding,
        "padding_value": kinds[0](value),
        "coordinates_mode": mode,
        "align_corners": aligned,
    }
    actual = run_one(lambda x, c: Builder.resample(x=x, coordinates=c, **how), target="iOS16", x=x, c=wanted)
    assert actual.dtype == kinds[0]
    close(actual, looked_up(x, points, nearest=sampling == "nearest", padding=padding, value=value), 2e-5)


def resampled(x: Any, c: Any, padding: str, mode: str, *, sampling: str = "nearest", aligned: bool = True) -> Any:
    return Builder.resample(
        x=x,
        coordinates=c,
        sampling_mode=sampling,
        padding_mode=padding,
        padding_value=0.0,
        coordinates_mode=mode,
        align_corners=aligned,
    )


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("constant", [0, 0, 0, 2, 2, 0, 0, 0]),
        ("border", [0, 0, 0, 2, 2, 2, 2, 2]),
        ("reflection", [2, 0, 0, 2, 2, 1, 0, 2]),
        ("symmetric", [0, 0, 0, 2, 2, 2, 0, 0]),
    ],
)
def test_between_two_pixels_the_even_one_is_the_nearer_behind_reflection(padding: str, expected: list[int]) -> None:
    x = np.arange(3, dtype=np.float32).reshape(1, 1, 1, 3)
    across = np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 3.25, 4.5, 5.5], np.float32)
    points = np.stack([across, np.zeros(8, np.float32)], -1).reshape(1, 1, 8, 2)
    actual = run_one(lambda x, c: resampled(x, c, padding, "unnormalized"), x=x, c=points)
    np.testing.assert_array_equal(actual.ravel(), expected)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32"])
def test_points_may_be_whole_numbers(kind: str) -> None:
    x, points = numbers((2, 3, 4, 5), 0), np.random.default_rng(0).integers(0, 4, (2, 3, 2, 2)).astype(np.int32)

    def build(x: Any, c: Any) -> Any:
        c = Builder.cast(x=c, dtype=kind)
        return [resampled(x, c, "border", "unnormalized"), resampled(x, c, "border", MODES[1], sampling="bilinear")]

    first, second = run(build, x=x, c=points)
    expected = np.array([image[:, at[..., 1], at[..., 0]] for image, at in zip(x, points, strict=True)])
    np.testing.assert_array_equal(first, expected)
    far = np.minimum(points * [2, 1.5] + [2, 1.5], [4, 3])
    close(second, looked_up(x, far, nearest=False, padding="border", value=0), 1e-6)


@pytest.mark.parametrize("padding", NUMPYS)
@pytest.mark.parametrize("mode", MODES)
def test_images_of_any_size_are_read(padding: str, mode: str) -> None:
    x, points = numbers((2, 3, 4, 5), 0), numbers((2, 3, 4, 2), 1)
    build = lambda x, c: resampled(x, c, padding, mode, sampling="bilinear")  # noqa: E731 - the program is one op
    (actual,) = run(build, open_axes=(0, 2), x=x, c=points)
    close(actual, run_one(build, x=x, c=points), 1e-5)


def kinds_of_nodes(padding: str, sampling: str, aligned: bool) -> set[str]:
    build = lambda x, c: resampled(x, c, padding, MODES[1], sampling=sampling, aligned=aligned)  # noqa: E731
    program = saved(build, {"x": numbers((1, 2, 3, 4), 0), "c": numbers((1, 2, 3, 2), 0)})
    return {node.op_type for node in to_onnx(program).graph.node}


def test_a_resample_is_a_grid_sample_where_onnx_means_the_same() -> None:
    for padding, aligned in [("constant", True), ("border", False)]:
        assert kinds_of_nodes(padding, "bilinear", aligned) == {"Cast", "Clip", "GridSample"}
    for padding, sampling, aligned in [
        ("border", "nearest", True),
        ("reflection", "bilinear", True),
        ("symmetric", "bilinear", False),
    ]:
        assert "GridSample" not in kinds_of_nodes(padding, sampling, aligned)


@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_far_outside_an_image_there_is_its_padding(mode: str, aligned: bool, sampling: str) -> None:
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 2, 3)
    far = [(1e9, 1e9), (-1e30, 1e30), (3e4, -3e38), (np.inf, -1e20)]
    points = np.array(far, np.float32).reshape(1, 1, 4, 2)
    build = lambda x, c: [  # noqa: E731 - two ops
        resampled(x, c, padding, mode, sampling=sampling, aligned=aligned) for padding in ("constant", "border")
    ]
    zeros, edges = run(build, x=x, c=points)
    np.testing.assert_array_equal(zeros.ravel(), [0, 0, 0, 0])
    np.testing.assert_array_equal(edges.ravel(), [6, 4, 3, 3])


AFFINE = {
    "sampling_mode": "bilinear",
    "padding_mode": "constant",
    "padding_value": 0.0,
    "coordinates_mode": "normalized_minus_one_to_one",
}


@given(shape=st.tuples(*[sizes] * 4), target=st.tuples(sizes, sizes), every=st.booleans(), seed=seeds, kind=floats)
@few
def test_an_affine_image_is_read_where_its_matrix_points(
    shape: Any, target: Any, every: bool, seed: int, kind: Any
) -> None:
    x, matrix = numbers(shape, seed, kind), numbers((1 if every else shape[0], 6), seed + 1, kind, -2, 2)
    how = AFFINE | {"padding_value": kind(0), "output_height": target[0], "output_width": target[1]}
    actual = run_one(
        lambda x, m: Builder.affine(x=x, transform_matrix=m, align_corners=True, **how), target="iOS16", x=x, m=matrix
    )
    assert actual.dtype == kind
    rows, columns = (np.linspace(-1, 1, count) if count > 1 else np.zeros(1) for count in target)
    across, down = np.meshgrid(columns, rows)
    moved = [
        [a0 * across + a1 * down + a2, b0 * across + b1 * down + b2]
        for a0, a1, a2, b0, b1, b2 in np.broadcast_to(matrix, (shape[0], 6)).astype(np.float64)
    ]
    points = np.stack([in_pixels(np.array(moved)[:, side], shape[3 - side], MODES[1], True) for side in (0, 1)], -1)
    close(actual, looked_up(x, points, nearest=False, padding="constant", value=0), 2e-5)


def test_an_affine_that_core_ml_does_not_support_is_refused() -> None:
    with pytest.raises(UnsupportedProgramError, match="affine that makes 'moved' does not align the corners"):
        run_one(
            lambda x, m: Builder.affine(
                x=x, transform_matrix=m, output_height=2, output_width=2, align_corners=False, name="moved", **AFFINE
            ),
            x=numbers((1, 1, 2, 2), 0),
            m=numbers((1, 6), 0),
        )


BOXES = ["CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST"]


def as_boxes(corners: np.ndarray, mode: str) -> np.ndarray:
    """Return boxes (height and width of the start, of the end) as a box coordinate mode states them."""
    start, end = corners[:, :2], corners[:, 2:]
    if mode.startswith("CENTER"):
        start, end = (start + end) / 2, end - start
    if mode.endswith("WIDTH_FIRST"):
        start, end = start[:, ::-1], end[:, ::-1]
    return np.concatenate([start, end], axis=1)


@pytest.mark.parametrize("mode", BOXES)
@given(
    shape=st.tuples(*[sizes] * 4),
    target=st.tuples(sizes, sizes),
    count=st.integers(1, 4),
    seed=seeds,
    kind=floats,
    scale=st.sampled_from([1.0, 0.5, 4.0]),
    value=st.sampled_from([0, 2.5]),
    normalised=st.booleans(),
)
@example(shape=(1, 1, 1, 4), target=(1, 1), count=1, seed=0, kind=np.float32, scale=1.0, value=0, normalised=True)
@fewer
def test_boxes_are_cut_as_tensorflow_cuts_them(
    mode: str, shape: Any, target: Any, count: int, seed: int, kind: Any, scale: float, value: float, normalised: bool
) -> None:
    random, x = np.random.default_rng(seed), numbers(shape, seed, kind)
    ends = np.array([shape[2] - 1, shape[3] - 1] * 2)
    # In eighths, so that the points at the edge of the image are on the same side of it in any precision.
    corners = random.integers(-2, 12, (count, 4)) / 8
    boxes = as_boxes(corners if normalised else corners * ends, mode) / scale
    images = random.integers(0, shape[0], count).astype(np.int32)
    expected = tf.image.crop_and_resize(
        x.astype(np.float32).transpose(0, 2, 3, 1), corners, images, target, extrapolation_value=value
    )
    expected = expected.numpy().transpose(0, 3, 1, 2)
    how = {
        "target_height": target[0],
        "target_width": target[1],
        "normalized_coordinates": normalised,
        "spatial_scale": np.float32(scale),
        "box_coordinate_mode": mode,
        "sampling_mode": "ALIGN_CORNERS",
        "pad_value": kind(value),
    }
    actual = run_one(
        lambda x, b, i: Builder.crop_resize(x=x, boxes=b, box_indices=i, **how), x=x, b=boxes.astype(kind), i=images
    )
    assert actual.dtype == kind
    close(actual, expected, 1e-5)
    named = np.concatenate([images[:, np.newaxis], boxes], axis=1).astype(kind).reshape(count, 1, 5, 1, 1)
    old = lambda x, r: Builder.crop_resize(x=x, roi=r, **how)  # noqa: E731 - the program is one op
    close(run_one(old, target="iOS16", x=x, r=named), expected[:, np.newaxis], 1e-5)
    every = run_one(old, target="iOS16", x=x, r=boxes.astype(kind).reshape(count, 1, 4, 1, 1))
    assert every.shape == (count, shape[0], shape[1], *target)
    for box, image in enumerate(images):
        close(every[box, image], expected[box], 1e-5)


def between(start: float, end: float, count: int, mode: str) -> np.ndarray:
    """Return the points of a box along one dimension, by the documentation's formulas with the box for the image."""
    size, steps = end - start + 1, np.arange(count)
    if mode == "STRICT_ALIGN_CORNERS":
        offsets = steps * (size - 1) / max(count - 1, 1)
    elif mode == "DEFAULT":
        offsets = steps * size / count
    elif mode == "UNALIGN_CORNERS":
        offsets = (steps + 0.5) * size / count - 0.5
    else:
        offsets = (steps + 0.5) * max(1, size - 1) / count
    return np.asarray(start + np.clip(offsets, 0, size - 1))


@pytest.mark.parametrize("mode", ["STRICT_ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"])
@given(shape=st.tuples(*[sizes] * 4), target=st.tuples(sizes, sizes), seed=seeds)
@few
def test_boxes_are_sampled_by_the_formulas(mode: str, shape: Any, target: Any, seed: int) -> None:
    x, random = numbers(shape, seed), np.random.default_rng(seed)
    corners = np.sort(random.uniform(-1, max(shape[2:]), (shape[0], 2, 2)), axis=1)
    how = {"target_height": target[0], "target_width": target[1], "sampling_mode": mode, "pad_value": 0.5}
    boxes = corners.reshape(shape[0], 4).astype(np.float32)
    actual = run_one(lambda x, b: Builder.crop_resize(x=x, boxes=b, **how), x=x, b=boxes)
    points, inside = [], []
    for (top, left), (bottom, right) in corners.astype(np.float32).astype(np.float64):
        down, across = between(top, bottom, target[0], mode), between(left, right, target[1], mode)
        points.append(np.stack(np.meshgrid(across, down), -1))
        within = (points[-1] >= 0) & (points[-1] <= [shape[3] - 1, shape[2] - 1])
        inside.append(np.all(within, axis=-1, keepdims=False)[np.newaxis])
    expected = looked_up(x, np.array(points), nearest=False, padding="border", value=0)
    close(actual, np.where(inside, expected, 0.5), 1e-5)


@pytest.mark.parametrize("target", ["iOS16", "iOS17"])
def test_boxes_are_cut_from_images_of_any_number_and_size(target: str) -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    how = {"target_height": 2, "target_width": 3, "sampling_mode": "ALIGN_CORNERS"}
    boxes = np.array([[1, 2, 2, 4], [3, 0, 0, 2]], np.float32)
    first, second = x[:, :, 1:3, 2:5], x[:, :, 3::-3, 0:3]
    if target == "iOS17":
        whole = boxes.astype(np.int32)
        build = lambda x, b: Builder.crop_resize(  # noqa: E731 - the program is one op
            x=x, boxes=Builder.cast(x=b, dtype="uint16"), box_indices=np.array([1, 0], np.uint16), **how
        )
        close(run_one(build, x=x, b=whole), np.stack([first[1], second[0]]))
        return
    rows = boxes.reshape(2, 1, 4, 1, 1)
    (actual,) = run(lambda x: Builder.crop_resize(x=x, roi=rows, **how), target, (0, 2, 3), x=x)
    close(actual, np.stack([first, second]))
