"""A generated dataset of ten kinds of food, which needs no download.

Each image depends on the seed, the split, its class and its number alone. So any image can be drawn again by itself, a
smaller set is a part of a larger one, and interrupted work can be continued.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from coremlbench.system.files import atomic_write
from coremlbench.system.locks import locked
from coremlbench.types.data import ImageSet, LabelledImage, Provenance
from coremlbench.types.errors import InputError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.drawing.picture import DISHES, draw_picture
from coremlbench_datasets.interface import DatasetRequest, DatasetSummary
from coremlbench_datasets.parallel import in_processes
from coremlbench_datasets.selection import (
    PROTOCOL_TEST,
    PROTOCOL_TRAIN,
    check_counts,
    even_shares,
    evenly_spaced,
    fingerprint,
    shuffled,
)

VERSION = 1
"""The version of the images: it must be increased with any change of a pixel."""

CLASSES = tuple(sorted(DISHES))

PER_CLASS = 10_000
"""The most images of one class and split."""


@dataclass(frozen=True)
class _Job:
    """One image to draw: its path, and what it depends on."""

    path: Path
    seed: int
    split: str
    kind: str
    index: int


class DrawnFood:
    """The dataset ``drawn-food``."""

    name = "drawn-food"
    title = "Drawn food"
    description = (
        "Ten kinds of food drawn on this machine, on tables, plates and boards, seeded; nothing is downloaded."
    )

    def prepare(self, request: DatasetRequest, report: ReportProgress) -> ImageSet:
        """Return the images; draw those that are not in the cache."""
        if request.source is not None:
            raise InputError("drawn-food is drawn here and takes no --source; leave the option out.")
        limit = PER_CLASS * len(CLASSES)
        check_counts(self.name, len(CLASSES), (request.train, request.test), (limit, limit))
        counts = {
            "train": PROTOCOL_TRAIN if request.train is None else request.train,
            "test": PROTOCOL_TEST if request.test is None else request.test,
        }
        folder = _folder(request.cache, request.seed)
        jobs = {
            split: shuffled(_jobs(folder, request.seed, split, count), request.seed, split)
            for split, count in counts.items()
        }
        note = ""
        if request.needed is not None:
            jobs = {
                split: [part[row] for row in evenly_spaced(len(part), count)]
                for (split, part), count in zip(jobs.items(), request.needed, strict=True)
            }
            train, test = (f"{len(jobs[split]):,} of {count:,}" for split, count in counts.items())
            note = f"; only what is read: {train} training and {test} test images"
        _draw_missing(folder, request.seed, [job for part in jobs.values() for job in part], report)
        images = {
            split: tuple(LabelledImage(job.path, CLASSES.index(job.kind)) for job in part)
            for split, part in jobs.items()
        }
        all_images = (*images["train"], *images["test"])
        return ImageSet(
            name=self.name,
            classes=CLASSES,
            train=images["train"],
            test=images["test"],
            provenance=Provenance(
                name=self.name,
                source="drawn on this machine",
                version=f"{VERSION}, seed {request.seed}",
                sha256=fingerprint(
                    (str(image.path.relative_to(folder)), image.label, image.path) for image in all_images
                ),
                licence="BSD-3-Clause",
                note=f"drawn with Pillow {_pillow_of(folder)}{note}",
            ),
            examined=len(all_images),
        )

    def summary(self, cache: Path) -> DatasetSummary:
        """Return the row of the dataset in a list."""
        cached = sum(1 for _ in _folder(cache, 0).glob("*/*/*.jpg"))
        images = PROTOCOL_TRAIN + PROTOCOL_TEST
        return DatasetSummary(self.name, self.title, self.description, images, len(CLASSES), 0, cached)


DATASET = DrawnFood()


def _folder(cache: Path, seed: int) -> Path:
    return cache / "drawn-food" / str(VERSION) / f"seed-{seed}"


def _jobs(folder: Path, seed: int, split: str, count: int) -> Iterator[_Job]:
    for kind, share in zip(CLASSES, even_shares(count, [PER_CLASS] * len(CLASSES)), strict=True):
        for index in range(share):
            yield _Job(folder / split / kind / f"{index:05d}.jpg", seed, split, kind, index)


def _draw_missing(folder: Path, seed: int, jobs: list[_Job], report: ReportProgress) -> None:
    """Draw the images that are missing. A lock makes sure that no other process draws to the same folder."""
    for parent in {job.path.parent for job in jobs}:
        parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + ".lock"), lambda message: report("draw", 0, len(jobs), message)):
        existing = _finished(folder)
        missing = [job for job in jobs if job.path not in existing]
        if missing and not (folder / "manifest.json").exists():
            _write_manifest(folder, seed)
        done = len(jobs) - len(missing)
        report("draw", done, len(jobs))
        for _ in in_processes(_draw, missing):
            done += 1
            report("draw", done, len(jobs))


def _finished(folder: Path) -> set[Path]:
    """Return the finished images; remove partial files of killed processes."""
    finished = set()
    for split in ("train", "test"):
        for kind in CLASSES:
            parent = folder / split / kind
            if not parent.is_dir():
                continue
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name.endswith(".jpg") and entry.stat().st_size > 0:
                        finished.add(parent / entry.name)
                    else:
                        (parent / entry.name).unlink(missing_ok=True)
    return finished


def _write_manifest(folder: Path, seed: int) -> None:
    """Write what the images were drawn with."""
    import PIL

    manifest = {"dataset": DATASET.name, "version": VERSION, "seed": seed, "pillow": PIL.__version__}
    atomic_write(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())


def _pillow_of(folder: Path) -> str:
    """Return the version of Pillow that drew the first image; versions differ in single bits."""
    try:
        return str(json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["pillow"])
    except (OSError, ValueError, KeyError, TypeError):
        return "of an unknown version"


def _draw(job: _Job) -> None:
    """Draw one image to a temporary file and rename it."""
    random = Random(f"{DATASET.name}/{job.seed}/{job.split}/{job.kind}/{job.index}")
    picture = draw_picture(job.kind, random)
    temporary = job.path.with_name(f"{job.path.name}.{os.getpid()}.tmp")
    picture.save(temporary, "JPEG", quality=random.randint(70, 95))
    temporary.replace(job.path)
