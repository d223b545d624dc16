"""Sample images in a report: small copies of some test images, with their true and predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from coremlbench.types.data import ImageSet
from coremlbench.types.training_records import SampleImage, Trained, TrainingRecord

SAMPLES_DIR = "samples"
EVEN_SAMPLES, MISTAKE_SAMPLES = 12, 12
"""How many samples are taken evenly over the test set, and how many more from the misclassified images."""
SIDE = 160
"""Pixels of the longer side: enough to recognise the dish, in a few kilobytes per image."""


def add_sample_images(
    record: TrainingRecord, images: ImageSet, predicted: Sequence[int], folder: Path
) -> TrainingRecord:
    """Copy some test images, reduced, to ``folder/samples``; return the record with the list of them.

    ``predicted`` holds the predicted class of each test image. An image that cannot be copied is left out.
    """
    assert isinstance(record.outcome, Trained)
    samples: list[SampleImage] = []
    for index, mistake in choose_samples([image.label for image in images.test], predicted):
        name = f"{SAMPLES_DIR}/{len(samples):02d}.jpg"
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


def choose_samples(actual: Sequence[int], predicted: Sequence[int]) -> list[tuple[int, bool]]:
    """Return the indices of the sample images, each with whether it was selected as a misclassified one.

    They are spread evenly over the test set, then over the misclassified images that are left.
    """
    spread = _evenly_spaced(range(len(actual)), EVEN_SAMPLES)
    wrong = [index for index in range(len(actual)) if actual[index] != predicted[index] and index not in spread]
    return [(index, False) for index in spread] + [(index, True) for index in _evenly_spaced(wrong, MISTAKE_SAMPLES)]


def _evenly_spaced(indices: Sequence[int], limit: int) -> list[int]:
    """Return at most ``limit`` of the indices, evenly spaced."""
    count = min(limit, len(indices))
    return [indices[(2 * position + 1) * len(indices) // (2 * count)] for position in range(count)]


def _copy(source: Path, target: Path) -> None:
    """Write a small upright JPEG of an image, without its metadata.

    Raises:
        OSError, ValueError: the image cannot be read, or the copy cannot be written.
    """
    from PIL import Image, ImageOps

    with Image.open(source) as opened:
        opened.draft("RGB", (2 * SIDE, 2 * SIDE))
        image = ImageOps.exif_transpose(opened).convert("RGB")
        image.thumbnail((SIDE, SIDE))
        small = Image.new("RGB", image.size)
        small.paste(image)  # a new image has no EXIF data: no location, no time
        target.parent.mkdir(exist_ok=True)
        small.save(target, "JPEG", quality=78)
