"""Atomic writes, hashes of files and folders, safe file names."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

APPLE_DOUBLE_PREFIX = "._"
MACOS_NAMES = (".DS_Store", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", ".DocumentRevisions-V100")
SYSTEM_NAMES = frozenset((*MACOS_NAMES, ".apdisk", "Icon\r", "System Volume Information", "Thumbs.db", "desktop.ini"))
"""Files and folders that macOS and Windows leave on disks and in folders that they show."""

TEMPORARY_PREFIX = ".writing-"
"""Prefix of a file's name while it is written. One that a killed process left may be removed."""


def slug(name: str) -> str:
    """Return a name that is safe for a file or folder: no separators, no "..", not empty, at most 60 characters."""
    return re.sub(r"\.{2,}|[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step: a crash leaves the old file or the new one, never a part.

    Raises ``OSError`` (a full disk, no permission, no such folder); then no temporary file is left.
    """
    with atomic_writer(path) as file:
        file.write(data)


def write_new(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` as ``atomic_write`` does, but never replace a file.

    Raises ``FileExistsError`` if there is one, ``OSError`` as ``atomic_write``.
    """
    with _temporary_file(path, _rename_without_replacing) as file:
        file.write(data)


def atomic_writer(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Give a file to write to; at the end of the block it replaces ``path``, after an exception nothing changes.

    It is a temporary file in the same folder, which is flushed to the disk and renamed. Raises ``OSError`` as
    ``atomic_write`` does.
    """
    return _temporary_file(path, Path.replace)


@contextmanager
def _temporary_file(path: Path, rename: Callable[[Path, Path], object]) -> Iterator[IO[bytes]]:
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            sync_to_disk(file.fileno())
        rename(Path(name), path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - it is a name, not a Path, up to here
        raise
    _sync_folder(path.parent)


def _rename_without_replacing(temporary: Path, path: Path) -> None:
    """Rename a file by a hard link, which fails if the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)
    else:
        temporary.unlink()


def nearest_existing(path: Path) -> Path:
    """Return ``path``, or the nearest parent that exists, which need not be a folder; absolute."""
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if os.path.lexists(parent))


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; the caller holds the folder's lock."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def is_system_file(path: Path) -> bool:
    """Return whether a file or folder is one that an operating system left, no content.

    On disks without extended attributes, as exFAT, macOS writes those of a file ``name`` to ``._name`` beside it.
    """
    return path.name in SYSTEM_NAMES or (path.name.startswith(APPLE_DOUBLE_PREFIX) and not path.is_dir())


def content_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in the order of their paths, without those that an operating system left.

    Links are yielded too, and not followed into folders.
    """
    for path in sorted(folder.iterdir()):
        if is_system_file(path):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from content_files(path)
        else:
            yield path


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_folder(folder: Path) -> tuple[str, int]:
    """Return the SHA-256 over the names and contents of a folder's files, and their total size in bytes.

    What an operating system left in the folder does not count.
    """
    digest, size = hashlib.sha256(), 0
    for path in sorted(file for file in content_files(folder) if file.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
        size += len(content)
    return digest.hexdigest(), size


def folder_bytes(folder: Path) -> int:
    """Return the total size of the files in a folder, in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder as by ``hash_folder``."""
    return hash_folder(path)[0] if path.is_dir() else hash_file(path)


def _sync_folder(folder: Path) -> None:
    """Flush a rename in ``folder`` to the disk, on file systems that can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync_to_disk(descriptor)
        finally:
            os.close(descriptor)


def sync_to_disk(descriptor: int) -> None:
    """Wait until the disk itself has what was written to a file or folder.

    On macOS ``fsync`` leaves the data in the disk's own cache, which a power failure empties; ``F_FULLFSYNC`` does not.
    Some file systems, such as those of servers, refuse it. Raises ``OSError`` when the data cannot be written.
    """
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:
        with suppress(OSError):
            fcntl.fcntl(descriptor, full_sync)
            return
    os.fsync(descriptor)


def _umask() -> int:
    """Return the process's umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def allocate(path: Path, size: int) -> None:
    """Create a file of ``size`` bytes with all its blocks allocated; raises ``OSError`` on a full disk.

    Writing to a memory-mapped sparse file ends the process with SIGBUS on a full disk. The file is always a new one,
    as an old one at ``path`` may be hard-linked into another run.
    """
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
            return
        block = bytes(1 << 20)  # macOS has no posix_fallocate
        for start in range(0, size, len(block)):
            file.write(block[: min(len(block), size - start)])
