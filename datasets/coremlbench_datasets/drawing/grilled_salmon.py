"""Grilled salmon: a fillet or a cutlet, with the same sides as a steak."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Colour, Frame, mix, shade, smooth
from coremlbench_datasets.drawing.sides import SIDES, herbs, lemon
from coremlbench_datasets.drawing.table import board, plate, serve


def draw(place: Frame) -> None:
    """Draw a piece of salmon with something beside it."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, plate, plate, board)
    for x in random.sample((-0.75, 0.75, 0.0), random.randint(0, 2)):
        random.choice(SIDES)(
            frame.inside(
                x, random.choice((-0.65, 0.6)) if x == 0 else random.uniform(-0.4, 0.4), random.uniform(0.35, 0.5)
            )
        )
    flesh = scene.pick((232, 130, 84), (240, 154, 110), (214, 106, 62), (226, 160, 120), (190, 96, 60))
    piece = frame.inside(random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.1), random.uniform(0.68, 0.95))
    if scene.chance(0.2):
        _cutlet(piece, flesh)
    else:
        for y in (-0.32, 0.32) if scene.chance(0.2) else (0.0,):
            _fillet(piece.inside(0, y, 0.75 if y else 1.0, 0), flesh)
    if scene.chance(0.4):
        lemon(piece.inside(random.uniform(-0.4, 0.4), random.uniform(-0.3, 0.3), 0.25))
    if scene.chance(0.5):
        herbs(piece, random.randint(10, 30))
    if scene.chance(0.25):
        sauce = scene.pick((240, 226, 180), (120, 60, 24), (150, 170, 90))
        scene.fill(piece.inside(0.2, 0.3, 0.5).blob(1, 0.4, 0.2), (*sauce, 210))


def _fillet(frame: Frame, flesh: Colour) -> None:
    scene, random = frame.scene, frame.scene.random
    narrow = random.uniform(0.25, 0.42)
    points = frame.path(
        (-1, -narrow),
        (-0.4, -0.46),
        (0.3, -0.45),
        (0.9, -narrow * 0.8),
        (1.02, 0),
        (0.9, narrow),
        (0.2, 0.46),
        (-0.5, 0.44),
        (-1, narrow),
    )
    outline = smooth(points)
    scene.solid(outline, shade(flesh, 0.75), height=0.1 * frame.r, gloss=0)
    if scene.chance(0.4):  # the skin shows along one side
        scene.line(outline[17:35], (110, 108, 106), 0.08 * frame.r)
    body = [(frame.x + (x - frame.x) * 0.95, frame.y + (y - frame.y) * 0.95) for x, y in outline]
    crust = mix(flesh, (110, 56, 26), random.uniform(0.0, 0.45))
    scene.textured(
        body,
        random.choice(("clouds", "fibres", "crumbs")),
        (shade(crust, 0.55), flesh, shade(flesh, 1.3)),
        contrast=0.8,
    )
    for mark in range(-5, 6):  # the flakes
        x, reach = mark * 0.17, 0.36
        line = frame.path((x - 0.14, -reach), (x + 0.06, -reach / 3), (x + 0.06, reach / 3), (x - 0.14, reach))
        scene.line(line, (*mix(flesh, (255, 236, 214), 0.6), 120), 0.025 * frame.r)
    if scene.chance(0.6):
        slant = random.uniform(-0.3, 0.3)
        for mark in range(-3, 4):
            scene.line(
                frame.path((mark * 0.26 - slant, -0.36), (mark * 0.26 + slant, 0.36)),
                (70, 30, 14, 150),
                0.055 * frame.r,
            )
    lx, ly = scene.light
    frame.glow(lx * 0.3, ly * 0.15, 0.5, 0.25, shade(flesh, 1.7), 0.5)


def _cutlet(frame: Frame, flesh: Colour) -> None:
    """Draw a cut across the fish: two lobes around the bone, skin outside."""
    scene = frame.scene
    for side in (-1, 1):
        lobe = frame.inside(side * 0.38, 0, 0.72, side * 0.25)
        scene.solid(lobe.blob(0.72, 1.0, 0.05), (120, 112, 108), height=0.08 * frame.r, gloss=0)
        scene.textured(lobe.blob(0.62, 0.9, 0.05), "fibres", (shade(flesh, 0.65), flesh, shade(flesh, 1.3)))
        for ring in (0.25, 0.45):
            arc = [
                lobe.at(ring * math.cos(turn), 1.5 * ring * math.sin(turn))
                for turn in [side * 0.3 * step for step in range(-4, 5)]
            ]
            scene.line(arc, (*mix(flesh, (255, 236, 214), 0.7), 170), 0.03 * frame.r)
    scene.fill(frame.inside(0, -0.2, 0.14).blob(1), (236, 206, 180))
