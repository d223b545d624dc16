"""The parts of the cache: their sizes, when they were used last, and their removal.

Everything in the cache can be made or fetched again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from coremlbench.system.formatting import format_count
from coremlbench.types.errors import InputError

REMOVED_SUFFIX = ".removed"
"""Suffix of an entry that is being removed. It is renamed first, so that no run finds half of it."""
LONG_COMMANDS = frozenset(("createml", "train", "convert", "convert-and-time", "selftest"))


@dataclass(frozen=True)
class CachePart:
    """A part of the cache. ``patterns`` match its entries, which are removed as a whole.

    An entry that several parts match belongs to the first. ``locks`` are lock files of those who write to it,
    relative to the cache; an entry may have its own beside it.
    """

    name: str
    description: str
    patterns: tuple[str, ...]
    locks: tuple[str, ...] = ()


PARTS = (
    CachePart("packages", "packages of conversions", ("conversions/*/*",), ("conversions/.lock",)),
    CachePart("pictures", "drawn and fetched pictures", ("datasets/drawn-food/*/seed-*", "datasets/food101-10/*")),
    CachePart("arrays", "MNIST and other arrays", ("datasets/arrays/*", "datasets/downloads/*")),
    CachePart("examinations", "checks of picture folders", ("datasets/folders/*",)),
    CachePart("turicreate", "Turi Create's environment", ("environments/*",)),
    CachePart("weights", "pretrained weights", ("weights/*", "keras/*", "turicreate/model_cache/*")),
    CachePart(
        "createml",
        "Create ML's sessions",
        ("createml/sessions/*", "createml/images/*", "createml/programs/*"),
        ("createml/sessions.lock",),
    ),
    CachePart("other", "anything else", ("*", "*/*", "datasets/*/*")),
)
PART_NAMES = (*(part.name for part in PARTS), "all")


@dataclass(frozen=True)
class CacheEntry:
    """One file or folder of the cache; ``last_used`` is when one of its files was read or changed last, in seconds."""

    part: str
    path: Path
    bytes: int
    last_used: float


@dataclass(frozen=True)
class PartSize:
    """The size of a part; ``oldest`` is when its entry of the longest ago was used, ``None`` if it is empty."""

    name: str
    description: str
    entries: int
    bytes: int
    oldest: float | None


@dataclass(frozen=True)
class Removal:
    """What was removed, or would be, and a sentence for each entry that was left because it is in use."""

    entries: tuple[CacheEntry, ...]
    left: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Return the size of what was removed."""
        return sum(entry.bytes for entry in self.entries)


def cache_entries(cache: Path) -> list[CacheEntry]:
    """Return all entries of the cache, in the order of ``PARTS``; lock files are none."""
    entries: dict[Path, CacheEntry] = {}
    parents: set[Path] = set()
    counted: set[tuple[int, int]] = set()
    for part in PARTS:
        for pattern in part.patterns:
            for path in sorted(cache.glob(pattern)):
                inside = path in parents or not entries.keys().isdisjoint(path.parents)
                if inside or path in entries or path.name.endswith(".lock"):
                    continue
                if part.name == "other" and path.is_dir() and _holds_entries(path, cache):
                    continue
                size, last_used = _size_and_use(path, counted)
                entries[path] = CacheEntry(part.name, path, size, last_used)
                parents.update(parent for parent in path.parents if parent.is_relative_to(cache))
    return list(entries.values())


def _holds_entries(folder: Path, cache: Path) -> bool:
    """Return whether a folder is one of those that the parts' patterns lead through."""
    steps = folder.relative_to(cache).parts
    return any(
        len(steps) < len(names) and all(Path(step).match(name) for step, name in zip(steps, names, strict=False))
        for part in PARTS[:-1]
        for names in (pattern.split("/") for pattern in part.patterns)
    )


def part_sizes(entries: Sequence[CacheEntry]) -> list[PartSize]:
    """Return the size of each part, in the order of ``PARTS``; ``other`` only where there is something else."""
    sizes = []
    for part in PARTS:
        own = [entry for entry in entries if entry.part == part.name]
        if own or part.name != "other":
            oldest = min((entry.last_used for entry in own), default=None)
            total = sum(entry.bytes for entry in own)
            sizes.append(PartSize(part.name, part.description, len(own), total, oldest))
    return sizes


