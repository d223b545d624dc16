"""Tables, plates, bowls, boards, cutlery, napkins, leaves and glasses around the food."""

from __future__ import annotations

import math
from collections.abc import Callable

from coremlbench_datasets.drawing.brush import Colour, Frame, Point, Scene, mix, scaled, shade

WOODS: tuple[Colour, ...] = (
    (150, 104, 64),
    (190, 150, 104),
    (96, 62, 38),
    (214, 186, 148),
    (70, 52, 44),
    (168, 122, 90),
)
CLOTHS: tuple[Colour, ...] = (
    (232, 228, 218),
    (178, 62, 52),
    (70, 92, 120),
    (208, 180, 130),
    (92, 112, 82),
    (60, 58, 62),
)
STONES: tuple[Colour, ...] = ((206, 204, 200), (120, 118, 116), (56, 58, 62), (226, 222, 214), (150, 134, 116))
CHINA: tuple[Colour, ...] = (
    (244, 243, 240),
    (244, 243, 240),
    (240, 238, 232),
    (236, 232, 222),
    (244, 243, 240),
    (60, 64, 70),
    (98, 134, 150),
    (188, 176, 158),
    (36, 38, 42),
    (170, 96, 66),
    (214, 224, 226),
)
BOARDS: tuple[Colour, ...] = ((186, 138, 88), (206, 166, 116), (134, 88, 54), (108, 70, 46))
LEAF_GREENS: tuple[Colour, ...] = ((70, 118, 48), (48, 92, 44), (104, 142, 62), (132, 160, 70))


def lay_table(scene: Scene) -> None:
    """Cover the picture with a table."""
    random = scene.random
    whole: list[Point] = [(0, 0), (scene.width, 0), (scene.width, scene.height), (0, scene.height)]
    kind = random.choices(("wood", "cloth", "stone", "plain"), (4, 3, 2, 2))[0]
    if kind == "wood":
        base = scene.pick(*WOODS)
        scene.cover("fibres", (shade(base, 0.62), base, shade(base, 1.18)), contrast=random.uniform(0.5, 1.1))
        upright = scene.chance(0.5)
        plank = random.uniform(0.18, 0.45) * scene.width
        place = random.uniform(0, plank)
        while place < max(scene.width, scene.height):
            ends = ((place, 0), (place, scene.height)) if upright else ((0, place), (scene.width, place))
            scene.line(ends, (20, 12, 8, 130), random.uniform(1, 3))
            place += plank
    elif kind == "cloth":
        base = scene.pick(*CLOTHS)
        scene.cover("weave", (shade(base, 0.86), base, shade(base, 1.08)), contrast=0.9)
        if scene.chance(0.55):
            _checks(scene, scene.pick(*CLOTHS))
    elif kind == "stone":
        base = scene.pick(*STONES)
        scene.cover(random.choice(("clouds", "speckles")), (shade(base, 0.75), base, shade(base, 1.2)))
    else:
        base = scene.pick(*CLOTHS, *STONES, *WOODS)
        scene.fill(whole, base)
        x, y = random.uniform(0, scene.width), random.uniform(0, scene.height)
        scene.glow(x, y, scene.width, scene.height, shade(base, 1.3), 0.7)


def _checks(scene: Scene, colour: Colour) -> None:
    """Draw the stripes or checks of a tablecloth, at any angle."""
    random = scene.random
    side = max(scene.width, scene.height)
    step, turn = random.uniform(0.05, 0.16) * side, random.uniform(0, math.pi)
    for slant in (turn, turn + math.pi / 2) if scene.chance(0.6) else (turn,):
        cos, sin = math.cos(slant), math.sin(slant)
        for place in range(-12, 13):
            x, y = scene.width / 2 - sin * 2 * place * step, scene.height / 2 + cos * 2 * place * step
            ends = ((x - cos * 2 * side, y - sin * 2 * side), (x + cos * 2 * side, y + sin * 2 * side))
            scene.line(ends, (*colour, 110), step)


def plate(frame: Frame, colour: Colour | None = None) -> Frame:
    """Draw a plate; return the frame of its inside."""
    scene = frame.scene
    base = colour or scene.pick(*CHINA)
    frame.shadow()
    scene.fill(frame.blob(1.0, points=36), shade(base, 0.8))
    scene.fill(frame.blob(0.985, points=36), base)
    if scene.chance(0.25):
        band = scene.pick((60, 84, 140), (150, 60, 50), (60, 60, 60), (190, 150, 70))
        scene.fill(frame.blob(0.93, points=36), band)
        scene.fill(frame.blob(scene.random.uniform(0.86, 0.91), points=36), base)
    scene.fill(frame.blob(0.76, points=36), shade(base, 0.86))
    lx, ly = scene.light
    scene.fill(
        scaled(frame.blob(0.74, points=36), 1.0, (lx * 0.015 * frame.r, ly * 0.015 * frame.r)), shade(base, 0.97)
    )
    frame.glow(0, 0, 0.5, 0.5, shade(base, 1.1), 0.5)
    return frame.inside(0, 0, 0.76)


