"""Datasets from folders of images: ``DIR/train/<class>/…`` and ``DIR/test/<class>/…``, or ``DIR/<class>/…``.

The second layout is split into training and test by the seed. ``folder_layout`` knows the names of the parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coremlbench.system.formatting import format_count
from coremlbench.types.data import ImageSet, LabelledImage, Provenance, SkippedImage
from coremlbench.types.errors import InputError, UnusableDataError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.examination import (
    Examined,
    class_name,
    examine,
    files_below,
    folders_in,
    printable,
)
from coremlbench_datasets.folder_layout import check_classes, find_split, split_role
from coremlbench_datasets.interface import DatasetRequest, DatasetSummary
from coremlbench_datasets.selection import check_counts, even_shares, fingerprint, shuffled, split

UNREADABLE_LIMIT = 0.05
"""The share of unreadable files above which the dataset is not used."""

Files = dict[str, list[Path]]
"""Files by class."""


@dataclass(frozen=True)
class FolderDataset:
    """The images of one folder."""

    folder: Path

    @property
    def name(self) -> str:
        """Return the folder's own name."""
        return printable(self.folder.resolve().name)

    @property
    def title(self) -> str:
        """Return the title, the same for all folders."""
        return "A folder of pictures"

    @property
    def description(self) -> str:
        """Return the folder's path in a sentence."""
        return f"The pictures in {printable(self.folder)}, one folder a class."

    def prepare(self, request: DatasetRequest, report: ReportProgress) -> ImageSet:
        """Return the folder's readable images, split into training and test.

        A training image with the same bytes or pixels as a test image is left out.

        Raises:
            InputError: the folder has another layout, or too few images.
            UnusableDataError: too many files are unreadable.
        """
        if request.source is not None:
            raise InputError(f"{self._label} is a folder already; leave --source out.")
        has_split, parts, warnings = self._list()
        classes = self._classes(parts)
        results = self._examine(parts, request, report)
        readable = [
            {name: [path for path in part[name] if not results[path].reason] for name in classes} for part in parts
        ]
        self._check_readable(readable, classes)
        train, test = readable if has_split else self._split(readable[0], request.seed)
        train, repeated = _without_test_images(train, test, results)
        if repeated:
            warnings.append(
                f"{format_count(len(repeated), 'training picture')} of {self._label} {_are(len(repeated))} in the test "
                f"set too and left out of training, the first {repeated[0].path!r}."
            )
        self._check_classes_in(train, "training, once what is in the test set too is left out")
        for kind, part in (("training", train), ("test", test)):
            warnings += _duplicate_warning(part, results, f"{kind} set of {self._label}")
        unreadable = self._skipped(results.values())
        available = (_size(train), _size(test))
        check_counts(self._label, len(classes), (request.train, request.test), available)
        chosen = [
            _choose(part, classes, count, (request.seed, kind))
            for part, count, kind in ((train, request.train, "train"), (test, request.test, "test"))
        ]
        return ImageSet(
            name=self.name,
            classes=tuple(classes),
            train=tuple(chosen[0]),
            test=tuple(chosen[1]),
            provenance=Provenance(
                name=self.name,
                source=printable(self.folder.resolve()),
                version="" if has_split else f"split by seed {request.seed}",
                sha256=fingerprint(
                    (self._relative(image.path), image.label, image.path) for part in chosen for image in part
                ),
            ),
            examined=len(results),
            skipped=(
                *unreadable,
                *(SkippedImage(self._relative(Path(image.path)), image.reason) for image in repeated),
            ),
            warnings=tuple(warnings),
        )

    def summary(self, cache: Path) -> DatasetSummary:  # noqa: ARG002 - a folder is not in the cache
        """Return the row of the folder in a listing, without opening an image."""
        _, parts, _ = self._list()
        files = sum(_size(part) for part in parts)
        return DatasetSummary(self.name, self.title, self.description, files, len(parts[0]), 0, files)

    # --- steps --------------------------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return printable(self.folder)

    def _skipped(self, results: Iterable[Examined]) -> list[SkippedImage]:
        return [SkippedImage(self._relative(result.path), result.reason) for result in results if result.reason]

    def _relative(self, path: Path) -> str:
        return printable(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else printable(path)

    def _list(self) -> tuple[bool, list[Files], list[str]]:
        """Return whether the folder is split already, its files (training and test, or all), and warnings.

        Raises:
            InputError: it has a part of a split and not the other, or folders of classes below what look like parts.
        """
        folders = folders_in(self.folder)
        split_folders = find_split(folders, self._label)
        if split_folders is None:
            check_classes(folders, self._label)
            return False, [_files(self.folder, ())], []
        others = [class_name(folder) for folder in folders if folder not in split_folders]
        train, test = split_folders
        warnings = []
        if split_role(test.name) == "validation":
            warnings.append(
                f"{self._label} has no folder of test pictures: those in {class_name(test)} are the test set."
            )
        if others:
            used = f"{class_name(train)} and {class_name(test)}"
            warnings.append(f"Of {self._label} only {used} are used, not {', '.join(others)}.")
        return True, [_files(part, (self.folder, *folders)) for part in (train, test)], warnings

    def _classes(self, parts: Sequence[Files]) -> list[str]:
        """Return the classes in the order of their folders; raises ``InputError`` if a part lacks files of one."""
        classes = list(dict.fromkeys(name for part in parts for name in part))
        if not classes:
            raise InputError(
                f"{self._label} has no folders of pictures: put the pictures of each class into one folder."
            )
        for part, where in zip(parts, ("train", "test"), strict=False):
            for name in classes:
                if name not in part:
                    other = "test" if where == "train" else "train"
                    raise InputError(
                        f"Class {name!r} of {self._label} is in {other} and not in {where}; it must be in both."
                    )
                self._check_not_empty(name, part[name], f" in {where}" if len(parts) > 1 else "")
        if len(classes) == 1:
            raise InputError(f"{self._label} has the single class {classes[0]!r}; there must be two to tell apart.")
        return classes

    def _check_not_empty(self, name: str, files: Sequence[Path], where: str = "") -> None:
        if not files:
            raise InputError(
                f"Class {name!r} of {self._label} has no readable picture{where}; add some or remove its folder."
            )

    def _examine(self, parts: Iterable[Files], request: DatasetRequest, report: ReportProgress) -> dict[Path, Examined]:
        """Return the result for every file, in the order of the listing.

        Raises:
            UnusableDataError: too many files cannot be read.
        """
        files = [path for part in parts for paths in part.values() for path in paths]
        key = hashlib.sha256(str(self.folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        examined = examine(files, request.cache / "folders" / f"{key}.json", report)
        results = {path: examined[path] for path in files}
        unreadable = [result for result in results.values() if result.reason]
        if len(unreadable) > UNREADABLE_LIMIT * len(results):
            raise UnusableDataError(
                f"{len(unreadable):,} of {format_count(len(results), 'file')} in {self._label} cannot be read as "
                f"pictures, more than {UNREADABLE_LIMIT:.0%} ({self._reasons(unreadable)}); mend or remove them."
            )
        return results

    def _reasons(self, unreadable: Sequence[Examined]) -> str:
        """Return up to three reasons, each with the first of its files, and the number of them if there are more."""
        by_reason: dict[str, list[Examined]] = {}
        for result in unreadable:
            by_reason.setdefault(result.reason.rstrip("."), []).append(result)
        parts = [
            f"{self._relative(group[0].path)!r}{f' and {len(group) - 1:,} more' if len(group) > 1 else ''}: {reason}"
            for reason, group in list(by_reason.items())[:3]
        ]
        return "; ".join(parts) + ("; …" if len(by_reason) > 3 else "")

    def _check_readable(self, parts: Sequence[Files], classes: Sequence[str]) -> None:
        for part in parts:
            for name in classes:
                self._check_not_empty(name, part[name])
                if len(parts) == 1 and len(part[name]) == 1:
                    raise InputError(
                        f"Class {name!r} of {self._label} has one readable picture and needs two, for training and for "
                        "testing."
                    )

    def _check_classes_in(self, part: Files, what: str) -> None:
        for name, files in part.items():
            if not files:
                raise InputError(f"Class {name!r} of {self._label} has no picture left for {what}.")

    def _split(self, files: Files, seed: int) -> list[Files]:
        """Return training and test files: of each class, three of four for training."""
        train: Files = {}
        test: Files = {}
        for name, paths in files.items():
            # The order does not depend on the folder's path, so that a copy of the folder is split in the same way.
            shuffled_paths = shuffled(paths, seed, "split", name)
            count, _ = split(len(shuffled_paths))
            train[name], test[name] = shuffled_paths[:count], shuffled_paths[count:]
        return [train, test]


def _files(folder: Path, excluded: Sequence[Path]) -> Files:
    """Return the files of each class in a folder, the classes in the order that a model trained on it has.

    Keras (``image_dataset_from_directory``, ``flow_from_directory``) and torchvision (``ImageFolder``) number the
    folders in the order of ``sorted``: by code points, so that 10 comes before 2 and Zebra before apple.
    """
    folders = sorted(folders_in(folder), key=lambda class_folder: class_folder.name)
    files: Files = {}
    for class_folder in folders:
        others = [folder, *excluded, *(other for other in folders if other != class_folder)]
        files.setdefault(class_name(class_folder), []).extend(files_below(class_folder, others))
    return files


def _without_test_images(
    train: Files, test: Files, results: Mapping[Path, Examined]
) -> tuple[Files, list[SkippedImage]]:
    """Return the training files that are not duplicates of test images, and those that are."""
    test_paths = {}
    for paths in test.values():
        for path in paths:
            test_paths[results[path].file_hash] = test_paths[results[path].pixel_hash] = path
    unique: Files = {name: [] for name in train}
    repeated = []
    for name, paths in train.items():
        for path in paths:
            duplicate = test_paths.get(results[path].file_hash) or test_paths.get(results[path].pixel_hash)
            if duplicate is None:
                unique[name].append(path)
            else:
                repeated.append(
                    SkippedImage(str(path), f"It is the same picture as {printable(duplicate)}, in the test set.")
                )
    return unique, repeated


def _duplicate_warning(part: Files, results: Mapping[Path, Examined], where: str) -> list[str]:
    """Return a warning if a part contains the same image more than once."""
    first_class: dict[str, str] = {}
    contradictions = 0
    for name, paths in part.items():
        for path in paths:
            contradictions += first_class.setdefault(results[path].pixel_hash, name) != name
    repeats = _size(part) - len(first_class)
    if not repeats:
        return []
    other = f", {contradictions:,} of them under another class" if contradictions else ""
    return [
        f"{format_count(repeats, 'picture')} in the {where} {_are(repeats)} there more than once{other}; all were kept."
    ]


def _choose(part: Files, classes: Sequence[str], count: int | None, key: tuple[object, ...]) -> list[LabelledImage]:
    """Return a part's images, or ``count`` of them spread evenly over the classes, in shuffled order."""
    shares = even_shares(_size(part) if count is None else count, [len(part[name]) for name in classes])
    chosen = [
        LabelledImage(path, label)
        for label, (name, share) in enumerate(zip(classes, shares, strict=True))
        for path in shuffled(part[name], *key, name)[:share]
    ]
    return shuffled(chosen, *key)


def _size(part: Files) -> int:
    return sum(map(len, part.values()))


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