def clear(
    cache: Path, parts: Sequence[str], older_than: float | None, *, dry_run: bool = False, now: float | None = None
) -> Removal:
    """Remove the entries of the parts, or of all parts if none is named, and return what was removed.

    With ``older_than`` only those go that were not used for so many seconds. An entry whose lock is held by a process
    is left. With ``dry_run`` nothing is removed.

    Raises:
        InputError: a long command that uses this cache is running.
    """
    names = set(parts) - {"all"} or {part.name for part in PARTS}
    limit = None if older_than is None else (time.time() if now is None else now) - older_than
    chosen = [
        entry for entry in cache_entries(cache) if entry.part in names and (limit is None or entry.last_used <= limit)
    ]
    if dry_run or not chosen:
        return Removal(tuple(chosen))
    process = running_command(cache)
    if process is not None:
        raise InputError(
            f"A coremlbench command that uses this cache is running (process {process}); wait for its end, then clear."
        )
    removed, left = [], []
    for entry in chosen:
        if _remove(entry, cache):
            removed.append(entry)
        else:
            left.append(f"{entry.path} is in use or cannot be removed, and was left.")
    return Removal(tuple(removed), tuple(left))


def running_command(cache: Path) -> int | None:
    """Return the id of a process that runs a long command with this cache, ``None`` if there is none."""
    import psutil

    from coremlbench.system.paths import cache_folder_of

    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        programs = [Path(argument).name for argument in arguments[:4]]
        if process.pid in own or "coremlbench" not in programs or not LONG_COMMANDS & set(arguments):
            continue
        with suppress(psutil.Error, OSError):
            if cache_folder_of(process.environ()).resolve() == cache.resolve():
                return int(process.pid)
    return None


def _remove(entry: CacheEntry, cache: Path) -> bool:
    """Remove an entry under its locks; return whether it is gone."""
    from filelock import FileLock

    part = next(part for part in PARTS if part.name == entry.part)
    beside = entry.path.with_name(f"{entry.path.name}.lock")
    locks = [path for path in (*(cache / name for name in part.locks), beside) if path.is_file()]
    removing = entry.path.with_name(f"{entry.path.name}-{secrets.token_hex(4)}{REMOVED_SUFFIX}")
    with ExitStack() as stack, suppress(OSError):  # filelock's Timeout is an OSError
        for path in locks:
            stack.enter_context(FileLock(path, timeout=0))
        entry.path.rename(removing)
        if removing.is_dir() and not removing.is_symlink():
            shutil.rmtree(removing, ignore_errors=True)
        else:
            removing.unlink()
        with suppress(OSError):  # not empty
            entry.path.parent.rmdir()
        return True
    return False


def _size_and_use(path: Path, counted: set[tuple[int, int]]) -> tuple[int, float]:
    """Return the bytes below a path, and when it was used last.

    Files in ``counted``, by device and inode, are not counted again, and new ones are added to it: the environments of
    Turi Create share most of their files by hard links.
    """
    size, last_used = 0, 0.0
    for status in _statuses(path):
        last_used = max(last_used, status.st_mtime, status.st_atime)
        if (status.st_dev, status.st_ino) not in counted:
            counted.add((status.st_dev, status.st_ino))
            size += status.st_size
    if not last_used:
        with suppress(OSError):
            last_used = path.lstat().st_mtime
    return size, last_used


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of each file below a path; what cannot be read is left out."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            yield path.lstat()
        return
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                yield (Path(folder) / name).lstat()


def removal_line(removal: Removal, *, dry_run: bool) -> str:
    """Return how many entries of each part were removed, or would be, as a phrase."""
    counts: dict[str, int] = {}
    for entry in removal.entries:
        counts[entry.part] = counts.get(entry.part, 0) + 1
    parts = ", ".join(f"{format_count(count, 'entry', 'entries')} of {name}" for name, count in counts.items())
    return f"{'would be removed' if dry_run else 'removed'}: {parts or 'nothing'}"
