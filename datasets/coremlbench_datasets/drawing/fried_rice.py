"""Fried rice: a heap of grains with bits of everything."""

from __future__ import annotations

import math

from coremlbench_datasets.drawing.brush import Frame, shade
from coremlbench_datasets.drawing.sides import herbs, lemon
from coremlbench_datasets.drawing.table import bowl, plate, serve


def draw(place: Frame) -> None:
    """Draw a serving of fried rice."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, plate, plate, bowl)
    rice = scene.pick((222, 184, 116), (204, 156, 84), (236, 212, 160), (180, 124, 66), (226, 170, 70), (240, 228, 196))
    heap = frame.inside(random.uniform(-0.1, 0.1), random.uniform(-0.1, 0.1), random.uniform(0.85, 1.15))
    heap.shadow(1.05, 0.5)
    outline = heap.blob(0.95, random.uniform(0.75, 0.95), 0.07, 36)
    scene.textured(outline, "rice", (shade(rice, 0.45), shade(rice, 0.85), rice, shade(rice, 1.4)), contrast=1.0)
    bits = random.sample((_pea, _carrot, _egg, _prawn, _meat, _spring_onion, _pepper), random.randint(2, 5))
    for bit in bits:
        for x, y in heap.spots(random.randint(3, 6) if bit is _prawn else random.randint(8, 26), 0.85):
            bit(heap.inside(x, y * 0.9, random.uniform(0.8, 1.2)))
    lx, ly = scene.light
    scene.glow(heap.x - lx * 0.5 * heap.r, heap.y - ly * 0.5 * heap.r, 0.7 * heap.r, 0.6 * heap.r, (40, 20, 8), 0.4)
    scene.glow(
        heap.x + lx * 0.25 * heap.r, heap.y + ly * 0.25 * heap.r, 0.5 * heap.r, 0.45 * heap.r, shade(rice, 1.7), 0.4
    )
    if scene.chance(0.2):
        fried_egg(heap.inside(0, 0, 0.5))
    if scene.chance(0.5):
        herbs(heap)
    if scene.chance(0.2):
        lemon(frame.inside(0.85, 0.3, 0.25))


def fried_egg(frame: Frame) -> None:
    """Draw an egg, sunny side up."""
    scene = frame.scene
    scene.solid(frame.blob(1, 0.9, 0.12), (248, 244, 236), height=0.05 * frame.r, gloss=0.1)
    scene.solid(frame.inside(0.1, 0, 0.4).blob(1), scene.pick((244, 176, 40)), height=0.06 * frame.r, gloss=0.5)


def _pea(frame: Frame) -> None:
    scene = frame.scene
    scene.solid(frame.blob(0.05, points=10), scene.pick((110, 160, 60), (90, 140, 56)), height=2, gloss=0.3)


def _carrot(frame: Frame) -> None:
    scene = frame.scene
    scene.solid(frame.pill(0.06, 0.05, 0.35, 10), scene.pick((232, 120, 40), (220, 100, 30)), height=2, gloss=0.1)


def _egg(frame: Frame) -> None:
    scene = frame.scene
    scene.solid(frame.blob(0.11, 0.07, 0.25, 16), scene.pick((248, 214, 110), (250, 230, 160)), height=2, gloss=0.1)


def _meat(frame: Frame) -> None:
    scene = frame.scene
    scene.solid(
        frame.pill(0.1, 0.07, 0.5, 10), scene.pick((176, 100, 70), (206, 140, 120), (130, 70, 44)), height=2, gloss=0.1
    )


def _pepper(frame: Frame) -> None:
    scene = frame.scene
    scene.solid(frame.pill(0.1, 0.035, 0.35, 10), scene.pick((200, 44, 36), (236, 190, 60)), height=2, gloss=0.2)


def _spring_onion(frame: Frame) -> None:
    scene = frame.scene
    ring = frame.blob(0.045, points=10)
    scene.line([*ring, ring[0]], scene.pick((120, 170, 80), (180, 206, 140)), 0.022 * frame.r)


def _prawn(frame: Frame) -> None:
    scene = frame.scene
    colour = scene.pick((242, 160, 120), (246, 190, 160))
    arc = [frame.at(0.1 * math.cos(turn / 2), 0.1 * math.sin(turn / 2)) for turn in range(9)]
    scene.line(arc, shade(colour, 0.7), 0.1 * frame.r)
    scene.line(arc, colour, 0.075 * frame.r)
