"""Look at every file of a folder of pictures: which can be read, and which are the same picture.

What was found is kept by path, size and time of change, so that a second look costs a second.
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

from coremlbench.types.errors import InputError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.images import UnreadableImageError, decode
from coremlbench_datasets.parallel import in_processes

VERSION = 2
"""The version of what is kept; kept results of another one are not used."""

_LITTER = {"thumbs.db", "desktop.ini", "__macosx"}
"""What systems leave in folders besides hidden files."""

_KEPT_EVERY = 5000
"""Files after which what was found so far is kept, should the rest be cut short."""


@dataclass(frozen=True)
class Examined:
    """What one file is: the hashes of its bytes and of its pixels, or the reason that it cannot be read.

    A reason is ``passing`` when the system gave it, as "Permission denied": it may be mended without a change of the
    file's size or time, so it is not kept.
    """

    path: Path
    file_hash: str = ""
    pixel_hash: str = ""
    reason: str = ""
    passing: bool = False


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a key that sorts names as people do: 2 before 10, numbers before letters, whatever the case."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name


def printable(path: Path | str) -> str:
    """Return a name as text that any record can hold: bytes that are no UTF-8 are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def class_name(folder: Path) -> str:
    """Return the class of a folder; systems spell one name in two ways (NFC, NFD), and it is one class."""
    return unicodedata.normalize("NFC", printable(folder.name))


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder in natural order, leaving out hidden ones and litter."""
    return [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]


def files_below(folder: Path, foreign: Sequence[Path]) -> list[Path]:
    """Return the files in a folder and in folders below it, in natural order.

    Links are followed, each real folder is entered once, and ``foreign`` ones (the dataset itself and its other
    classes) never: a link back up ends there instead of mixing the classes.
    """
    seen = {_identity(other) for other in foreign} | {_identity(folder)}
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
    found = folder.stat()
    return found.st_dev, found.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            kept = [one for one in entries if not one.name.startswith(".") and one.name.lower() not in _LITTER]
    except OSError as refused:
        raise InputError(f"The folder {printable(folder)!r} cannot be read: {refused.strerror}.") from refused
    return sorted(kept, key=lambda entry: natural_key(entry.name))


# --- the look itself --------------------------------------------------------------------------------------------


def examine(files: Sequence[Path], kept: Path, report: ReportProgress) -> dict[Path, Examined]:
    """Return what each file is, by path; files seen before and not changed since are not read again.

    Args:
        files: The files to look at.
        kept: The file that holds what was found, between runs.
        report: Told of each file, as phase ``examine``.
    """
    known = _load(kept)
    found: dict[Path, Examined] = {}
    stamps: dict[Path, list[int]] = {}
    for path in files:
        stamps[path] = stamp = _stamp(path)
        entry = known.get(str(path))
        if entry is not None and entry[:2] == stamp:
            file_hash, pixel_hash, reason = map(str, entry[2:])
            found[path] = Examined(path, file_hash, pixel_hash, reason)
    missing = [path for path in files if path not in found]
    report("examine", len(found), len(files))
    try:
        for examined in in_processes(look_at, missing):
            found[examined.path] = examined
            report("examine", len(found), len(files))
            if len(found) % _KEPT_EVERY == 0:
                _save(kept, found, stamps)
    finally:
        if missing:
            _save(kept, found, stamps)
    return found


def look_at(path: Path) -> Examined:
    """Return what one file is."""
    try:
        pixels = decode(path)
    except UnreadableImageError as unreadable:
        reason = "It is a link to nothing." if path.is_symlink() and not path.exists() else str(unreadable)
        cause = unreadable.__cause__
        return Examined(path, reason=reason, passing=isinstance(cause, OSError) and cause.errno is not None)
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.data)
    return Examined(path, hashlib.sha256(path.read_bytes()).hexdigest(), digest.hexdigest())


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [-1, -1]
    return [found.st_size, found.st_mtime_ns]


def _load(kept: Path) -> dict[str, list[object]]:
    """Return what was kept; anything odd about it is as good as nothing kept."""
    try:
        content = json.loads(kept.read_text(encoding="ascii"))
        if content["version"] == VERSION:
            return {str(name): list(entry) for name, entry in content["files"].items() if len(entry) == 5}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _save(kept: Path, found: dict[Path, Examined], stamps: dict[Path, list[int]]) -> None:
    files = {
        str(path): [*stamps[path], one.file_hash, one.pixel_hash, one.reason]
        for path, one in found.items()
        if not one.passing
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps({"version": VERSION, "files": files}), encoding="ascii")
        temporary.replace(kept)
    finally:
        temporary.unlink(missing_ok=True)
