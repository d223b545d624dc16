"""Datasets of images and arrays, and where data comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Provenance:
    """The origin of data or weights, so that a result can be traced to its input.

    ``sha256`` is the hash of the file they came in, or of the names, sizes and labels of the files of a folder.
    """

    name: str
    source: str
    version: str = ""
    sha256: str = ""
    licence: str = ""
    note: str = ""


@dataclass(frozen=True)
class LabelledImage:
    """An image file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class SkippedImage:
    """A file that was left out, and the reason (one sentence)."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """A dataset of image files, split into training and test: the input of image experiments.

    The order of ``train`` and ``test`` depends on the seed alone. ``classes`` holds the names by label.
    ``examined`` is the number of files that were read, ``skipped`` those of them left out as unreadable or duplicate.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[LabelledImage, ...]
    test: tuple[LabelledImage, ...]
    provenance: Provenance
    examined: int
    skipped: tuple[SkippedImage, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArraySet:
    """A dataset of small images in four ``.npy`` files, split into training and test: the input of array experiments.

    Images are uint8 of shape (n, height, width) or (n, height, width, channels), labels are int64 of shape (n,).
    Only the first ``train`` and ``test`` rows of the files are used.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path
    train: int
    test: int
    provenance: Provenance
