"""A scene to draw on, and frames in it: the position, size, rotation and slant of an object."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from coremlbench_datasets.drawing import tiles

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
Point = tuple[float, float]

_UNIT = {
    count: [(math.cos(2 * math.pi * place / count), math.sin(2 * math.pi * place / count)) for place in range(count)]
    for count in (10, 16, 24, 36)
}
"""Points on the unit circle, by their number."""


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour at ``share`` between two colours; outside of 0 to 1 it is extrapolated, clipped to bytes."""
    red, green, blue = (max(0, min(255, round(a + (b - a) * share))) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour lighter (over 1, towards white) or darker (under 1, towards black)."""
    return mix(colour, (255, 250, 240), factor - 1) if factor > 1 else mix((8, 4, 4), colour, factor)


def scaled(points: Sequence[Point], factor: float, shift: Point = (0.0, 0.0)) -> list[Point]:
    """Return an outline scaled about its centre and moved."""
    x = sum(point[0] for point in points) / len(points)
    y = sum(point[1] for point in points) / len(points)
    return [(x + (px - x) * factor + shift[0], y + (py - y) * factor + shift[1]) for px, py in points]


def smooth(points: Sequence[Point]) -> list[Point]:
    """Return a closed outline with its corners cut off twice (Chaikin 1974)."""
    outline = list(points)
    for _ in range(2):
        cut = []
        for (ax, ay), (bx, by) in zip(outline, [*outline[1:], outline[0]], strict=True):
            cut += [(0.75 * ax + 0.25 * bx, 0.75 * ay + 0.25 * by), (0.25 * ax + 0.75 * bx, 0.25 * ay + 0.75 * by)]
        outline = cut
    return outline


class Scene:
    """An image that is being drawn. ``light`` is the direction in it that light comes from."""

    def __init__(self, width: int, height: int, random: Random) -> None:
        from PIL import Image, ImageDraw

        self.width = width
        self.height = height
        self.random = random
        self.image = Image.new("RGB", (width, height))
        self.draw = ImageDraw.Draw(self.image, "RGBA")
        angle = random.uniform(math.pi, 2 * math.pi)
        self.light = (math.cos(angle), math.sin(angle))

    def pick(self, *choices: Colour, by: int = 14) -> Colour:
        """Return one of the colours, changed by up to ``by`` levels in each channel and in brightness."""
        base = self.random.choice(choices)
        lift = self.random.randint(-by, by)
        red, green, blue = (max(0, min(255, level + lift + self.random.randint(-by, by) // 2)) for level in base)
        return red, green, blue

    def chance(self, share: float) -> bool:
        """Return ``True`` with that probability."""
        return self.random.random() < share

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float) -> None:
        """Draw a blurred spot of colour; black ones are shadows."""
        width, height = round(2 * rx), round(2 * ry)
        if width < 2 or height < 2:
            return
        mask = tiles.soft_disc(round(strength * tiles.STRENGTHS)).resize((width, height))
        self.image.paste(colour, (round(x - rx), round(y - ry)), mask)

    def fill(self, points: Sequence[Point], colour: Colour | tuple[int, int, int, int]) -> None:
        """Fill an outline."""
        self.draw.polygon(points, fill=colour)

    def line(self, points: Sequence[Point], colour: Colour | tuple[int, int, int, int], width: float) -> None:
        """Draw a line with round joints."""
        self.draw.line(points, fill=colour, width=max(1, round(width)), joint="curve")

    def solid(self, points: Sequence[Point], colour: Colour, *, height: float, gloss: float = 0.3) -> None:
        """Draw a solid object: its shadow, its dark edge, its light side and a highlight."""
        lx, ly = self.light
        self.fill([(x - lx * height, y - ly * height) for x, y in points], (0, 0, 0, 85))
        self.fill(points, shade(colour, 0.72))
        self.fill(scaled(points, 0.92, (lx * height * 0.35, ly * height * 0.35)), colour)
        self.fill(scaled(points, 0.62, (lx * height * 0.8, ly * height * 0.8)), (*shade(colour, 1.14), 150))
        if gloss:
            bright = (*shade(colour, 1.0 + gloss), round(90 + 130 * gloss))
            self.fill(scaled(points, 0.26, (lx * height * 1.6, ly * height * 1.6)), bright)

    def textured(self, points: Sequence[Point], name: str, colours: Sequence[Colour], *, contrast: float = 1.0) -> None:
        """Fill an outline with a tile whose dark to light runs through ``colours``."""
        left, top = max(0, math.floor(min(p[0] for p in points))), max(0, math.floor(min(p[1] for p in points)))
        right = min(self.width, math.ceil(max(p[0] for p in points)) + 1)
        bottom = min(self.height, math.ceil(max(p[1] for p in points)) + 1)
        if right - left < 2 or bottom - top < 2:
            return
        from PIL import Image, ImageDraw

        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in points], fill=255)
        self.image.paste(self.cut(name, right - left, bottom - top, colours, contrast), (left, top), mask)

    def cover(self, name: str, colours: Sequence[Colour], *, contrast: float = 1.0) -> None:
        """Fill the whole picture with a tile, as ``textured`` does an outline."""
        self.image.paste(self.cut(name, self.width, self.height, colours, contrast))

    def cut(self, name: str, width: int, height: int, colours: Sequence[Colour], contrast: float = 1.0) -> Image:
        """Return a coloured random part of a tile, rotated by 0 or 180 degrees."""
        import numpy as np
        from PIL.Image import Transpose, merge

        grey = tiles.tile(name, self.random.choice(tiles.ZOOMS))
        x, y = self.random.randint(0, grey.width - width), self.random.randint(0, grey.height - height)
        piece = grey.crop((x, y, x + width, y + height))
        turn = self.random.choice((None, Transpose.FLIP_LEFT_RIGHT, Transpose.FLIP_TOP_BOTTOM, Transpose.ROTATE_180))
        if turn is not None:
            piece = piece.transpose(turn)
        places = 0.5 + contrast * (np.arange(256) - 128) / 190
        stops = np.linspace(0, 1, len(colours))
        channels = zip(*colours, strict=True)
        tables = [np.rint(np.interp(places, stops, channel)).astype(int).tolist() for channel in channels]
        return merge("RGB", [piece.point(table) for table in tables])


@dataclass(frozen=True)
class Frame:
    """The place of an object: centre, size ``r`` in pixels, rotation, and slant (``squash`` is 1 from above)."""

    scene: Scene
    x: float
    y: float
    r: float
    angle: float = 0.0
    squash: float = 1.0

    def at(self, x: float, y: float) -> Point:
        """Return the picture's point for a point of the frame, in units of its size."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + self.r * (x * cos - y * sin), self.y + self.r * self.squash * (x * sin + y * cos)

    def path(self, *points: Point) -> list[Point]:
        """Return the picture's points for points of the frame."""
        return [self.at(x, y) for x, y in points]

    def inside(self, x: float, y: float, size: float, angle: float | None = None) -> Frame:
        """Return a frame within this one, rotated at random without an angle."""
        px, py = self.at(x, y)
        turn = self.scene.random.uniform(0, 2 * math.pi) if angle is None else self.angle + angle
        return Frame(self.scene, px, py, self.r * size, turn, self.squash)

    def blob(self, rx: float = 1.0, ry: float | None = None, wobble: float = 0.0, points: int = 24) -> list[Point]:
        """Return an ellipse's outline, with random dents up to ``wobble``."""
        ry = rx if ry is None else ry
        if not wobble:
            return [self.at(rx * cos, ry * sin) for cos, sin in _UNIT[points]]
        uniform = self.scene.random.uniform
        waves = [(count, uniform(0, 6.3), size) for count, size in ((2, 0.5), (3, 0.45), (5, 0.3), (9, 0.2))]
        outline = []
        for place, (cos, sin) in enumerate(_UNIT[points]):
            turn = 2 * math.pi * place / points
            reach = 1 + wobble * sum(size * math.sin(count * turn + phase) for count, phase, size in waves)
            outline.append(self.at(rx * reach * cos, ry * reach * sin))
        return outline

    def pill(self, rx: float, ry: float, corner: float = 0.5, points: int = 24) -> list[Point]:
        """Return a rounded rectangle's outline: from an ellipse (``corner`` 1) to nearly square (0.2)."""
        outline = []
        for cos, sin in _UNIT[points]:
            across = math.copysign(abs(cos) ** corner, cos)
            down = math.copysign(abs(sin) ** corner, sin)
            outline.append(self.at(rx * across, ry * down))
        return outline

    def sector(self, radius: float, start: float, end: float, wobble: float = 0.0) -> list[Point]:
        """Return a disc's outline between two angles, with its tip in the middle if it is not whole."""
        random = self.scene.random
        count = max(6, round(36 * (end - start) / (2 * math.pi)))
        rim = []
        for place in range(count + 1):
            turn = start + (end - start) * place / count
            reach = radius * (1 + wobble * random.uniform(-1, 1))
            rim.append(self.at(reach * math.cos(turn), reach * math.sin(turn)))
        return rim if end - start > 6.2 else [self.at(0, 0), *rim]

    def spots(self, count: int, reach: float = 0.85, inner: float = 0.0) -> Iterator[Point]:
        """Yield points spread over the frame's disc, between two radii."""
        random = self.scene.random
        for _ in range(count):
            turn, far = random.uniform(0, 2 * math.pi), math.sqrt(random.uniform(inner * inner, reach * reach))
            yield far * math.cos(turn), far * math.sin(turn)

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float) -> None:
        """Draw a blurred spot of colour at the frame, not rotated."""
        px, py = self.at(x, y)
        self.scene.glow(px, py, rx * self.r, ry * self.r * self.squash, colour, strength)

    def shadow(self, size: float = 1.25, strength: float = 0.6) -> None:
        """Draw the shadow of an object at the frame, away from the light."""
        lx, ly = self.scene.light
        x, y = self.x - lx * 0.12 * self.r, self.y - ly * 0.12 * self.r
        self.scene.glow(x, y, self.r * size, self.r * size * self.squash, (10, 6, 4), strength)
