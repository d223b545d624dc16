"""Chicken curry: pieces in a glossy sauce, alone or beside rice."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Colour, Frame, mix, shade
from coremlbench_datasets.drawing.sides import herbs, rice, vegetables
from coremlbench_datasets.drawing.table import bowl, plate, serve


def draw(place: Frame) -> None:
    """Draw a serving of curry."""
    scene, random = place.scene, place.scene.random
    sauce = scene.pick(
        (206, 130, 36), (180, 84, 30), (150, 66, 28), (222, 164, 60), (120, 64, 32), (196, 60, 30), (140, 130, 60)
    )
    if scene.chance(0.45):
        frame = serve(place, plate, plate, bowl)
        turn = random.uniform(0, 2 * math.pi)
        x, y = 0.42 * math.cos(turn), 0.42 * math.sin(turn)
        if scene.chance(0.5):
            rice(frame.inside(-x, -y, 0.65), (240, 234, 220), (232, 200, 110))
            _stew(frame.inside(x, y, 0.72), sauce)
        else:
            _stew(frame.inside(x, y, 0.78), sauce)
            rice(frame.inside(-x, -y, 0.65), (240, 234, 220), (232, 200, 110))
    else:
        frame = bowl(place)
        _stew(frame.inside(0, 0, 1.0), sauce, full=True)


def _stew(frame: Frame, sauce: Colour, *, full: bool = False) -> None:
    scene, random = frame.scene, frame.scene.random
    outline = frame.blob(1.0, points=36) if full else frame.blob(0.95, 0.85, 0.08, 36)
    scene.textured(outline, "clouds", (shade(sauce, 0.6), sauce, shade(sauce, 1.25)), contrast=random.uniform(0.7, 1.2))
    for x, y in frame.spots(random.randint(6, 14), 0.72):
        piece = frame.inside(x, y, random.uniform(0.16, 0.3))
        meat = mix(sauce, scene.pick((226, 176, 116), (190, 120, 70), (240, 206, 150)), random.uniform(0.25, 0.75))
        body = piece.blob(1, random.uniform(0.6, 0.85), 0.14)
        scene.solid(body, shade(meat, 0.85), height=0.14 * piece.r, gloss=0)
        inner = piece.blob(0.85, 0.6, 0.14)
        scene.textured(
            inner, random.choice(("fibres", "clouds")), (shade(meat, 0.65), meat, shade(meat, 1.25)), contrast=0.9
        )
        scene.fill(piece.inside(0.3, 0.3, 0.7).blob(1, 0.5, 0.2, 16), (*sauce, 150))
        piece.glow(-0.2, -0.3, 0.4, 0.25, (255, 240, 210), 0.5)
    if scene.chance(0.3):
        vegetables(frame.inside(0, 0, 0.8))
    for x, y in frame.spots(random.randint(3, 8), 0.8):  # oil and wet light
        frame.glow(x, y, random.uniform(0.05, 0.16), random.uniform(0.04, 0.1), (255, 236, 190), 0.6)
    if scene.chance(0.35):
        swirl = [
            frame.at(0.09 * turn * math.cos(turn), 0.09 * turn * math.sin(turn))
            for turn in [0.2 * step for step in range(34)]
        ]
        scene.line(swirl, (250, 240, 220, 190), 0.06 * frame.r)
    if scene.chance(0.7):
        herbs(frame, random.randint(6, 26))
