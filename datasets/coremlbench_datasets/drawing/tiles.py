"""Textures: square grey tiles, drawn once in each process and always the same."""

from __future__ import annotations

import math
from functools import cache
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

SIDE = 640
"""Pixels along a tile's side: more than the longest side of a picture."""


ZOOMS = (0.8, 1.0, 1.3)
"""Sizes of a tile's grain; with the smallest, a tile is still as wide as the largest image."""


@cache
def tile(name: str, zoom: float = 1.0) -> Image:
    """Return the texture of that name, as 8-bit grey."""
    from PIL.Image import Resampling

    if zoom == 1.0:
        return _TILES[name]()
    side = round(SIDE * zoom)
    return tile(name).resize((side, side), Resampling.BICUBIC)


@cache
def noise(strength: int) -> Image:
    """Return a camera's noise as RGB around 128, its standard deviation ``strength`` levels."""
    import numpy as np
    from PIL import Image

    state = np.random.RandomState(900 + strength)  # its stream is frozen for good, Generator's is not
    grains = state.normal(128, strength, (SIDE, SIDE, 1)) + state.normal(0, strength / 2, (SIDE, SIDE, 3))
    return Image.fromarray(grains.clip(0, 255).astype(np.uint8))


STRENGTHS = 24
"""How many strengths of soft discs there are."""


@cache
def soft_disc(strength: int) -> Image:
    """Return a disc that fades from its middle, where it is ``strength / STRENGTHS`` of 255, to 0 at its edge."""
    import numpy as np
    from PIL import Image

    line = np.linspace(-1, 1, 64)
    distance = np.hypot(line[:, None], line[None, :])
    return Image.fromarray((255 * strength / STRENGTHS * (1 - np.clip(distance, 0, 1) ** 2) ** 2).astype(np.uint8))


def _normal(values: NDArray[np.float64], spread: float = 45) -> Image:
    import numpy as np
    from PIL import Image

    values = (values - values.mean()) / values.std()
    return Image.fromarray((128 + spread * values).clip(0, 255).astype(np.uint8))


def _octaves(seed: int, sizes: tuple[tuple[int, int], ...], fall: float) -> Image:
    """Return noise of several sizes of grain, each ``fall`` times as strong as the one before."""
    import numpy as np
    from PIL import Image

    state = np.random.RandomState(seed)  # its stream is frozen for good, Generator's is not
    total = np.zeros((SIDE, SIDE))
    strength = 1.0
    for rows, columns in sizes:
        small = Image.fromarray(state.uniform(0, 255, (rows, columns)).astype(np.uint8))
        total += strength * np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float64)
        strength *= fall
    return _normal(total)


def _clouds() -> Image:
    return _octaves(1, ((6, 6), (14, 14), (36, 36), (90, 90), (220, 220)), 0.72)


def _speckles() -> Image:
    return _octaves(2, ((20, 20), (80, 80), (200, 200), (400, 400)), 0.95)


def _fibres() -> Image:
    return _octaves(3, ((40, 5), (120, 12), (300, 30), (640, 70)), 0.85)


def _weave() -> Image:
    import numpy as np

    line = np.arange(SIDE)
    threads = np.sin(line * math.pi / 2.5)[:, None] * np.sin(line * math.pi / 2.5)[None, :]
    return _normal(threads + 0.01 * np.asarray(_octaves(4, ((30, 30), (200, 200)), 0.9), dtype=np.float64), 30)


def _crumbs() -> Image:
    """Return bumps lit from above left: batter, crust, minced meat."""
    from PIL import Image, ImageDraw, ImageFilter

    random = Random("crumbs")
    image = Image.new("L", (SIDE, SIDE), 110)
    draw = ImageDraw.Draw(image)
    for _ in range(9000):
        x, y, r = random.uniform(0, SIDE), random.uniform(0, SIDE), random.uniform(1.5, 7) ** 1.1
        tone = random.randint(60, 190)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=max(20, tone - 45))
        draw.ellipse((x - r, y - r, x + 0.6 * r, y + 0.6 * r), fill=tone)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _rice() -> Image:
    """Return a heap of grains, each with its light side."""
    from PIL import Image, ImageDraw, ImageFilter

    random = Random("rice")
    image = Image.new("L", (SIDE, SIDE), 60)
    draw = ImageDraw.Draw(image)
    for _ in range(9000):
        x, y, angle = random.uniform(0, SIDE), random.uniform(0, SIDE), random.uniform(0, math.pi)
        dx, dy, tone = 4.6 * math.cos(angle), 4.6 * math.sin(angle), random.randint(130, 235)
        draw.line((x - dx, y - dy + 1.5, x + dx, y + dy + 1.5), fill=tone - 75, width=6)
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=tone, width=4)
        draw.line((x - dx / 2, y - dy / 2 - 1, x + dx / 2, y + dy / 2 - 1), fill=min(255, tone + 25), width=1)
    return image.filter(ImageFilter.GaussianBlur(0.7))


def _noodles() -> Image:
    """Return strands that run side by side and over each other."""
    from PIL import Image, ImageDraw, ImageFilter

    random = Random("noodles")
    image = Image.new("L", (SIDE, SIDE), 55)
    draw = ImageDraw.Draw(image)
    for _ in range(150):
        x, y, heading = random.uniform(0, SIDE), random.uniform(0, SIDE), random.uniform(0, 2 * math.pi)
        bend, sway, reach = random.uniform(-0.03, 0.03), random.uniform(0, 0.3), random.randint(25, 60)
        strands = random.randint(3, 6)
        spine = []
        for step in range(reach):
            heading += bend + sway * math.sin(step / 4) * 0.25
            x, y = x + 7 * math.cos(heading), y + 7 * math.sin(heading)
            spine.append((x, y, heading))
        for strand in range(strands):
            offset, tone = (strand - strands / 2) * 8.5, random.randint(140, 225)
            path = [(px - offset * math.sin(turn), py + offset * math.cos(turn)) for px, py, turn in spine]
            draw.line(path, fill=45, width=9, joint="curve")
            draw.line(path, fill=tone, width=6, joint="curve")
            draw.line([(px - 1, py - 1.5) for px, py in path], fill=min(255, tone + 30), width=2)
    return image.filter(ImageFilter.GaussianBlur(0.7))


def _leaves() -> Image:
    """Return crumpled greens."""
    from PIL import Image, ImageDraw, ImageFilter

    random = Random("leaves")
    image = Image.new("L", (SIDE, SIDE), 50)
    draw = ImageDraw.Draw(image)
    for _ in range(1500):
        x, y, size, turn = (
            random.uniform(0, SIDE),
            random.uniform(0, SIDE),
            random.uniform(10, 32),
            random.uniform(0, 6),
        )
        tone, outline = random.randint(80, 210), []
        for corner in range(12):
            angle = turn + corner * math.pi / 6
            reach = size * random.uniform(0.6, 1.1)
            outline.append((x + reach * math.cos(angle), y + 0.6 * reach * math.sin(angle)))
        draw.polygon(outline, fill=tone - 30)
        draw.polygon([(px - 2, py - 2) for px, py in outline], fill=tone)
        draw.line((x - size, y, x + size, y), fill=min(255, tone + 35), width=2)
    return image.filter(ImageFilter.GaussianBlur(0.8))


_TILES = {
    "clouds": _clouds,
    "speckles": _speckles,
    "fibres": _fibres,
    "weave": _weave,
    "crumbs": _crumbs,
    "rice": _rice,
    "noodles": _noodles,
    "leaves": _leaves,
}
