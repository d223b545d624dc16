"""Datasets of images and arrays, and where data comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Provenance:
    """Where data or weights come from, so that a figure can be traced to its input.

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
    """One picture on disk and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class SkippedImage:
    """A file that was left out, and why (one sentence)."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """A dataset of images on disk, split and ready: what every image experiment takes.

    ``train`` and ``test`` are ordered; the order depends on the seed alone. ``classes`` holds the names by label.
    ``examined`` is the number of files looked at, ``skipped`` those of them left out as unreadable or repeated.
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
    """A dataset of small images in four ``.npy`` files, split and ready: what every array experiment takes.

    Images are uint8 of shape (n, height, width) or (n, height, width, channels), labels are int64 of shape (n,).
    Only the first ``train`` and the first ``test`` rows count.
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
