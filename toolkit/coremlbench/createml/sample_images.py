"""Small copies of some test pictures with what was predicted of them, for a reader's own eyes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from coremlbench.types.data import ImageSet
from coremlbench.types.training_records import SampleImage, Trained, TrainingRecord

FOLDER = "samples"
EVENLY, MISTAKES = 12, 12
SIDE = 160
"""Pixels of the longer side: enough to tell a steak from a salmon, and some kilobytes each."""


def with_samples(record: TrainingRecord, images: ImageSet, predicted: Sequence[int], folder: Path) -> TrainingRecord:
    """Return the record with some test pictures, small copies of which are in ``folder/samples``.

    They are chosen without looking: evenly over the test set, and then evenly over the mistakes that are left. A
    picture that cannot be copied is left out: the run has its result.
    """
    assert isinstance(record.outcome, Trained)
    samples: list[SampleImage] = []
    for index, mistake in choose([image.label for image in images.test], predicted):
        name = f"{FOLDER}/{len(samples):02d}.jpg"
        with suppress(OSError, ValueError):
            _copy(images.test[index].path, folder / name)
            samples.append(
                SampleImage(
                    path=name,
                    actual=images.classes[images.test[index].label],
                    predicted=images.classes[predicted[index]],
                    mistake=mistake,
                )
            )
    return replace(record, outcome=replace(record.outcome, samples=tuple(samples)))


def choose(actual: Sequence[int], predicted: Sequence[int]) -> list[tuple[int, bool]]:
    """Return the indices of the pictures to show, and whether each was chosen for being a mistake."""
    shown = _evenly(range(len(actual)), EVENLY)
    wrong = [index for index in range(len(actual)) if actual[index] != predicted[index] and index not in shown]
    return [(index, False) for index in shown] + [(index, True) for index in _evenly(wrong, MISTAKES)]


def _evenly(indices: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the indices, evenly spread."""
    count = min(most, len(indices))
    return [indices[(2 * place + 1) * len(indices) // (2 * count)] for place in range(count)]


def _copy(source: Path, target: Path) -> None:
    """Write a small JPEG of a picture, upright and without its metadata. Raises ``OSError`` or ``ValueError``."""
    from PIL import Image, ImageOps

    with Image.open(source) as opened:
        opened.draft("RGB", (2 * SIDE, 2 * SIDE))
        picture = ImageOps.exif_transpose(opened).convert("RGB")
        picture.thumbnail((SIDE, SIDE))
        small = Image.new("RGB", picture.size)
        small.paste(picture)  # a new picture has nobody's place and time in it
        target.parent.mkdir(exist_ok=True)
        small.save(target, "JPEG", quality=78)
