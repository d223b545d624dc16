"""The article's ten classes of Food101, from a zip file of them or from the archive of Food101.

The zip file is that of the article's course. Food101: Bossard, Guillaumin and Van Gool, "Food-101,
Mining Discriminative Components with Random Forests", ECCV 2014. No hash of the zip file is published, so its
layout and counts are checked; the archive of Food101 has a published md5.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from coremlbench.system.downloads import download, hash_stream
from coremlbench.system.locks import locked
from coremlbench.types.data import ImageSet
from coremlbench.types.errors import DownloadError, InputError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.archives import unpack
from coremlbench_datasets.folder import FolderDataset
from coremlbench_datasets.interface import DatasetRequest, DatasetSummary
from coremlbench_datasets.selection import PROTOCOL_TEST, PROTOCOL_TRAIN

CLASSES = (
    "chicken_curry",
    "chicken_wings",
    "fried_rice",
    "grilled_salmon",
    "hamburger",
    "ice_cream",
    "pizza",
    "ramen",
    "steak",
    "sushi",
)

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True)
class Archive:
    """An archive with the ten classes."""

    url: str
    bytes: int | None = None
    md5: str | None = None

    @property
    def file_name(self) -> str:
        """Return the name of the downloaded file."""
        return self.url.rsplit("/", 1)[-1]


ARCHIVES = (
    Archive("https://storage.googleapis.com/ztm_tf_course/food_vision/10_food_classes_all_data.zip"),
    Archive("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", md5="85eeb15f3717b99a5da872d97d918f87"),
)
"""The archives in the order in which they are tried, the smaller one first."""


@dataclass(frozen=True)
class Food101Ten:
    """The dataset ``food101-10``."""

    archives: tuple[Archive, ...] = ARCHIVES
    name: str = "food101-10"
    title: str = "Ten classes of Food101"
    description: str = "The article's photographs of ten kinds of food, downloaded or from --source FILE."

    def prepare(self, request: DatasetRequest, report: ReportProgress) -> ImageSet:
        """Return the photographs; download and unpack them unless they are in the cache."""
        home = request.cache / self.name
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / "lock", lambda message: report("unpack", 0, 0, message)):
            _remove_partial(home)
            if request.source is None:
                folder = self._unpack_first_archive(home, report)
            elif request.source.is_dir():
                folder = _linked(home, request.source)
            elif request.source.is_file():
                folder = _unpacked(home, request.source, report)
            else:
                raise InputError(f"There is no file or folder {request.source}; give --source what was downloaded.")
        images = FolderDataset(folder).prepare(replace(request, source=None), report)
        origin = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
        provenance = replace(
            images.provenance,
            name=self.name,
            source=origin["source"],
            licence="as the photographs' owners say (Food101 is offered for research)",
            note=origin["note"],
        )
        return replace(
            images, name=self.name, provenance=provenance, warnings=(*images.warnings, *_count_warning(folder))
        )

    def summary(self, cache: Path) -> DatasetSummary:
        """Return the row of the dataset in a list."""
        home = cache / self.name
        cached = sum(1 for _ in home.glob("unpacked-*/t*/*/*.jpg"))
        size = self.archives[0].bytes
        images = PROTOCOL_TRAIN + PROTOCOL_TEST
        return DatasetSummary(self.name, self.title, self.description, images, len(CLASSES), size, cached)

    def _unpack_first_archive(self, home: Path, report: ReportProgress) -> Path:
        """Return the unpacked folder of the first archive that is unpacked, downloaded or can be downloaded."""
        for archive in self.archives:
            unpacked = home / f"unpacked-{archive.file_name}"
            if unpacked.is_dir():
                return unpacked
        for archive in self.archives:
            if (home / archive.file_name).is_file():  # put there by hand
                return _unpacked(home, home / archive.file_name, report, name=archive.file_name)
        errors = []
        for archive in self.archives:
            try:
                file = download(
                    archive.url, home / archive.file_name, md5=archive.md5, size=archive.bytes, report=report
                )
            except DownloadError as failed:
                errors.append(str(failed).rstrip("."))
                continue
            unpacked = _unpacked(home, file, report, name=archive.file_name, source=archive.url)
            file.unlink()
            return unpacked
        raise DownloadError(
            f"food101-10 could not be fetched ({'; '.join(errors)}); fetch {self.archives[0].url} on a machine "
            f"that can, and give it with --dataset food101-10 --source FILE, or put it into {home}."
        )


DATASET = Food101Ten()


def _remove_partial(home: Path) -> None:
    """Remove the partial folders of killed processes; the caller holds the lock."""
    for partial in home.glob(".making-*"):
        shutil.rmtree(partial, ignore_errors=True)


def _unpacked(home: Path, archive: Path, report: ReportProgress, *, name: str = "", source: str = "") -> Path:
    """Return the folder with ``train/<class>`` and ``test/<class>`` of an archive; unpack it if it is missing."""
    status = archive.stat()
    key = f"{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
    folder = home / f"unpacked-{name or hashlib.sha256(key).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    partial = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    try:
        unpack(archive, partial, _target_of, report)
        if (partial / "meta").is_dir():
            _arrange(partial, partial, os.rename)
            shutil.rmtree(partial / "meta")
            shutil.rmtree(partial / "images")
        _check_classes(partial, archive)
        with archive.open("rb") as file:
            sha256 = hash_stream(file)
        _note_origin(partial, source or str(archive), f"{archive.name}, {status.st_size} bytes, sha256 {sha256}")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _target_of(member: str) -> PurePosixPath | None:
    """Return where a member is unpacked to: images of the ten classes, and lists of the split; others are skipped."""
    parts = PurePosixPath(member).parts[-3:]
    if len(parts) == 3 and parts[0] in {"train", "test", "images"} and parts[1] in CLASSES:
        return PurePosixPath(*parts) if _SAFE_NAME.fullmatch(parts[2]) else None
    if parts[-2:] in {("meta", "train.json"), ("meta", "test.json")}:
        return PurePosixPath(*parts[-2:])
    return None


def _linked(home: Path, source: Path) -> Path:
    """Return a folder with links to the ten classes of the user's folder, which has one of the two layouts."""
    key = hashlib.sha256(str(source.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = home / f"linked-{key}"
    shutil.rmtree(folder, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    try:
        if (source / "meta").is_dir() and (source / "images").is_dir():
            _arrange(source.resolve(), partial, os.symlink)
        else:
            for part in ("train", "test"):
                (partial / part).mkdir()
                for name in CLASSES:
                    if (source / part / name).is_dir():
                        (partial / part / name).symlink_to((source / part / name).resolve(), target_is_directory=True)
        _check_classes(partial, source)
        _note_origin(partial, str(source), "a folder")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _arrange(source: Path, into: Path, move: Callable[[Path, Path], None]) -> None:
    """Rename or link Food101's ``images`` to ``train`` and ``test``, by the lists in its ``meta``."""
    for part in ("train", "test"):
        try:
            lists = json.loads((source / "meta" / f"{part}.json").read_text(encoding="utf-8"))
            listed = {name: [str(item) for item in lists[name]] for name in CLASSES}
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise InputError(
                f"{source} has no list of Food101's {part} pictures in meta/{part}.json: {broken!r}."
            ) from broken
        for name, items in listed.items():
            (into / part / name).mkdir(parents=True)
            for item in items:
                file = f"{item.rsplit('/', 1)[-1]}.jpg"
                picture = source / "images" / name / file
                if _SAFE_NAME.fullmatch(file) and picture.is_file():
                    move(picture, into / part / name / file)


def _check_classes(folder: Path, origin: Path) -> None:
    """Raise ``InputError`` unless both parts have images of all ten classes."""
    for part in ("train", "test"):
        missing = [name for name in CLASSES if not any((folder / part / name).glob("*"))]
        if missing:
            raise InputError(
                f"{origin} has no {part} pictures of {', '.join(missing)}; it must hold the ten classes in train/ and "
                "test/, or Food101's images/ and meta/."
            )


def _count_warning(folder: Path) -> list[str]:
    """Return a warning if the number of images is not that of the article."""
    counts = tuple(sum(1 for _ in folder.glob(f"{part}/*/*")) for part in ("train", "test"))
    if counts == (PROTOCOL_TRAIN, PROTOCOL_TEST):
        return []
    return [f"food101-10 holds {counts[0]:,} training and {counts[1]:,} test pictures here, not 7,500 and 2,500."]


def _note_origin(folder: Path, source: str, note: str) -> None:
    (folder / "origin.json").write_text(json.dumps({"source": source, "note": note}), encoding="utf-8")
