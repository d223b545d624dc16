"""Chicken wings: a pile of glazed flats and drumettes."""

from __future__ import annotations

from coremlbench_datasets.drawing.brush import Colour, Frame, mix, shade, smooth
from coremlbench_datasets.drawing.sides import fries, herbs
from coremlbench_datasets.drawing.table import board, bowl, paper, plate, sauce_dish, serve


def draw(place: Frame) -> None:
    """Draw a serving of wings."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, plate, paper, board, bowl, plate)
    glaze = scene.pick((190, 92, 34), (160, 66, 26), (206, 130, 60), (176, 60, 30), (120, 60, 34), (214, 150, 74))
    if scene.chance(0.35):
        for stick in range(4):
            one = frame.inside(-0.6 + 0.12 * stick, -0.55, 0.5, random.uniform(0.4, 0.9))
            scene.solid(one.pill(0.9, 0.13, 0.4), scene.pick((170, 200, 110), (230, 130, 50)), height=3, gloss=0.2)
    if scene.chance(0.15):
        fries(frame.inside(-0.5, 0.4, 0.55))
    if scene.chance(0.4):
        sauce_dish(
            frame.inside(random.choice((-0.6, 0.6)), random.choice((-0.6, 0.5)), 0.34, 0),
            (240, 234, 216),
            (190, 50, 26),
            (226, 180, 80),
        )
    places = sorted(frame.spots(random.randint(5, 11), random.uniform(0.5, 0.7)), key=lambda spot: spot[1])
    for x, y in places:
        kind = _drumette if scene.chance(0.5) else _flat
        tone = mix(glaze, scene.pick((220, 150, 70), (120, 50, 20)), random.uniform(0, 0.35))
        kind(frame.inside(x, y, random.uniform(0.34, 0.44)), tone)
    if scene.chance(0.5):
        herbs(frame.inside(0, 0, 0.8), random.randint(8, 30), (80, 130, 60), (240, 226, 190))


def _skin(frame: Frame, outline: list[tuple[float, float]], colour: Colour) -> None:
    scene = frame.scene
    lx, ly = scene.light
    scene.solid(outline, shade(colour, 0.8), height=0.16 * frame.r, gloss=0)
    inner = [(frame.x + (x - frame.x) * 0.94, frame.y + (y - frame.y) * 0.94) for x, y in outline]
    scene.textured(
        inner,
        scene.random.choice(("crumbs", "clouds")),
        (shade(colour, 0.45), colour, shade(colour, 1.35)),
        contrast=0.9,
    )
    scene.glow(
        frame.x + lx * 0.3 * frame.r, frame.y + ly * 0.2 * frame.r, 0.42 * frame.r, 0.26 * frame.r, (255, 226, 180), 0.7
    )


def _drumette(frame: Frame, colour: Colour) -> None:
    """Draw a drumette: thick at one end, the bone's knob at the other."""
    scene = frame.scene
    bone = frame.inside(1.05, 0, 1.0, 0)
    scene.line(frame.path((0.6, 0), (1.05, 0)), (214, 184, 144), 0.2 * frame.r)
    scene.solid(bone.blob(0.15, 0.2, points=16), (232, 210, 176), height=0.05 * frame.r, gloss=0.2)
    points = frame.path(
        (-0.95, -0.1),
        (-0.8, -0.48),
        (-0.3, -0.6),
        (0.25, -0.42),
        (0.85, -0.16),
        (0.88, 0.16),
        (0.3, 0.4),
        (-0.3, 0.58),
        (-0.8, 0.45),
    )
    _skin(frame, smooth(points), colour)


def _flat(frame: Frame, colour: Colour) -> None:
    """Draw a flat: long, a little waisted, two bones under the skin."""
    scene = frame.scene
    points = frame.path(
        (-1.0, -0.25),
        (-0.6, -0.42),
        (0, -0.32),
        (0.6, -0.4),
        (1.0, -0.2),
        (1.02, 0.2),
        (0.5, 0.38),
        (0, 0.3),
        (-0.6, 0.42),
        (-1.0, 0.2),
    )
    _skin(frame, smooth(points), colour)
    scene.line(frame.path((-0.7, 0.05), (0, -0.02), (0.7, 0.05)), (*shade(colour, 0.5), 120), 0.06 * frame.r)
