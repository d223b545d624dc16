"""Sushi: nigiri, rolls and gunkan, in rows or in a ring."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Frame, mix, shade
from coremlbench_datasets.drawing.sides import lemon
from coremlbench_datasets.drawing.table import board, plate, sauce_dish, serve

WHITE = (240, 236, 226)


def draw(place: Frame) -> None:
    """Draw a serving of sushi."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, board, plate, plate).inside(0, 0, 1.0, random.uniform(-0.6, 0.6))
    kinds = random.choice(
        ((_nigiri,), (_roll,), (_nigiri, _roll), (_nigiri, _roll, _gunkan), (_roll, _gunkan), (_inside_out,))
    )
    rows, columns = random.choice(((1, 3), (2, 3), (2, 4), (3, 3), (2, 2), (3, 4)))
    size = min(1.0 / columns, 0.85 / rows)
    ring = scene.chance(0.2)
    for row in range(rows):
        kind = random.choice(kinds)
        theme = random.choice(((236, 130, 90), (206, 60, 60), (244, 190, 150), (250, 214, 150), (238, 226, 214)))
        for column in range(columns):
            if ring:
                turn = 2 * math.pi * (row * columns + column) / (rows * columns)
                x, y, lean = 0.62 * math.cos(turn), 0.62 * math.sin(turn), turn
            else:
                x = (column - (columns - 1) / 2) * size * 1.95 + random.uniform(-0.03, 0.03)
                y, lean = (row - (rows - 1) / 2) * size * 2.1, random.uniform(-0.2, 0.2)
            kind(frame.inside(x, y, size * 0.92, lean), theme)
    if scene.chance(0.5):
        wasabi = frame.inside(random.choice((-0.85, 0.85)), 0.6, 0.14)
        scene.solid(wasabi.blob(1, 0.8, 0.15, 16), scene.pick((150, 176, 84)), height=0.3 * wasabi.r, gloss=0.1)
    if scene.chance(0.4):
        ginger = frame.inside(random.choice((-0.8, 0.8)), -0.6, 0.2)
        for _ in range(4):
            scene.solid(
                ginger.inside(*next(ginger.spots(1, 0.4)), 0.7).blob(1, 0.5, 0.2), scene.pick((242, 190, 160)), height=2
            )
    if scene.chance(0.3):
        sauce_dish(place.inside(random.choice((-0.9, 0.9)), -0.6, 0.3, 0), (46, 24, 16))
    elif scene.chance(0.15):
        lemon(place.inside(0.8, 0.6, 0.18))


def _rice_pad(frame: Frame, rx: float, ry: float) -> None:
    scene = frame.scene
    outline = frame.pill(rx, ry, 0.6)
    scene.fill(
        [(x - scene.light[0] * 0.18 * frame.r, y - scene.light[1] * 0.18 * frame.r) for x, y in outline], (0, 0, 0, 110)
    )
    scene.textured(outline, "rice", (shade(WHITE, 0.68), shade(WHITE, 0.92), (255, 255, 250)), contrast=0.7)


def _nigiri(frame: Frame, theme: tuple[int, int, int]) -> None:
    scene, random = frame.scene, frame.scene.random
    _rice_pad(frame, 0.62, 1.0)
    colour = scene.pick(theme, by=10)
    top = frame.inside(0, -0.03, 1.0, random.uniform(-0.1, 0.1))
    scene.solid(top.pill(0.6, 1.08, 0.65), colour, height=0.1 * frame.r, gloss=0.25)
    for stripe in range(-4, 5):
        y = stripe * 0.24
        scene.line(
            top.path((-0.5, y + 0.16), (0, y), (0.5, y + 0.16)),
            (*mix(colour, (255, 250, 240), 0.6), 150),
            0.05 * frame.r,
        )
    top.glow(-0.15, -0.35, 0.25, 0.35, (255, 255, 255), 0.5)
    if scene.chance(0.15):
        scene.fill(frame.path((-0.68, -0.16), (0.68, -0.16), (0.68, 0.16), (-0.68, 0.16)), (28, 36, 30))


def _core(frame: Frame, theme: tuple[int, int, int]) -> None:
    scene = frame.scene
    for place in range(scene.random.randint(1, 3)):
        part = frame.inside(scene.random.uniform(-0.12, 0.12) * (place + 1), scene.random.uniform(-0.15, 0.15), 0.28)
        colour = scene.pick(theme, (110, 150, 70), (240, 200, 90), theme, (226, 110, 60))
        scene.fill(part.pill(1, 0.8, 0.5, 10), shade(colour, 0.85))
        scene.fill(part.pill(0.7, 0.55, 0.5, 10), colour)


def _roll(frame: Frame, theme: tuple[int, int, int]) -> None:
    """Draw a maki roll: nori outside, rice, a core."""
    scene = frame.scene
    scene.solid(frame.blob(0.86), (30, 38, 34), height=0.16 * frame.r, gloss=0.05)
    scene.textured(
        frame.blob(0.72, wobble=0.02), "rice", (shade(WHITE, 0.68), shade(WHITE, 0.93), (255, 255, 250)), contrast=0.7
    )
    _core(frame, theme)


def _inside_out(frame: Frame, theme: tuple[int, int, int]) -> None:
    """Draw a roll with its rice outside, often with sesame or roe."""
    scene = frame.scene
    scene.fill([(x + 3, y + 4) for x, y in frame.blob(0.9)], (0, 0, 0, 100))
    coat = scene.random.choice((WHITE, WHITE, (232, 120, 50), mix(WHITE, theme, 0.4)))
    scene.textured(
        frame.blob(0.9, wobble=0.03), "rice", (shade(coat, 0.65), shade(coat, 0.92), shade(coat, 1.4)), contrast=0.8
    )
    scene.fill(frame.blob(0.5, wobble=0.04), (34, 44, 36))
    scene.fill(frame.blob(0.42), WHITE)
    _core(frame, theme)


def _gunkan(frame: Frame, theme: tuple[int, int, int]) -> None:
    """Draw a boat of nori with roe."""
    scene = frame.scene
    scene.solid(frame.pill(0.68, 0.95, 0.75), (32, 40, 34), height=0.16 * frame.r, gloss=0.05)
    roe = scene.pick((232, 96, 30), (214, 50, 30), (240, 150, 50), theme)
    scene.fill(frame.pill(0.55, 0.82, 0.75), shade(roe, 0.7))
    for x, y in frame.spots(26, 0.75):
        bead = frame.inside(x * 0.7, y, 0.12, 0)
        scene.fill(bead.blob(1, points=10), roe)
        scene.fill(bead.inside(-0.3, -0.3, 0.35, 0).blob(1, points=10), shade(roe, 1.7))