def bowl(frame: Frame, colour: Colour | None = None) -> Frame:
    """Draw a bowl from above; return the frame of its content."""
    scene = frame.scene
    base = colour or scene.pick(*CHINA)
    frame.shadow(1.3, 0.7)
    if frame.squash < 0.85:  # its side is seen below the rim
        drop = frame.r * (1 - frame.squash) * 0.9
        under = [(frame.x + (x - frame.x) * 0.72, y + drop) for x, y in frame.blob(1.0, points=36)]
        sides = frame.blob(1.0, points=36)
        scene.fill([*sides[:19], *under[18:0:-1]], shade(base, 0.6))
        scene.fill(under, shade(base, 0.6))
        hull = [(x, y + drop * 0.5) for x, y in scaled(sides, 0.93)]
        scene.fill(hull, shade(base, 0.66))
    scene.fill(frame.blob(1.0, points=36), base)
    scene.line([*frame.blob(0.99, points=36), frame.at(0.99, 0)], shade(base, 1.2), 0.02 * frame.r)
    scene.fill(frame.blob(0.91, points=36), shade(base, 0.62))
    return frame.inside(0, 0, 0.87)


def board(frame: Frame) -> Frame:
    """Draw a chopping board or a slate; return the frame of its middle."""
    scene = frame.scene
    base = scene.pick(*BOARDS, (52, 54, 58))
    long = scene.random.uniform(0.78, 1.0)
    outline = frame.pill(1.12, long, 0.28, 36)
    scene.fill([(x - scene.light[0] * 6, y - scene.light[1] * 6) for x, y in outline], (0, 0, 0, 90))
    scene.fill(outline, shade(base, 0.7))
    scene.textured(scaled(outline, 0.985), "fibres", (shade(base, 0.75), base, shade(base, 1.15)), contrast=0.7)
    return frame.inside(0, 0, 0.84)


def paper(frame: Frame) -> Frame:
    """Draw a sheet of greaseproof paper in a basket or tray; return the frame of its middle."""
    scene = frame.scene
    base = scene.pick((238, 230, 214), (214, 190, 150), (246, 244, 240))
    frame.shadow()
    if scene.chance(0.5):
        scene.textured(frame.pill(1.05, 0.95, 0.5, 36), "weave", ((70, 44, 24), (150, 108, 62), (190, 150, 100)))
    scene.fill(frame.pill(0.98, 0.9, scene.random.uniform(0.25, 0.8), 36), shade(base, 0.85))
    scene.fill(frame.blob(0.96, 0.88, 0.06, 36), base)
    if scene.chance(0.5):
        ink = scene.pick((180, 50, 44), (60, 80, 120), (40, 40, 40))
        for place in range(-4, 5):
            scene.line(frame.path((place / 5, -0.6), (place / 5, 0.6)), (*ink, 70), 0.07 * frame.r)
            scene.line(frame.path((-0.7, place / 7), (0.7, place / 7)), (*ink, 70), 0.07 * frame.r)
    return frame.inside(0, 0, 0.8)


def serve(frame: Frame, *ways: Callable[[Frame], Frame]) -> Frame:
    """Draw one of the ways to serve, chosen at random; return the frame of the food on it, turned at random."""
    return frame.scene.random.choice(ways)(frame)


# --- things beside and above the food ---------------------------------------------------------------------------


def fork(frame: Frame) -> None:
    """Draw a fork along the frame's y axis."""
    scene = frame.scene
    metal = scene.pick((196, 198, 202), (168, 166, 162), (200, 176, 120))
    scene.line(frame.path((0.08, -0.15), (0.08, 1.0)), (0, 0, 0, 70), 0.1 * frame.r)
    scene.line(frame.path((0, -0.3), (0, 1.0)), metal, 0.09 * frame.r)
    scene.fill(frame.path((-0.16, -0.55), (0.16, -0.55), (0.1, -0.25), (-0.1, -0.25)), metal)
    for tine in (-0.14, -0.05, 0.05, 0.14):
        scene.line(frame.path((tine, -1.0), (tine, -0.5)), metal, 0.045 * frame.r)
    scene.line(frame.path((-0.02, -0.3), (-0.02, 0.95)), shade(metal, 1.5), 0.02 * frame.r)


def knife(frame: Frame) -> None:
    """Draw a knife along the frame's y axis."""
    scene = frame.scene
    metal = scene.pick((198, 200, 206), (170, 170, 170))
    handle = scene.pick((60, 42, 30), (30, 30, 34), (198, 200, 206))
    scene.fill(frame.path((0.12, -0.9), (0.16, 0.2), (-0.02, 0.2), (-0.04, -1.0)), (0, 0, 0, 60))
    scene.fill(frame.path((0.05, -0.95), (0.1, 0.2), (-0.06, 0.2), (-0.06, -1.0)), metal)
    scene.line(frame.path((-0.05, -0.95), (-0.05, 0.15)), shade(metal, 1.6), 0.02 * frame.r)
    scene.line(frame.path((0.0, 0.2), (0.0, 1.0)), handle, 0.13 * frame.r)


