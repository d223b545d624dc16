"""Examine the files of an image folder: which can be decoded, and which are duplicates.

Results are cached by path, size and modification time, so that a second examination takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coremlbench.system.files import atomic_write
from coremlbench.types.errors import InputError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.images import UnreadableImageError, decode
from coremlbench_datasets.parallel import in_processes

VERSION = 3
"""The version of the cache's format; a cache of another version is ignored."""

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
"""Files and folders, besides hidden ones, that operating systems create in folders."""

_SAVE_INTERVAL = 5000
"""Number of files after which the cache is saved, in case the process is stopped."""


@dataclass(frozen=True)
class Examined:
    """The result for one file: the hashes of its bytes and of its pixels, or the reason why it cannot be read.

    ``transient`` marks an error of the system, such as "Permission denied". It can disappear without a change of the
    file's size or time, so it is not cached.
    """

    path: Path
    file_hash: str = ""
    pixel_hash: str = ""
    reason: str = ""
    transient: bool = False


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a key for natural sort order: 2 before 10, numbers before letters, case ignored."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name


def printable(path: Path | str) -> str:
    """Return a path as text without surrogates: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def class_name(folder: Path) -> str:
    """Return the class name of a folder, in Unicode's form NFC: some systems store names in the form NFD."""
    return unicodedata.normalize("NFC", printable(folder.name))


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder in natural order, without hidden ones and those of the system."""
    return [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]


def files_below(folder: Path, excluded: Sequence[Path]) -> list[Path]:
    """Return the files in a folder and in folders below it, in natural order.

    Links are followed. Each real folder is entered once, and ``excluded`` ones (the dataset and its other classes)
    never, so that a link to them does not mix the classes.
    """
    seen = {_identity(other) for other in excluded} | {_identity(folder)}
    return list(_walk(folder, seen))


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    for entry in _entries(folder):
        path = folder / entry.name
        if not _is_folder(entry):
            yield path
        elif (identity := _identity(path)) not in seen:
            seen.add(identity)
            yield from _walk(path, seen)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [
                entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM_FILES
            ]
    except OSError as refused:
        raise InputError(f"The folder {printable(folder)!r} cannot be read: {refused.strerror}.") from refused
    return sorted(visible, key=lambda entry: natural_key(entry.name))


# --- examination ------------------------------------------------------------------------------------------------


def examine(files: Sequence[Path], cache: Path, report: ReportProgress) -> dict[Path, Examined]:
    """Return the result for each file, by path; files that have not changed since the last time are not read again.

    Args:
        files: The files to examine.
        cache: The file in which results are saved between runs.
        report: Called for each file, with the phase ``examine``.
    """
    known = _load(cache)
    results: dict[Path, Examined] = {}
    stamps: dict[Path, list[int]] = {}
    for path in files:
        stamps[path] = stamp = _stamp(path)
        entry = known.get(str(path))
        if entry is not None and entry[:2] == stamp:
            file_hash, pixel_hash, reason = map(str, entry[2:])
            results[path] = Examined(path, file_hash, pixel_hash, reason)
    missing = [path for path in files if path not in results]
    report("examine", len(results), len(files))
    try:
        for examined in in_processes(examine_file, missing):
            results[examined.path] = examined
            report("examine", len(results), len(files))
            if len(results) % _SAVE_INTERVAL == 0:
                _save(cache, results, stamps)
    finally:
        if missing:
            _save(cache, results, stamps)
    return results


def examine_file(path: Path) -> Examined:
    """Return the result for one file."""
    try:
        pixels = decode(path)
    except UnreadableImageError as unreadable:
        reason = "It is a link to nothing." if path.is_symlink() and not path.exists() else str(unreadable)
        cause = unreadable.__cause__
        return Examined(path, reason=reason, transient=isinstance(cause, OSError) and cause.errno is not None)
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.data)
    return Examined(path, hashlib.sha256(path.read_bytes()).hexdigest(), digest.hexdigest())


def _stamp(path: Path) -> list[int]:
    """Return size and modification time, -1 for both if they cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return [-1, -1]
    return [status.st_size, status.st_mtime_ns]


def _load(cache: Path) -> dict[str, list[object]]:
    """Return the cached results by path, empty for a cache that is missing, damaged or of another version."""
    try:
        content = json.loads(cache.read_text(encoding="ascii"))
        if content["version"] == VERSION:
            return {str(name): list(entry) for name, entry in content["files"].items() if len(entry) == 5}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _save(cache: Path, results: dict[Path, Examined], stamps: dict[Path, list[int]]) -> None:
    files = {
        str(path): [*stamps[path], result.file_hash, result.pixel_hash, result.reason]
        for path, result in results.items()
        if not result.transient
    }
    cache.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(cache, json.dumps({"version": VERSION, "files": files}).encode("ascii"))
