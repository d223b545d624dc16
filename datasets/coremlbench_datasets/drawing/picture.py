"""Draw one image: table, dish, side dishes, and the effects of a camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from coremlbench_datasets.drawing import (
    chicken_curry,
    chicken_wings,
    fried_rice,
    grilled_salmon,
    hamburger,
    ice_cream,
    pizza,
    ramen,
    steak,
    sushi,
    tiles,
)
from coremlbench_datasets.drawing.brush import Frame, Scene
from coremlbench_datasets.drawing.table import ABOVE, BESIDE, lay_table

if TYPE_CHECKING:
    from PIL.Image import Image

DISHES: dict[str, Callable[[Frame], None]] = {
    "chicken_curry": chicken_curry.draw,
    "chicken_wings": chicken_wings.draw,
    "fried_rice": fried_rice.draw,
    "grilled_salmon": grilled_salmon.draw,
    "hamburger": hamburger.draw,
    "ice_cream": ice_cream.draw,
    "pizza": pizza.draw,
    "ramen": ramen.draw,
    "steak": steak.draw,
    "sushi": sushi.draw,
}
"""The functions that draw the ten kinds of food, the article's ten classes of Food101."""


def draw_picture(kind: str, random: Random) -> Image:
    """Return an image of a kind of food; everything else in it depends on ``random``."""
    scene = Scene(random.randint(300, 512), random.randint(300, 512), random)
    lay_table(scene)
    side = min(scene.width, scene.height)
    nearness = random.choices(((0.36, 0.46), (0.46, 0.6), (0.6, 0.82)), (2, 5, 3))[0]
    size = side * random.uniform(*nearness)
    far = max(0.04, 0.26 - 0.25 * size / side)
    x = scene.width * (0.5 + random.uniform(-far, far))
    y = scene.height * (0.5 + random.uniform(-far, far))
    squash = random.choice((1.0, 1.0, random.uniform(0.62, 0.95)))
    _around(scene, x, y, size, squash)
    DISHES[kind](Frame(scene, x, y, size, random.uniform(0, 2 * math.pi), squash))
    if scene.chance(0.25):
        turn = random.uniform(0, 2 * math.pi)
        above = Frame(
            scene, x + 0.9 * size * math.cos(turn), y + 0.9 * size * math.sin(turn), size * random.uniform(0.5, 0.8)
        )
        random.choice(ABOVE)(above.inside(0, 0, 1.0))
    return _photograph(scene)


def _around(scene: Scene, x: float, y: float, size: float, squash: float) -> None:
    """Put things around the dish: beside it, and another dish that is only half in the picture."""
    random = scene.random
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        turn = random.uniform(0, 2 * math.pi)
        far = size * random.uniform(1.15, 1.6)
        place = Frame(
            scene, x + far * math.cos(turn), y + far * math.sin(turn), size * random.uniform(0.35, 0.7), 0.0, squash
        )
        random.choice(BESIDE)(place.inside(0, 0, 1.0))
    if scene.chance(0.18):
        turn = random.uniform(0, 2 * math.pi)
        place = Frame(
            scene, x + 1.75 * size * math.cos(turn), y + 1.75 * size * math.sin(turn), size * 0.75, 0.0, squash
        )
        random.choice(list(DISHES.values()))(place)


def _photograph(scene: Scene) -> Image:
    """Return the scene under its light, as a camera of its kind takes it."""
    from PIL import Image, ImageChops, ImageFilter

    random, image = scene.random, scene.image
    # The light: warm or cool, stronger from one side, with darker corners; a few coarse points, blown up smoothly.
    warm = random.uniform(-0.1, 0.1)
    slope, dark = random.uniform(0.0, 0.35), random.uniform(0.0, 0.25)
    lamp = Image.new("RGB", (6, 6))
    for row in range(6):
        for column in range(6):
            u, v = column / 2.5 - 1, row / 2.5 - 1
            level = 1 - slope * (0.5 - 0.35 * (u * scene.light[0] + v * scene.light[1])) - dark * (u * u + v * v) / 2
            lamp.putpixel(
                (column, row), tuple(round(255 * max(0.0, min(1.0, level * (1 + tint)))) for tint in (warm, 0, -warm))
            )
    image = ImageChops.multiply(image, lamp.resize(image.size, Image.Resampling.BILINEAR))
    gain, gamma, lift = random.uniform(0.9, 1.25), random.uniform(0.85, 1.2), random.uniform(0, 18)
    table = [min(255, round(lift + (255 - lift) * min(1.0, gain * level / 255) ** gamma)) for level in range(256)]
    image = image.point(table * 3)
    if scene.chance(0.12):
        image = Image.blend(image, image.convert("L").convert("RGB"), random.uniform(0.15, 0.55))
    image = image.filter(ImageFilter.BoxBlur(random.choice((0.4, 0.5, 0.6, 0.7, 1.0, 1.6))))
    strength = random.choice((2, 4, 7, 11))
    across, down = random.randint(0, tiles.SIDE - image.width), random.randint(0, tiles.SIDE - image.height)
    grains = tiles.noise(strength).crop((across, down, across + image.width, down + image.height))
    return ImageChops.add(image, grains, 1.0, -128)
