"""Prepared images as Create ML reads them: one folder of training or validation images, with a subfolder per class.

The files are hard links, so that they take no space. The folders lie in the cache under a hash of the images'
contents: a resumed run, and another run of the same images, find the same files at the same paths.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from coremlbench.system.files import hash_file
from coremlbench.system.locks import locked
from coremlbench.types.data import LabelledImage
from coremlbench.types.process import ReportProgress

MAX_IMAGE_SETS = 4
"""Sets of images whose folders stay in the cache; the links keep the space of images that were deleted elsewhere."""
PHASE = "link"


def link_images(
    parts: Mapping[str, Sequence[LabelledImage]], classes: Sequence[str], cache: Path, report: ReportProgress
) -> tuple[str, dict[str, Path]]:
    """Return a hash of the images, and the folder of each part that has images.

    The hash covers the names of the classes, and the class and the content of each image in order.

    Raises:
        OSError: an image cannot be read, or the folders cannot be written.
    """
    total = sum(map(len, parts.values()))
    key = _content_key(parts, classes, total, report)
    folder = cache / "createml" / "images" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), lambda message: report(PHASE, total, total, message)):
        if folder.is_dir() and not _is_complete(folder, parts):
            shutil.rmtree(folder)
        if not folder.is_dir():
            building = folder.with_suffix(".building")
            shutil.rmtree(building, ignore_errors=True)
            for name, images in parts.items():
                _link_part(building / name, images, classes)
            building.rename(folder)
        os.utime(folder)
        _prune(folder.parent, keep=folder)
    report(PHASE, total, total)
    return key, {name: folder / name for name, images in parts.items() if images}


def _content_key(
    parts: Mapping[str, Sequence[LabelledImage]], classes: Sequence[str], total: int, report: ReportProgress
) -> str:
    digest = hashlib.sha256("\0".join(classes).encode())
    done = 0
    for name, images in parts.items():
        digest.update(f"\0\0{name}".encode())
        for image in images:
            digest.update(f"\0{image.label} {hash_file(image.path)}".encode())
            report(PHASE, done, total)
            done += 1
    return digest.hexdigest()[:16]


def _link_part(folder: Path, images: Sequence[LabelledImage], classes: Sequence[str]) -> None:
    """Link the images into ``folder/<class>/<number><suffix>``."""
    for label in sorted({image.label for image in images}):
        (folder / classes[label]).mkdir(parents=True)
    for number, image in enumerate(images):
        suffix = image.path.suffix.lower() or ".jpg"  # Create ML selects files by suffix, and reads them by content
        _link(image.path.resolve(), folder / classes[image.label] / f"{number:06d}{suffix}")


def _link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy on another volume: whether Create ML follows symbolic links is not documented."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _is_complete(folder: Path, parts: Mapping[str, Sequence[LabelledImage]]) -> bool:
    return all(sum(file.is_file() for file in (folder / name).glob("*/*")) == len(part) for name, part in parts.items())


def _prune(folder: Path, keep: Path) -> None:
    """Remove all but the sets that were used last; ``keep`` stays."""
    others = sorted((path for path in folder.iterdir() if path.is_dir() and path != keep), key=_used, reverse=True)
    for path in others[MAX_IMAGE_SETS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _used(path: Path) -> float:
    return path.stat().st_mtime
