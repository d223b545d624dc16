"""drawn-food: the same pictures each time, whatever happened in between."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from coremlbench.types.data import ImageSet
from coremlbench.types.errors import InputError
from coremlbench_datasets import DatasetRequest, find
from coremlbench_datasets.drawing.picture import DISHES, draw_picture
from coremlbench_datasets.drawn_food import VERSION
from coremlbench_datasets.images import decode
from coremlbench_datasets.selection import evenly_spaced


class Reports:
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def __call__(self, phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        self.done.append(done)


def prepare(cache: Path, train: int, test: int, seed: int = 0) -> tuple[ImageSet, list[int]]:
    reports = Reports()
    return find("drawn-food").prepare(DatasetRequest(cache, train, test, seed), reports), reports.done


def content(images: ImageSet) -> dict[str, str]:
    return {
        "/".join(one.path.parts[-3:]): hashlib.sha256(one.path.read_bytes()).hexdigest()
        for one in (*images.train, *images.test)
    }


@pytest.mark.long
def test_pictures_depend_on_the_seed_alone_and_small_sets_are_parts_of_large_ones(tmp_path: Path) -> None:
    small, drawn = prepare(tmp_path / "a", 12, 5)
    assert drawn == list(range(18))
    large, drawn = prepare(tmp_path / "a", 15, 8)
    assert drawn == list(range(17, 24))  # seventeen are there already
    once_more, drawn = prepare(tmp_path / "b", 15, 8)
    other, _ = prepare(tmp_path / "b", 10, 5, seed=1)
    assert content(large) == content(once_more)
    assert content(small).items() <= content(large).items()
    assert len(set(content(large).values()) | set(content(other).values())) == 23 + 15
    assert [one.label for one in large.train] == [one.label for one in once_more.train]
    assert large.provenance == once_more.provenance


def test_an_image_set_is_even_and_mixed(tmp_path: Path) -> None:
    found, _ = prepare(tmp_path, 25, 10)
    labels = [one.label for one in found.train]
    assert sorted(labels.count(label) for label in range(10)) == [2] * 5 + [3] * 5
    assert labels != sorted(labels)
    assert found.classes == tuple(sorted(DISHES))
    assert all(found.classes[one.label] == one.path.parent.name for one in (*found.train, *found.test))
    shapes = [decode(one.path).shape for one in found.train]
    assert all(300 <= side <= 512 for shape in shapes for side in shape[:2])
    assert len(set(shapes)) > 20


def test_only_the_needed_pictures_are_drawn_and_they_are_the_same_ones_whatever_is_there(tmp_path: Path) -> None:
    needed = DatasetRequest(tmp_path / "a", 15, 40, needed=(0, 8))
    reports = Reports()
    few = find("drawn-food").prepare(needed, reports)
    assert reports.done[-1] == len(few.test) == len(list((tmp_path / "a").glob("**/*.jpg"))) == 8
    assert few.train == ()
    assert "0 of 15 training and 8 of 40 test images" in few.provenance.note
    everything, _ = prepare(tmp_path / "b", 15, 40)
    rows = [everything.test[row] for row in evenly_spaced(40, 8)]
    assert [(one.path.name, one.label) for one in few.test] == [(one.path.name, one.label) for one in rows]
    again = find("drawn-food").prepare(replace(needed, cache=tmp_path / "b"), Reports())
    assert again.provenance == few.provenance


@pytest.mark.long
def test_what_a_killed_process_left_is_finished(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from coremlbench_datasets import DatasetRequest, find\n"
        "if __name__ == '__main__':\n"
        f"    request = DatasetRequest(Path({str(tmp_path / 'a')!r}), 30, 5)\n"
        "    find('drawn-food').prepare(request, lambda *_, **__: None)\n"
    )
    (tmp_path / "script.py").write_text(script)
    with subprocess.Popen([sys.executable, tmp_path / "script.py"]) as process:
        while len(list((tmp_path / "a").glob("**/*.jpg"))) < 8:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    folder = next((tmp_path / "a").glob("drawn-food/*/seed-0/train/pizza"))
    (folder / "00001.jpg.4321.tmp").write_bytes(b"half a picture")
    (folder / "00002.jpg").write_bytes(b"")
    found, drawn = prepare(tmp_path / "a", 30, 5)
    assert 7 <= drawn[0] < 35
    assert content(found) == content(prepare(tmp_path / "b", 30, 5)[0])
    assert not list((tmp_path / "a").glob("**/*.tmp"))


# The mean colour of one picture of each kind, drawn by version 1. Not the bytes: another build of Pillow may differ in
# a last bit. A change here is a change of the drawing, and ``drawn_food.VERSION`` takes the next number.
MEANS = {
    "chicken_curry": (186, 153, 143),
    "chicken_wings": (143, 116, 80),
    "fried_rice": (170, 170, 157),
    "grilled_salmon": (166, 149, 132),
    "hamburger": (128, 110, 77),
    "ice_cream": (179, 164, 140),
    "pizza": (113, 82, 55),
    "ramen": (143, 74, 47),
    "steak": (176, 140, 110),
    "sushi": (127, 102, 92),
}


@pytest.mark.parametrize("kind", DISHES)
def test_the_drawing_is_that_of_its_version(kind: str) -> None:
    assert VERSION == 1
    pixels = np.asarray(draw_picture(kind, Random(kind)))
    assert np.abs(pixels.mean((0, 1)) - MEANS[kind]).max() < 1.5


@pytest.mark.parametrize("kind", DISHES)
def test_any_seed_draws_something(kind: str) -> None:
    for seed in range(6):
        pixels = np.asarray(draw_picture(kind, Random(f"{kind}{seed}")))
        assert pixels.std() > 8


def test_what_cannot_be_had(tmp_path: Path) -> None:
    for train, test, source, says in (
        (5, 10, None, "without a picture"),
        (200_000, 10, None, "has 100,000 training images"),
        (10, 10, tmp_path, "takes no --source"),
    ):
        with pytest.raises(InputError, match=says):
            find("drawn-food").prepare(DatasetRequest(tmp_path, train, test, 0, source), Reports())
    assert list(tmp_path.iterdir()) == []


def test_its_summary_tells_what_is_there(tmp_path: Path) -> None:
    dataset = find("drawn-food")
    before = dataset.summary(tmp_path)
    prepare(tmp_path, 10, 10)
    assert (before.images, before.classes, before.download_bytes, before.cached_images) == (10_000, 10, 0, 0)
    assert dataset.summary(tmp_path).cached_images == 20
    assert [path.name for path in tmp_path.iterdir()] == ["drawn-food"]
