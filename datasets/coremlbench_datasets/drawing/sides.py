"""Side dishes and garnishes, shared by several kinds of food so that they do not identify a class."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Colour, Frame, shade
from coremlbench_datasets.drawing.table import LEAF_GREENS

RICE_WHITES: tuple[Colour, ...] = ((238, 232, 216), (244, 240, 230), (230, 214, 178))


def fries(frame: Frame) -> None:
    """Draw a heap of chips."""
    scene, random = frame.scene, frame.scene.random
    golden = scene.pick((226, 176, 80), (206, 146, 60), (236, 198, 110))
    for x, y in frame.spots(random.randint(14, 24), 0.7):
        chip = frame.inside(x, y, 1.0)
        colour = shade(golden, random.uniform(0.8, 1.15))
        long, thick = random.uniform(0.35, 0.65), random.uniform(0.06, 0.1)
        scene.fill([(px + 3, py + 3) for px, py in chip.pill(long, thick, 0.25, 10)], (40, 16, 4, 90))
        scene.fill(chip.pill(long, thick, 0.25, 10), shade(colour, 0.8))
        scene.fill(chip.pill(long * 0.96, thick * 0.55, 0.25, 10), colour)


def salad(frame: Frame) -> None:
    """Draw a heap of leaves, with a tomato or an onion ring sometimes."""
    scene = frame.scene
    green = scene.pick(*LEAF_GREENS, (150, 176, 84))
    scene.textured(
        frame.blob(0.95, 0.85, 0.16, 36), "leaves", (shade(green, 0.4), green, shade(green, 1.5)), contrast=1.2
    )
    if scene.chance(0.6):
        tomatoes(frame.inside(0, 0, 0.7))


def tomatoes(frame: Frame) -> None:
    """Draw a few cherry tomatoes, whole or cut."""
    scene = frame.scene
    for x, y in frame.spots(scene.random.randint(2, 4), 0.75):
        one = frame.inside(x, y, 0.3)
        scene.solid(one.blob(1, points=16), scene.pick((198, 44, 30), (220, 90, 40)), height=0.25 * one.r, gloss=0.6)


def lemon(frame: Frame) -> None:
    """Draw a slice or a wedge of lemon or lime."""
    scene = frame.scene
    peel = scene.pick((238, 204, 60), (226, 190, 50), (130, 170, 50))
    end = 2 * math.pi if scene.chance(0.5) else math.pi
    scene.fill([(x + 4, y + 4) for x, y in frame.sector(0.95, 0, end)], (0, 0, 0, 80))
    scene.fill(frame.sector(0.95, 0, end), peel)
    scene.fill(frame.sector(0.84, 0, end), shade(peel, 1.75))
    turn = 0.15
    while turn < end - 0.3:
        scene.fill(
            frame.path((0.1 * math.cos(turn + 0.3), 0.1 * math.sin(turn + 0.3)), *_arc(0.74, turn, turn + 0.6)),
            shade(peel, 1.3),
        )
        turn += 0.78


def _arc(radius: float, start: float, end: float) -> list[tuple[float, float]]:
    turns = [start + (end - start) * place / 4 for place in range(5)]
    return [(radius * math.cos(turn), radius * math.sin(turn)) for turn in turns]


def asparagus(frame: Frame) -> None:
    """Draw a bundle of green stalks: asparagus, beans or broccolini."""
    scene, random = frame.scene, frame.scene.random
    green = scene.pick((96, 128, 56), (70, 110, 48), (126, 150, 76))
    for stalk in range(random.randint(4, 7)):
        y, lean = (stalk - 3) * 0.2, random.uniform(-0.12, 0.12)
        colour = shade(green, random.uniform(0.8, 1.2))
        scene.line(frame.path((-0.95, y + 0.05), (0.9, y + lean + 0.05)), (0, 0, 0, 80), 0.15 * frame.r)
        scene.line(frame.path((-0.95, y), (0.9, y + lean)), colour, 0.13 * frame.r)
        scene.line(frame.path((-0.9, y - 0.03), (0.8, y + lean - 0.03)), shade(colour, 1.25), 0.03 * frame.r)
        scene.fill(frame.inside(0.9, y + lean, 0.24, 0).blob(0.8, 0.4, points=10), shade(colour, 0.75))


def potatoes(frame: Frame) -> None:
    """Draw roast potatoes, or mash."""
    scene = frame.scene
    golden = scene.pick((220, 180, 100), (196, 146, 74), (236, 214, 150))
    if scene.chance(0.4):
        mash = shade(golden, 1.25)
        scene.textured(frame.blob(0.85, 0.75, 0.12), "clouds", (shade(mash, 0.8), mash, shade(mash, 1.3)))
        frame.glow(-0.2, -0.2, 0.4, 0.35, (255, 250, 230), 0.6)
        return
    for x, y in frame.spots(scene.random.randint(4, 7), 0.65):
        one = frame.inside(x, y, 0.36)
        scene.solid(one.blob(1, 0.75, 0.1, 16), shade(golden, scene.random.uniform(0.8, 1.15)), height=0.2 * one.r)


def rice(frame: Frame, *colours: Colour) -> None:
    """Draw a mound of rice."""
    scene = frame.scene
    white = scene.pick(*(colours or RICE_WHITES), by=8)
    frame.shadow(1.05, 0.5)
    outline = frame.blob(0.92, 0.86, 0.07, 36)
    scene.textured(outline, "rice", (shade(white, 0.55), shade(white, 0.9), shade(white, 1.4)), contrast=0.9)
    lx, ly = scene.light
    scene.glow(
        frame.x + lx * 0.3 * frame.r, frame.y + ly * 0.3 * frame.r, 0.6 * frame.r, 0.5 * frame.r, (255, 252, 240), 0.5
    )


def vegetables(frame: Frame) -> None:
    """Draw cut carrots, peas, peppers."""
    scene = frame.scene
    for x, y in frame.spots(scene.random.randint(10, 18), 0.8):
        colour = scene.pick((226, 120, 40), (90, 140, 50), (200, 50, 40), (236, 200, 70))
        one = frame.inside(x, y, scene.random.uniform(0.12, 0.2))
        scene.solid(one.pill(1, 0.8, 0.5, 10), colour, height=0.3 * one.r, gloss=0.2)


def herbs(frame: Frame, count: int | None = None, *greens: Colour) -> None:
    """Scatter cut herbs or small leaves."""
    scene, random = frame.scene, frame.scene.random
    green = scene.pick(*(greens or LEAF_GREENS))
    for x, y in frame.spots(count or random.randint(6, 26), 0.8):
        one = frame.inside(x, y, random.uniform(0.03, 0.075))
        scene.fill(one.blob(1, random.uniform(0.4, 0.9), points=10), shade(green, random.uniform(0.75, 1.3)))


SIDES = (fries, salad, tomatoes, lemon, asparagus, potatoes, rice, vegetables)
"""Side dishes of main dishes."""