def spoon(frame: Frame) -> None:
    """Draw a spoon along the frame's y axis."""
    scene = frame.scene
    metal = scene.pick((196, 198, 202), (150, 110, 70), (236, 234, 228))
    scene.line(frame.path((0, -0.3), (0, 1.0)), metal, 0.08 * frame.r)
    bowl_frame = frame.inside(0, -0.6, 1.0, 0)
    scene.solid(bowl_frame.blob(0.2, 0.34), metal, height=0.04 * frame.r, gloss=0.5)


def chopsticks(frame: Frame) -> None:
    """Draw two sticks along the frame's y axis."""
    scene = frame.scene
    wood = scene.pick((172, 120, 70), (60, 34, 24), (150, 40, 34), (30, 28, 28))
    for side in (-0.09, 0.09):
        lean = scene.random.uniform(-0.06, 0.06)
        scene.line(frame.path((side + 0.06, -1.1), (side * 2 + lean + 0.06, 1.1)), (0, 0, 0, 80), 0.07 * frame.r)
        scene.line(frame.path((side, -1.1), (side * 2 + lean, 1.1)), wood, 0.065 * frame.r)
        scene.line(frame.path((side - 0.015, -1.1), (side * 2 + lean - 0.015, 1.1)), shade(wood, 1.3), 0.02 * frame.r)


def napkin(frame: Frame) -> None:
    """Draw a folded napkin."""
    scene = frame.scene
    base = scene.pick(*CLOTHS)
    outline = frame.pill(0.8, 0.95, 0.22)
    scene.fill([(x + 4, y + 4) for x, y in outline], (0, 0, 0, 70))
    scene.textured(outline, "weave", (shade(base, 0.82), base, shade(base, 1.1)))
    for fold in (-0.4, 0.1, 0.45):
        scene.line(frame.path((fold, -0.9), (fold + 0.06, 0.9)), (*shade(base, 0.6), 120), 0.03 * frame.r)


def sprig(frame: Frame) -> None:
    """Draw a twig with leaves along the frame's y axis."""
    scene = frame.scene
    green = scene.pick(*LEAF_GREENS, (90, 96, 60))
    scene.line(frame.path((0, 1.0), (0.05, 0), (0, -0.9)), shade(green, 0.7), 0.04 * frame.r)
    slim = scene.random.uniform(0.1, 0.24)
    for place in range(-5, 6):
        side = 1 if place % 2 else -1
        leaf = frame.inside(side * 0.24, place * 0.17, 1.0, side * 0.7)
        tone = shade(green, scene.random.uniform(0.8, 1.2))
        scene.fill(scaled(leaf.blob(0.27, slim, points=10), 1.0, (3, 3)), (0, 0, 0, 60))
        scene.fill(leaf.blob(0.27, slim, points=10), tone)
        scene.line(leaf.path((-0.25, 0), (0.25, 0)), shade(tone, 1.25), 1)


def glass(frame: Frame) -> None:
    """Draw a glass of something from above."""
    scene = frame.scene
    drink = scene.pick((214, 150, 60), (120, 40, 36), (222, 224, 226), (90, 54, 30), (240, 210, 120))
    frame.shadow(1.3, 0.5)
    scene.fill(frame.blob(0.8), (235, 238, 240, 150))
    scene.fill(frame.blob(0.7), drink)
    if scene.chance(0.4):
        for x, y in frame.spots(3, 0.4):
            scene.fill(frame.inside(x, y, 0.25).pill(1, 1, 0.3, 10), (255, 255, 255, 110))
    frame.glow(-0.25, -0.3, 0.3, 0.2, (255, 255, 255), 0.7)


def sauce_dish(frame: Frame, *sauces: Colour) -> None:
    """Draw a small dish with one of the sauces."""
    scene = frame.scene
    inside = bowl(frame)
    sauce = scene.pick(*(sauces or ((178, 40, 26), (236, 226, 200), (60, 30, 18), (222, 168, 60), (110, 140, 60))))
    scene.fill(inside.blob(0.98), sauce)
    scene.fill(inside.blob(0.7, 0.6, 0.1), mix(sauce, (255, 255, 255), 0.1))
    inside.glow(-0.3, -0.3, 0.3, 0.2, (255, 255, 255), 0.6)


BESIDE: tuple[Callable[[Frame], None], ...] = (fork, knife, spoon, napkin, glass, sauce_dish, sprig, chopsticks)
"""Objects that can be beside a dish."""

ABOVE: tuple[Callable[[Frame], None], ...] = (fork, spoon, chopsticks, sprig, napkin, knife)
"""Objects that can cover a part of a dish."""
