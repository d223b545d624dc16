"""Hamburgers: from the side, layer on layer, or from above."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Colour, Frame, shade
from coremlbench_datasets.drawing.sides import fries, salad
from coremlbench_datasets.drawing.table import board, paper, plate, serve


def draw(place: Frame) -> None:
    """Draw a hamburger."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, plate, board, paper, plate)
    bun = scene.pick((206, 142, 70), (222, 170, 98), (176, 108, 50), (70, 50, 44))
    if scene.chance(0.55):
        side = random.choice((fries, fries, salad))
        side(frame.inside(random.choice((-0.7, 0.7)), random.uniform(-0.4, 0.2), 0.55))
    if scene.chance(0.28):
        _from_above(frame.inside(random.uniform(-0.15, 0.15), 0, 0.8), bun)
        return
    size = random.uniform(0.72, 0.98)
    upright = Frame(scene, frame.x, frame.y + 0.25 * frame.r, frame.r * size, random.uniform(-0.15, 0.15))
    if scene.chance(0.18):
        for x in (-0.55, 0.55):
            _from_the_side(upright.inside(x, 0, 0.62, 0), bun)
    else:
        _from_the_side(upright, bun)


def _from_the_side(frame: Frame, bun: Colour) -> None:
    scene, random = frame.scene, frame.scene.random
    frame.glow(0, 0.5, 1.2, 0.3, (0, 0, 0), 0.7)
    y = 0.42
    below = frame.inside(0, y, 1.0, 0)
    scene.solid(below.pill(0.88, 0.17, 0.45), shade(bun, 0.95), height=0.03 * frame.r, gloss=0)
    y -= 0.15
    fillings = [_patty]
    fillings += random.sample((_lettuce, _tomato, _cheese, _onion, _sauce, _lettuce), random.randint(2, 4))
    if scene.chance(0.35):
        fillings += [_patty, _cheese]
    if scene.chance(0.5):
        random.shuffle(fillings)
    for filling in fillings:
        y -= filling(frame.inside(0, y, 1.0, 0))
    top = frame.inside(0, y + 0.06, 1.0, 0)
    height = random.uniform(0.42, 0.62)
    dome = [top.at(0.9 * math.cos(turn), -height * abs(math.sin(turn)) ** 0.8) for turn in _half_circle()]
    scene.fill([*dome, top.at(-0.86, 0.07), top.at(0.86, 0.07)], shade(bun, 0.7))
    scene.textured(dome, "clouds", (shade(bun, 0.72), bun, shade(bun, 1.12)), contrast=0.5)
    lx = scene.light[0]
    top.glow(lx * 0.35, -height * 0.62, 0.45, height * 0.36, shade(bun, 1.7), 0.75)
    if scene.chance(0.65):
        for _ in range(random.randint(14, 34)):
            turn, far = random.uniform(0.3, 2.85), random.uniform(0.45, 0.95)
            seed = top.inside(0.85 * far * math.cos(turn), -height * far * math.sin(turn) ** 0.8, 0.035)
            scene.fill(seed.blob(1, 0.6, points=10), (246, 230, 190))


def _half_circle() -> list[float]:
    return [math.pi * place / 20 for place in range(21)]


def _patty(frame: Frame) -> float:
    scene = frame.scene
    meat = scene.pick((92, 54, 34), (112, 66, 40), (70, 42, 30), (170, 106, 50))
    outline = frame.inside(0, -0.08, 1.0, 0).pill(0.93, 0.14, 0.5, 36)
    scene.fill(outline, shade(meat, 0.5))
    scene.textured(outline, "crumbs", (shade(meat, 0.4), meat, shade(meat, 1.3)))
    return 0.2


def _cheese(frame: Frame) -> float:
    scene, random = frame.scene, frame.scene.random
    colour = scene.pick((246, 186, 50), (250, 210, 96), (244, 160, 40))
    points = [(-0.95, -0.05), (0.95, -0.05)]
    x = 0.95
    while x > -0.95:
        points.append((x, random.uniform(0.0, 0.04)))
        points.append((x - 0.16, random.uniform(0.06, 0.26)))
        x -= random.uniform(0.25, 0.45)
    scene.fill(frame.path(*points), colour)
    scene.line(frame.path((-0.95, -0.04), (0.95, -0.04)), shade(colour, 1.3), 0.03 * frame.r)
    return 0.05


def _lettuce(frame: Frame) -> float:
    scene, random = frame.scene, frame.scene.random
    green = scene.pick((120, 160, 60), (86, 136, 52), (160, 186, 90))
    lower = [(-1.0 + 2.0 * place / 24, random.uniform(0.03, 0.16)) for place in range(25)]
    upper = [(1.0 - 2.0 * place / 24, random.uniform(-0.1, -0.02)) for place in range(25)]
    scene.fill(frame.path(*lower, *upper), shade(green, 0.75))
    scene.textured(
        frame.path(*[(x, y - 0.03) for x, y in lower], *upper), "leaves", (shade(green, 0.6), green, shade(green, 1.4))
    )
    return 0.09


def _tomato(frame: Frame) -> float:
    scene = frame.scene
    for x in (-0.42, 0.42):
        slice_ = frame.inside(x, -0.04, 1.0, 0)
        scene.solid(slice_.pill(0.46, 0.07, 0.5), scene.pick((206, 50, 34)), height=0.02 * frame.r, gloss=0.4)
    return 0.11


def _onion(frame: Frame) -> float:
    scene = frame.scene
    colour = scene.pick((236, 226, 230), (190, 120, 160))
    scene.fill(frame.inside(0, -0.02, 1.0, 0).pill(0.86, 0.035, 0.5), colour)
    return 0.05


def _sauce(frame: Frame) -> float:
    scene = frame.scene
    colour = scene.pick((190, 40, 24), (240, 226, 190), (226, 170, 50), (90, 40, 24))
    scene.fill(frame.blob(0.9, 0.05, 0.15), colour)
    for _ in range(2):
        drip = frame.inside(scene.random.uniform(-0.8, 0.8), 0.08, 1.0, 0)
        scene.fill(drip.blob(0.06, 0.13, points=16), colour)
    return 0.03


def _from_above(frame: Frame, bun: Colour) -> None:
    scene, random = frame.scene, frame.scene.random
    frame.shadow(1.2, 0.7)
    green, cheese = scene.pick((110, 154, 60), (150, 180, 84)), scene.pick((246, 186, 50), (250, 210, 96))
    if scene.chance(0.7):
        scene.textured(frame.blob(1.0, wobble=0.12, points=36), "leaves", (shade(green, 0.5), green, shade(green, 1.4)))
    meat = scene.pick((92, 54, 34), (70, 42, 30))
    scene.textured(frame.blob(0.93, wobble=0.04), "crumbs", (shade(meat, 0.4), meat, shade(meat, 1.3)))
    if scene.chance(0.6):
        scene.fill(frame.inside(0, 0, 1.0).pill(0.82, 0.82, 0.2), cheese)
    x, y = random.uniform(-0.1, 0.1), random.uniform(-0.1, 0.1)
    top = frame.inside(x, y, 0.86)
    scene.solid(top.blob(1, wobble=0.02, points=36), bun, height=0.09 * top.r, gloss=0.25)
    if scene.chance(0.75):
        for dx, dy in top.spots(random.randint(20, 50), 0.85):
            scene.fill(top.inside(dx, dy, 0.045).blob(1, 0.55, points=10), (246, 230, 190))
