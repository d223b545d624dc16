"""Ramen: broth, noodles, and what lies on them."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Frame, shade
from coremlbench_datasets.drawing.sides import herbs
from coremlbench_datasets.drawing.table import bowl


def draw(place: Frame) -> None:
    """Draw a bowl of ramen."""
    scene, random = place.scene, place.scene.random
    frame = bowl(place)
    broth = scene.pick((176, 112, 52), (206, 158, 90), (150, 78, 34), (226, 196, 142), (196, 90, 40), (110, 62, 34))
    scene.textured(frame.blob(1.0, points=36), "clouds", (shade(broth, 0.75), broth, shade(broth, 1.15)), contrast=0.5)
    noodle = scene.pick((236, 206, 130), (242, 222, 166), (222, 186, 104))
    colours = (shade(broth, 0.6), shade(noodle, 0.8), noodle, shade(noodle, 1.35))
    nest = frame.inside(random.uniform(-0.15, 0.15), random.uniform(-0.15, 0.15), random.uniform(0.7, 0.95))
    scene.textured(nest.blob(1.0, 0.9, 0.1, 36), "noodles", colours, contrast=1.1)
    for x, y in frame.spots(random.randint(6, 16), 0.95, 0.4):  # drops of fat
        drop = frame.inside(x, y, random.uniform(0.02, 0.06))
        scene.line([*drop.blob(1, points=10), drop.at(1, 0)], (*shade(broth, 1.5), 150), 1)
    toppings = random.sample((_egg, _pork, _nori, _naruto, _greens, _corn, _bamboo, _prawn), random.randint(2, 5))
    start = random.uniform(0, 6.3)
    for number, topping in enumerate(toppings):
        turn = start + 2 * math.pi * number / len(toppings)
        far = random.uniform(0.35, 0.58)
        topping(frame.inside(far * math.cos(turn), far * math.sin(turn), random.uniform(0.3, 0.38), turn))
    if scene.chance(0.75):
        herbs(frame, random.randint(12, 40), (110, 160, 70), (160, 190, 110))
    if scene.chance(0.3):
        for _ in range(4):
            frame.glow(random.uniform(-0.6, 0.6), random.uniform(-0.6, 0.6), 0.4, 0.4, (235, 235, 235), 0.25)


def _egg(frame: Frame) -> None:
    scene = frame.scene
    for x in (-0.45, 0.45) if scene.chance(0.5) else (0.0,):
        half = frame.inside(x, 0, 0.75)
        scene.solid(
            half.blob(0.72, 0.95), scene.pick((244, 232, 206), (226, 196, 150)), height=0.12 * half.r, gloss=0.1
        )
        yolk = scene.pick((240, 150, 30), (250, 190, 60))
        scene.fill(half.blob(0.42, 0.5), yolk)
        half.glow(-0.1, -0.1, 0.25, 0.25, shade(yolk, 1.6), 0.7)


def _pork(frame: Frame) -> None:
    scene = frame.scene
    for place in range(scene.random.randint(1, 3)):
        one = frame.inside(0.3 * place, 0.2 * place, 1.0)
        meat = scene.pick((176, 116, 84), (150, 92, 64), (200, 146, 112))
        scene.solid(one.blob(0.95, 0.8, 0.06), meat, height=0.08 * frame.r, gloss=0)
        scene.textured(one.blob(0.85, 0.7, 0.06), "fibres", (shade(meat, 0.75), meat, shade(meat, 1.35)))
        scene.line([*one.blob(0.5, 0.4, 0.1)[:18]], (*shade(meat, 1.6), 200), 0.12 * frame.r)


def _nori(frame: Frame) -> None:
    scene = frame.scene
    sheet = frame.inside(0.35, 0, 1.0, 0)
    outline = sheet.path((-0.5, -0.6), (0.9, -0.7), (0.9, 0.7), (-0.5, 0.6))
    scene.textured(outline, "speckles", ((14, 20, 16), (30, 42, 32), (54, 66, 50)))


def _naruto(frame: Frame) -> None:
    scene = frame.scene
    one = frame.inside(0, 0, 0.55)
    scene.solid(one.blob(1, wobble=0.05), (246, 242, 238), height=0.12 * one.r, gloss=0)
    swirl = [
        one.at(0.08 * turn * math.cos(turn), 0.08 * turn * math.sin(turn))
        for turn in [0.25 * step for step in range(32)]
    ]
    scene.line(swirl, (230, 110, 140), 0.14 * one.r)


def _greens(frame: Frame) -> None:
    scene = frame.scene
    green = scene.pick((70, 120, 50), (50, 96, 44))
    scene.textured(frame.blob(0.9, 0.7, 0.2), "leaves", (shade(green, 0.4), green, shade(green, 1.4)))


def _corn(frame: Frame) -> None:
    scene = frame.scene
    for x, y in frame.spots(18, 0.7):
        kernel = frame.inside(x, y, 0.12)
        scene.solid(kernel.pill(1, 0.8, 0.6, 10), scene.pick((246, 206, 70)), height=2, gloss=0.3)


def _bamboo(frame: Frame) -> None:
    scene = frame.scene
    for stick in range(4):
        one = frame.inside(0, (stick - 1.5) * 0.3, 0.9, scene.random.uniform(-0.2, 0.2))
        scene.solid(one.pill(0.9, 0.14, 0.4), scene.pick((206, 160, 90)), height=3, gloss=0.1)


def _prawn(frame: Frame) -> None:
    scene = frame.scene
    colour = scene.pick((240, 150, 110), (244, 180, 150))
    arc = [frame.at(0.6 * math.cos(turn / 4), 0.6 * math.sin(turn / 4)) for turn in range(17)]
    scene.line(arc, shade(colour, 0.75), 0.42 * frame.r)
    scene.line(arc, colour, 0.32 * frame.r)
    for turn in range(0, 17, 3):
        scene.line(
            frame.path(
                (0.45 * math.cos(turn / 4), 0.45 * math.sin(turn / 4)),
                (0.75 * math.cos(turn / 4), 0.75 * math.sin(turn / 4)),
            ),
            (*shade(colour, 1.6), 200),
            2,
        )
