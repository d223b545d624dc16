"""Augmentation as Create ML documents it: each option multiplies the copies of a training image.

Source: Apple, ``MLImageClassifier.ImageAugmentationOptions``. Rotation gives four copies at random angles, flip
three (horizontal, vertical, both), each of the other options four. The options are combined in the order of
``ORDER`` ("greatest to least training effectiveness"). At most 100 combinations are made: an option that would exceed
that gets fewer variants. The original image is not among the copies. Apple does not document the ranges of the random
values; those below are our choice, and the record of a run contains them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    Pixels = npt.NDArray[np.uint8]

MAX_COMBINATIONS = 100

VARIANTS = {"crop": 4, "rotation": 4, "blur": 4, "exposure": 4, "noise": 4, "flip": 3}
"""The number of variants per option, in Create ML's order of application."""

ORDER = tuple(VARIANTS)

ROTATION_DEGREES = (-180.0, 180.0)
CROP_SIDE = (0.6, 0.95)  # the crop's side as a share of the image's
BLUR_RADIUS = (0.5, 2.5)  # pixels, standard deviation of the Gaussian
EXPOSURE_STOPS = (-1.0, 1.0)  # +1 doubles the brightness
NOISE_SIGMA = (4.0, 24.0)  # standard deviation; pixels go from 0 to 255

AUGMENTATION_RANGES = {
    "rotation degrees": ROTATION_DEGREES,
    "crop side kept": CROP_SIDE,
    "blur radius in pixels": BLUR_RADIUS,
    "exposure in stops": EXPOSURE_STOPS,
    "noise sigma of 255": NOISE_SIGMA,
}


def parse(text: str) -> tuple[str, ...]:
    """Return the options in a comma-separated text such as "flip,rotation", in Create ML's order; none for "none".

    Raises:
        InputError: a name is not one of ``ORDER``, or there is none.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    for name in names:
        if name not in VARIANTS:
            raise InputError(f"There is no augmentation called {name!r}; choose from {', '.join(ORDER)}, or none.")
    if not names:
        raise InputError(f"No augmentation was named; choose from {', '.join(ORDER)}, or none.")
    return tuple(option for option in ORDER if option in names)


def variants_per_option(options: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Return each option with its number of variants; their product is at most ``MAX_COMBINATIONS``."""
    total, steps = 1, []
    for option in sorted(set(options), key=ORDER.index):
        variants = max(1, min(VARIANTS[option], MAX_COMBINATIONS // total))
        steps.append((option, variants))
        total *= variants
    return tuple(steps)


def copies_per_image(options: Iterable[str]) -> int:
    """Return the number of augmented copies of a training image: 12 for flip and rotation, 1 for no option."""
    return math.prod(variants for _, variants in variants_per_option(options))


def augment(pixels: Pixels, options: Sequence[str], seed: Sequence[int]) -> list[Pixels]:
    """Return the augmented copies of one image, uint8 (height, width, 3) like the image; ``seed`` determines them."""
    import numpy as np

    random = np.random.default_rng(list(seed))
    images = [pixels]
    for option, variants in variants_per_option(options):
        images = [copy for image in images for copy in _APPLY[option](image, variants, random)]
    return images


def _rotate(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:
    """Return copies rotated by random angles about the centre; beyond its edges the image is mirrored."""
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    reach = math.ceil((math.hypot(height, width) - min(height, width)) / 2) + 1
    # np.pad's "reflect" can add at most the image's size less one.
    reach = min(reach, min(height, width) - 1)
    padded = Image.fromarray(np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="reflect"))
    rotated = []
    for angle in random.uniform(*ROTATION_DEGREES, size=variants):
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        centre_x, centre_y = width / 2, height / 2
        matrix = (
            cos,
            sin,
            reach + centre_x - cos * centre_x - sin * centre_y,
            -sin,
            cos,
            reach + centre_y + sin * centre_x - cos * centre_y,
        )
        rotated_image = padded.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        rotated.append(np.asarray(rotated_image))
    return rotated


def _flip(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:  # noqa: ARG001  one signature for all
    return [pixels[:, ::-1], pixels[::-1], pixels[::-1, ::-1]][:variants]


def _crop(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    cropped = []
    for _ in range(variants):
        side = random.uniform(*CROP_SIDE)
        left, top = random.uniform(0, 1 - side, size=2)
        box = (left * width, top * height, (left + side) * width, (top + side) * height)
        cropped.append(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box)))
    return cropped


def _blur(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:
    import numpy as np
    from PIL import Image, ImageFilter

    image: Image.Image = Image.fromarray(np.ascontiguousarray(pixels))
    radii = random.uniform(*BLUR_RADIUS, size=variants)
    return [np.asarray(image.filter(ImageFilter.GaussianBlur(float(radius)))) for radius in radii]


def _expose(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:
    import numpy as np

    levels = np.arange(256, dtype=np.float64)
    stops = random.uniform(*EXPOSURE_STOPS, size=variants)
    tables = [np.clip(np.rint(levels * 2.0**stop), 0, 255).astype(np.uint8) for stop in stops]
    return [table[pixels] for table in tables]


def _add_noise(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:
    import numpy as np

    noisy = []
    for sigma in random.uniform(*NOISE_SIGMA, size=variants):
        noise = random.standard_normal(pixels.shape, dtype=np.float32) * np.float32(sigma)
        noisy.append(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))
    return noisy


_APPLY: dict[str, Callable[[Pixels, int, np.random.Generator], list[Pixels]]] = {
    "crop": _crop,
    "rotation": _rotate,
    "blur": _blur,
    "exposure": _expose,
    "noise": _add_noise,
    "flip": _flip,
}


def nearest_resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the image resized to ``size`` = (height, width) exactly as Turi Create resizes before extraction.

    Turi Create uses Boost GIL's ``resize_view`` with the nearest-neighbour sampler: corner pixels map to corner
    pixels, and halves are rounded up. Checked against Turi Create 6.4.1 on images of many sizes: identical pixels.
    """
    import numpy as np

    rows, columns = (
        np.floor((np.arange(new) - (new - 1) / 2) * ((old - 1) / max(new - 1, 1)) + (old - 1) / 2 + 0.5).astype(np.intp)
        for old, new in zip(pixels.shape[:2], size, strict=True)
    )
    resized: Pixels = pixels[rows[:, None], columns[None, :]]
    return resized
