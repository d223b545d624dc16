import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.createml.augmentation import (
    MAX_COMBINATIONS,
    ORDER,
    VARIANTS,
    augment,
    copies_per_image,
    nearest_resize,
    parse,
    variants_per_option,
)
from coremlbench.types.errors import InputError


def picture(height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("text", "options", "count"),
    [
        ("flip,rotation", ("rotation", "flip"), 12),
        ("none", (), 1),
        ("flip", ("flip",), 3),
        (" Rotation , flip ", ("rotation", "flip"), 12),
        ("crop,rotation,blur", ("crop", "rotation", "blur"), 64),
    ],
)
def test_options_multiply_as_create_ml_documents(text: str, options: tuple[str, ...], count: int) -> None:
    assert parse(text) == options
    assert copies_per_image(options) == count


def test_apples_own_example_of_the_limit() -> None:
    # Its words: four variants of each of three options make 64, so any further options are limited to one.
    steps = variants_per_option(("crop", "rotation", "blur", "noise", "flip"))
    assert steps == (("crop", 4), ("rotation", 4), ("blur", 4), ("noise", 1), ("flip", 1))


@given(st.sets(st.sampled_from(ORDER)))
def test_no_more_than_a_hundred_combinations_and_no_option_lost(options: set[str]) -> None:
    steps = variants_per_option(options)
    assert math.prod(variants for _, variants in steps) == copies_per_image(options) <= MAX_COMBINATIONS
    assert {name for name, _ in steps} == options
    assert all(1 <= variants <= VARIANTS[name] for name, variants in steps)
    assert [name for name, _ in steps] == [name for name in ORDER if name in options]


@pytest.mark.parametrize("text", ["shear", "flip,shear", "", ",", "none,flip"])
def test_an_unknown_option_is_named(text: str) -> None:
    with pytest.raises(InputError, match="choose from crop, rotation, blur, exposure, noise, flip, or none"):
        parse(text)


def test_flips_are_exact_and_the_original_is_not_among_them() -> None:
    image = picture()
    flipped = augment(image, ("flip",), (0, 0))
    expected = [np.fliplr(image), np.flipud(image), np.rot90(image, 2)]
    assert all(np.array_equal(actual, image) for actual, image in zip(flipped, expected, strict=True))


def test_each_rotated_copy_is_flipped_three_ways() -> None:
    image = picture()
    both = augment(image, ("rotation", "flip"), (3, 14))
    rotated = augment(image, ("rotation",), (3, 14))
    assert len(both) == 12
    for index, copy in enumerate(rotated):
        assert np.array_equal(both[3 * index], np.fliplr(copy))
        assert np.array_equal(both[3 * index + 1], np.flipud(copy))


@given(st.sampled_from(ORDER), st.integers(0, 2**32), st.integers(8, 40), st.integers(8, 40))
def test_copies_keep_the_shape_and_depend_on_the_seed_alone(option: str, seed: int, height: int, width: int) -> None:
    image = picture(height, width)
    first, second = augment(image, (option,), (seed, 5)), augment(image, (option,), (seed, 5))
    assert all(copy.shape == image.shape and copy.dtype == np.uint8 for copy in first)
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("option", [option for option in ORDER if option != "flip"])
def test_another_image_or_seed_gets_other_copies(option: str) -> None:
    image = picture()
    base = augment(image, (option,), (0, 0))
    assert not any(np.array_equal(a, b) for a, b in zip(base, augment(image, (option,), (0, 1)), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(base, augment(image, (option,), (1, 0)), strict=True))


def test_a_rotation_turns_about_the_centre_and_shows_no_black() -> None:
    image = np.full((41, 41, 3), 200, np.uint8)
    image[18:23, 18:23] = 50
    for copy in augment(image, ("rotation",), (0, 0)):
        assert copy[20, 20, 0] < 70
        assert copy.min() >= 50
        assert (copy > 190).mean() > 0.9


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_resizing_takes_corners_to_corners(height: int, width: int, rows: int, columns: int) -> None:
    image = np.arange(height * width * 3, dtype=np.int64).astype(np.uint8).reshape(height, width, 3)
    resized = nearest_resize(image, (rows, columns))
    assert resized.shape == (rows, columns, 3)
    if rows > 1 and columns > 1:
        assert np.array_equal(resized[0, 0], image[0, 0])
        assert np.array_equal(resized[-1, -1], image[-1, -1])
    if (rows, columns) == (height, width):
        assert np.array_equal(resized, image)
