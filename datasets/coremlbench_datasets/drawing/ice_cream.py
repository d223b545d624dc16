"""Ice cream: in cones, in bowls, as a sundae."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Colour, Frame, mix, shade, smooth
from coremlbench_datasets.drawing.table import bowl, plate

FLAVOURS: tuple[Colour, ...] = (
    (248, 236, 206),
    (110, 66, 42),
    (238, 160, 170),
    (180, 212, 160),
    (236, 190, 90),
    (250, 248, 242),
    (196, 140, 96),
    (150, 110, 160),
    (240, 130, 90),
    (176, 206, 222),
)


def draw(place: Frame) -> None:
    """Draw ice cream."""
    scene, random = place.scene, place.scene.random
    way = random.random()
    if way < 0.4:
        count = random.choice((1, 1, 1, 2, 3))
        for number in range(count):
            x = (number - (count - 1) / 2) * 0.75
            _cone(
                Frame(
                    scene,
                    place.x + x * place.r,
                    place.y,
                    place.r * (1.1 if count == 1 else 0.8),
                    random.uniform(-0.5, 0.5),
                )
            )
    elif way < 0.8:
        inside = random.choice((bowl, bowl, plate))(place.inside(0, 0, random.uniform(0.8, 1.0)))
        count = random.randint(1, 4)
        for number in range(count):
            turn = 2 * math.pi * number / count + random.uniform(0, 0.5)
            far = 0.0 if count == 1 else 0.42
            size = random.uniform(0.5, 0.62) if count < 3 else random.uniform(0.4, 0.5)
            _scoop(inside.inside(far * math.cos(turn), far * math.sin(turn), size * 1.2, 0))
        _extras(inside)
    else:
        _sundae(Frame(scene, place.x, place.y, place.r, random.uniform(-0.08, 0.08)))


def _scoop(frame: Frame) -> None:
    scene, random = frame.scene, frame.scene.random
    flavour = scene.pick(*FLAVOURS)
    upright = Frame(scene, frame.x, frame.y, frame.r, frame.angle, 1.0)
    outline = upright.blob(0.9, 0.86, 0.03, 36)
    lx, ly = scene.light
    scene.fill([(x - lx * 0.1 * frame.r, y - ly * 0.1 * frame.r) for x, y in outline], (0, 0, 0, 70))
    for bump in range(11):  # the ragged skirt that the spoon leaves
        turn = math.pi * bump / 10
        one = upright.inside(0.82 * math.cos(turn), 0.5 + 0.3 * math.sin(turn), random.uniform(0.13, 0.22), 0)
        scene.fill(one.blob(1, 0.8, points=10), shade(flavour, random.uniform(0.78, 0.95)))
    scene.textured(
        outline,
        random.choice(("clouds", "speckles")),
        (shade(flavour, 0.72), flavour, shade(flavour, 1.25)),
        contrast=0.6,
    )
    upright.glow(-lx * 0.5, -ly * 0.5, 0.55, 0.55, shade(flavour, 0.55), 0.5)
    upright.glow(lx * 0.35, ly * 0.35, 0.5, 0.45, shade(flavour, 1.7), 0.8)
    if scene.chance(0.25):
        chips = scene.pick((60, 34, 24), (200, 40, 50), (240, 230, 210))
        for x, y in upright.spots(12, 0.75):
            scene.fill(upright.inside(x, y, 0.05).pill(1, 0.7, 0.3, 10), chips)
    if scene.chance(0.4):
        _sauce(upright)
    if scene.chance(0.25):
        _sprinkles(upright)


def _sauce(frame: Frame) -> None:
    scene, random = frame.scene, frame.scene.random
    colour = scene.pick((70, 34, 20), (190, 110, 40), (180, 30, 50), (240, 200, 90))
    points = []
    for place in range(24):
        turn = 2 * math.pi * place / 24
        low = math.sin(turn) > 0
        reach = random.uniform(0.45, 0.85) if low and place % 2 else random.uniform(0.42, 0.5)
        points.append(frame.at(0.85 * reach * math.cos(turn) * 1.3, -0.35 + reach * math.sin(turn)))
    scene.fill(smooth(points), colour)
    frame.glow(-0.2, -0.5, 0.25, 0.12, shade(colour, 1.8), 0.7)


def _sprinkles(frame: Frame) -> None:
    scene = frame.scene
    for x, y in frame.spots(30, 0.8):
        colour = scene.pick((230, 60, 80), (250, 210, 60), (80, 170, 220), (120, 190, 90), (250, 250, 250))
        one = frame.inside(x, y, 0.06)
        scene.line(one.path((-1, 0), (1, 0)), colour, 0.05 * frame.r)


def _cone(frame: Frame) -> None:
    scene, random = frame.scene, frame.scene.random
    wafer = scene.pick((212, 160, 90), (190, 132, 66), (228, 186, 122))
    tip, left, right = (0.0, 1.0), (-0.36, -0.05), (0.36, -0.05)
    scene.fill([(x + 6, y + 6) for x, y in frame.path(tip, left, right)], (0, 0, 0, 70))
    scene.fill(frame.path(tip, left, right), wafer)
    for place in range(1, 9):
        share = place / 9
        scene.line(
            frame.path((-0.36 + 0.72 * share, -0.05), (-0.36 * (1 - share), -0.05 + 1.05 * share)),
            shade(wafer, 0.68),
            0.02 * frame.r,
        )
        scene.line(
            frame.path((0.36 - 0.72 * share, -0.05), (0.36 * (1 - share), -0.05 + 1.05 * share)),
            shade(wafer, 0.68),
            0.02 * frame.r,
        )
    frame.glow(0.12, 0.35, 0.18, 0.5, shade(wafer, 0.5), 0.4)
    if scene.chance(0.25):
        _swirl(frame.inside(0, -0.1, 1.0, 0))
        return
    for scoop in range(random.choice((1, 1, 2, 2, 3))):
        _scoop(frame.inside(random.uniform(-0.05, 0.05), -0.28 - 0.42 * scoop, 0.46 - 0.03 * scoop, 0))
    if scene.chance(0.2):
        scene.solid(frame.inside(0, -0.75, 0.09).blob(1, points=16), (190, 24, 40), height=2, gloss=0.7)


def _swirl(frame: Frame) -> None:
    """Draw soft ice, turn on turn."""
    scene = frame.scene
    cream = scene.pick(*FLAVOURS[:6])
    for turn in range(5):
        ring = frame.inside(0.03 * (-1) ** turn, -0.02 - 0.19 * turn, 1.0, -0.12)
        scene.solid(
            ring.pill(0.42 - 0.075 * turn, 0.15, 0.75),
            mix(cream, (255, 255, 255), 0.1),
            height=0.05 * frame.r,
            gloss=0.2,
        )
    scene.fill(frame.path((-0.06, -0.85), (0.07, -0.85), (0.05, -1.1)), cream)


def _extras(frame: Frame) -> None:
    """Add wafers, berries or mint to a bowl."""
    scene, random = frame.scene, frame.scene.random
    if scene.chance(0.4):
        wafer = frame.inside(random.uniform(-0.4, 0.4), -0.6, 0.6, random.uniform(-0.5, 0.5))
        scene.solid(wafer.pill(0.16, 0.9, 0.3), (214, 166, 98), height=4, gloss=0.1)
    if scene.chance(0.45):
        for x, y in frame.spots(random.randint(2, 7), 0.85, 0.4):
            berry = frame.inside(x, y, 0.1)
            scene.solid(
                berry.blob(1, points=16),
                scene.pick((170, 24, 40), (60, 50, 110), (200, 40, 50)),
                height=0.3 * berry.r,
                gloss=0.5,
            )
    if scene.chance(0.3):
        for lean in (-0.6, 0.6):
            scene.fill(frame.inside(0.1, -0.1, 0.2, lean).blob(1, 0.5, points=16), scene.pick((80, 150, 80)))


def _sundae(frame: Frame) -> None:
    """Draw a glass with layers, scoops on top."""
    scene, random = frame.scene, frame.scene.random
    frame.glow(0, 0.95, 0.6, 0.15, (0, 0, 0), 0.7)
    scene.line(frame.path((0, 0.6), (0, 0.92)), (214, 222, 226), 0.1 * frame.r)
    scene.fill(frame.inside(0, 0.92, 1.0, 0).pill(0.34, 0.06, 0.6), (206, 214, 220))
    for layer in range(5):
        top, colour = -0.05 + 0.14 * layer, scene.pick(*FLAVOURS, (170, 30, 50), (80, 44, 28))
        wide, narrow = 0.52 - 0.07 * layer, 0.45 - 0.07 * layer
        scene.fill(frame.path((-wide, top), (wide, top), (narrow, top + 0.15), (-narrow, top + 0.15)), colour)
    for x in (-0.26, 0.26, 0.0):
        _scoop(frame.inside(x, -0.25 if x else -0.5, 0.34, 0))
    scene.fill(frame.path((-0.58, -0.12), (-0.5, -0.12), (-0.2, 0.62), (-0.28, 0.62)), (255, 255, 255, 110))
    if random.random() < 0.6:
        scene.solid(frame.inside(0, -0.82, 0.1).blob(1, points=16), (190, 24, 40), height=2, gloss=0.7)
