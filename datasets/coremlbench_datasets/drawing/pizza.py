"""Pizza: whole, with a slice gone, or one slice."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Frame, shade
from coremlbench_datasets.drawing.sides import herbs
from coremlbench_datasets.drawing.table import board, paper, plate, serve


def draw(place: Frame) -> None:
    """Draw a pizza."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, plate, board, board, paper)
    slices = random.choice((6, 8))
    if scene.chance(0.22):  # one slice, its tip anywhere
        start, end = 0.0, random.uniform(0.6, 1.0)
        turn = random.uniform(0, 2 * math.pi)
        frame = frame.inside(-0.75 * math.cos(turn + end / 2), -0.75 * math.sin(turn + end / 2), 1.75, turn)
    else:
        gone = random.choice((0, 0, 0, 1, 1, 2)) * 2 * math.pi / slices
        start, end = gone, 2 * math.pi
        frame = frame.inside(0, 0, random.uniform(1.05, 1.3))
    _base(frame, start, end)
    _toppings(frame, start, end)
    if scene.chance(0.7):
        for cut in range(slices // 2):
            turn = cut * 2 * math.pi / slices
            x, y = math.cos(turn), math.sin(turn)
            if start == 0 and end > 6:
                scene.line(frame.path((-x * 0.97, -y * 0.97), (x * 0.97, y * 0.97)), (70, 30, 10, 130), 0.02 * frame.r)


def _base(frame: Frame, start: float, end: float) -> None:
    """Draw crust, sauce and cheese."""
    scene, random = frame.scene, frame.scene.random
    crust = scene.pick((206, 152, 86), (186, 126, 66), (222, 180, 116))
    sauce = scene.pick((182, 52, 26), (200, 80, 36), (150, 40, 24))
    cheese = scene.pick((240, 206, 120), (246, 226, 168), (232, 176, 84), (238, 214, 150))
    frame.shadow(1.1, 0.4)
    scene.textured(frame.sector(1.0, start, end, 0.015), "crumbs", (shade(crust, 0.45), crust, shade(crust, 1.3)))
    inset = random.uniform(0.8, 0.9)
    scene.textured(frame.sector(inset, start, end, 0.02), "clouds", (shade(sauce, 0.6), sauce, shade(sauce, 1.2)))
    scene.textured(
        frame.sector(inset - 0.035, start, end, 0.04),
        "clouds",
        (sauce, shade(cheese, 0.85), cheese, shade(cheese, 1.35)),
        contrast=random.uniform(1.1, 1.8),
    )
    for x, y in _inside(frame, 9, start, end):
        frame.glow(
            x, y, random.uniform(0.08, 0.2), random.uniform(0.08, 0.2), scene.pick((150, 80, 30), (255, 244, 200)), 0.6
        )


def _inside(frame: Frame, count: int, start: float, end: float) -> list[tuple[float, float]]:
    """Return places on the cheese, away from the edge and the slice that is gone."""
    places = []
    for _ in range(count):
        turn = frame.scene.random.uniform(start + 0.1, end - 0.1)
        far = math.sqrt(frame.scene.random.uniform(0.03, 0.5))
        places.append((far * math.cos(turn), far * math.sin(turn)))
    return places


def _toppings(frame: Frame, start: float, end: float) -> None:
    scene, random = frame.scene, frame.scene.random
    share = (end - start) / 6.28
    for kind in random.sample(
        ("salami", "mushroom", "olive", "pepper", "basil", "mozzarella", "ham"), random.randint(1, 3)
    ):
        count = max(2, round(random.randint(7, 16) * share))
        meat = scene.pick((166, 50, 34), (186, 78, 54), (140, 42, 30))
        for x, y in _inside(frame, count, start, end):
            if kind == "salami":
                one = frame.inside(x, y, random.uniform(0.11, 0.15))
                scene.solid(one.blob(1, wobble=0.04), meat, height=0.1 * one.r, gloss=0)
                for dx, dy in one.spots(4, 0.7):
                    scene.fill(one.inside(dx, dy, 0.13).blob(1, points=10), (*shade(meat, 1.35), 170))
            elif kind == "mushroom":
                one = frame.inside(x, y, 0.11)
                scene.solid(one.blob(1, 0.55), scene.pick((206, 186, 156)), height=0.15 * one.r, gloss=0)
                scene.fill(one.path((-0.25, 0.2), (0.25, 0.2), (0.2, 1.0), (-0.2, 1.0)), (190, 168, 136))
            elif kind == "olive":
                one = frame.inside(x, y, 0.06)
                scene.fill(one.blob(1, points=16), (44, 38, 40))
                scene.fill(one.blob(0.45, points=10), (200, 150, 80))
            elif kind == "pepper":
                one = frame.inside(x, y, 0.14)
                colour = scene.pick((70, 130, 50), (196, 50, 40), (230, 190, 60))
                scene.line(one.path((-1, 0.3), (-0.5, -0.2), (0.4, -0.3), (1, 0.2)), colour, 0.35 * one.r)
            elif kind == "mozzarella":
                one = frame.inside(x, y, random.uniform(0.12, 0.2))
                scene.solid(one.blob(1, 0.85, 0.1), (248, 240, 222), height=0.06 * one.r, gloss=0.2)
            else:
                one = frame.inside(x, y, 0.13)
                colour = scene.pick((58, 110, 44)) if kind == "basil" else scene.pick((216, 138, 124))
                scene.solid(one.blob(1, 0.55, 0.08, 16), colour, height=0.12 * one.r, gloss=0.15)
    if scene.chance(0.4) and end - start > 4:
        herbs(frame.inside(0, 0, 0.8), 20)
