"""Steak: whole with its grill marks, or sliced."""

from __future__ import annotations

from coremlbench_datasets.drawing.brush import Colour, Frame, shade
from coremlbench_datasets.drawing.sides import SIDES, herbs
from coremlbench_datasets.drawing.table import board, plate, serve, sprig


def draw(place: Frame) -> None:
    """Draw a steak with something beside it."""
    scene, random = place.scene, place.scene.random
    frame = serve(place, plate, plate, board)
    for x in random.sample((-0.75, 0.75, 0.0), random.randint(0, 2)):
        random.choice(SIDES)(
            frame.inside(
                x, random.choice((-0.65, 0.6)) if x == 0 else random.uniform(-0.4, 0.4), random.uniform(0.35, 0.5)
            )
        )
    meat = scene.pick((104, 60, 40), (84, 48, 34), (128, 78, 50), (70, 44, 36), (150, 92, 60))
    slab = frame.inside(random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.1), random.uniform(0.66, 0.95))
    if scene.chance(0.4):
        _sliced(slab, meat)
    else:
        _whole(slab, meat)
    if scene.chance(0.25):
        butter = slab.inside(0, 0, 0.2)
        scene.solid(butter.pill(1, 0.8, 0.4), (248, 226, 140), height=0.15 * butter.r, gloss=0.3)
    if scene.chance(0.3):
        sprig(slab.inside(0.1, -0.1, 0.5))
    elif scene.chance(0.4):
        herbs(slab, 20)
    if scene.chance(0.3):
        sauce = scene.pick((70, 34, 20), (190, 150, 90), (96, 130, 60))
        scene.fill(slab.inside(0.3, 0.4, 0.5).blob(1, 0.6, 0.2), (*sauce, 210))


def _whole(frame: Frame, meat: Colour) -> None:
    scene, random = frame.scene, frame.scene.random
    outline = frame.blob(1.0, random.uniform(0.6, 0.8), random.uniform(0.08, 0.16), 36)
    scene.solid(outline, shade(meat, 0.7), height=0.1 * frame.r, gloss=0)
    if scene.chance(0.5):  # the rim of fat
        fat = scene.pick((224, 196, 150), (206, 170, 120))
        scene.line(outline[4:18], fat, 0.09 * frame.r)
    body = [(frame.x + (x - frame.x) * 0.95, frame.y + (y - frame.y) * 0.95) for x, y in outline]
    scene.textured(
        body, random.choice(("crumbs", "clouds", "fibres")), (shade(meat, 0.45), meat, shade(meat, 1.25)), contrast=0.9
    )
    if scene.chance(0.7):
        lines = frame.inside(0, 0, 1.0)
        for mark in range(-3, 4):
            y = mark * 0.24
            half = 0.62 * (1 - (abs(y) / 1.05) ** 2) ** 0.5
            scene.line(lines.path((-half, y), (half, y)), (26, 12, 8, 190), 0.06 * frame.r)
            if random.random() < 0.4:
                scene.line(lines.path((y, -half * 0.9), (y, half * 0.9)), (26, 12, 8, 120), 0.05 * frame.r)
    lx, ly = scene.light
    frame.glow(lx * 0.2, ly * 0.2, 0.5, 0.35, shade(meat, 1.6), 0.5)


def _sliced(frame: Frame, meat: Colour) -> None:
    """Draw slices that lean on each other, pink within."""
    scene, random = frame.scene, frame.scene.random
    pink = scene.pick((196, 84, 78), (170, 60, 60), (206, 120, 104), (150, 90, 70))
    count = random.randint(5, 9)
    for number in range(count):
        x = (number - (count - 1) / 2) * 1.7 / count
        one = frame.inside(x, random.uniform(-0.05, 0.05), 1.0, random.uniform(-0.08, 0.12))
        tall = 0.62 * (1 - (abs(x) / 1.3) ** 2) ** 0.5
        scene.solid(one.pill(0.95 / count, tall, 0.6), meat, height=0.05 * frame.r, gloss=0)
        inner = one.pill(0.68 / count, tall * 0.86, 0.6)
        scene.textured(inner, "fibres", (shade(pink, 0.7), pink, shade(pink, 1.3)), contrast=0.8)
        one.glow(0, 0, 0.5 / count, tall * 0.7, shade(pink, 1.2), 0.5)
