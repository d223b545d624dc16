"""Augmentation as Create ML documents it: each option multiplies the copies of a training image.

Source: Apple, ``MLImageClassifier.ImageAugmentationOptions``. Rotation gives four copies at random angles, flip
three (horizontal, vertical, both), each of the other options four. Options multiply, in the order of ``ORDER``
("greatest to least training effectiveness"); once a further option would pass 100 combinations, it is cut to as
many variants as fit. The originals are not among the copies. The ranges of the random values are not documented;
those below are ours, and the record of a run states them.
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

MOST_COMBINATIONS = 100

VARIANTS = {"crop": 4, "rotation": 4, "blur": 4, "exposure": 4, "noise": 4, "flip": 3}
"""How many variants each option makes, in Create ML's order of application."""

ORDER = tuple(VARIANTS)

ROTATION_DEGREES = (-180.0, 180.0)
CROP_SIDE = (0.6, 0.95)  # share of the side that is kept
BLUR_RADIUS = (0.5, 2.5)  # pixels, standard deviation of the Gaussian
EXPOSURE_STOPS = (-1.0, 1.0)  # a stop doubles the light
NOISE_SIGMA = (4.0, 24.0)  # of 255

RANGES = {
    "rotation degrees": ROTATION_DEGREES,
    "crop side kept": CROP_SIDE,
    "blur radius in pixels": BLUR_RADIUS,
    "exposure in stops": EXPOSURE_STOPS,
    "noise sigma of 255": NOISE_SIGMA,
}


def parse(text: str) -> tuple[str, ...]:
    """Return the options named in "flip,rotation", in Create ML's order; "none" names no option.

    Raises:
        InputError: a name is not one of ``ORDER``.
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


def plan(options: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Return each option with the number of variants it makes, at most 100 combinations together."""
    total, steps = 1, []
    for option in sorted(set(options), key=ORDER.index):
        variants = max(1, min(VARIANTS[option], MOST_COMBINATIONS // total))
        steps.append((option, variants))
        total *= variants
    return tuple(steps)


def copies(options: Iterable[str]) -> int:
    """Return how many copies a training image becomes: 12 for flip and rotation, 1 for no option."""
    return math.prod(variants for _, variants in plan(options))


def augment(pixels: Pixels, options: Sequence[str], seed: Sequence[int]) -> list[Pixels]:
    """Return the copies of one image, each (H, W, 3) like it; the same seed gives the same copies."""
    import numpy as np

    random = np.random.default_rng(list(seed))
    images = [pixels]
    for option, variants in plan(options):
        images = [copy for image in images for copy in _APPLY[option](image, variants, random)]
    return images


def _rotate(pixels: Pixels, variants: int, random: np.random.Generator) -> list[Pixels]:
    """Rotate about the centre; what comes in from outside is the image mirrored at its edges, not black."""
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    reach = math.ceil((math.hypot(height, width) - min(height, width)) / 2) + 1
    # A mirror cannot be wider than what it shows, less the edge itself.
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
        turned = padded.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        rotated.append(np.asarray(turned))
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
    """Return the image at (height, width) by the very rule Turi Create resizes with before it extracts.

    That is Boost GIL's ``resize_view`` with its nearest-neighbour sampler: corner pixels map onto corner pixels,
    halves are rounded up. Tried against Turi Create 6.4.1 on images of many sizes: the pixels are identical.
    """
    import numpy as np

    rows, columns = (
        np.floor((np.arange(new) - (new - 1) / 2) * ((old - 1) / max(new - 1, 1)) + (old - 1) / 2 + 0.5).astype(np.intp)
        for old, new in zip(pixels.shape[:2], size, strict=True)
    )
    resized: Pixels = pixels[rows[:, None], columns[None, :]]
    return resized
