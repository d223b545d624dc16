"""Files that are whole or absent: what is written here is never seen half way. And what a folder holds."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

TEMPORARY_PREFIX = ".writing-"
"""What the name of a file begins with while it is being written; one that stays behind may be removed."""


def slug(name: str) -> str:
    """Return a name as files and folders can bear it: no way up or out of a folder, and not empty."""
    return re.sub(r"\.{2,}|[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"


def atomic_write(path: Path, data: bytes) -> None:
    """Leave ``data`` at ``path``, or whatever was there before: also when the process or the machine dies.

    Raises ``OSError`` (a full disk, no permission, no such folder) and leaves no temporary file behind then.
    """
    with atomic_writer(path) as file:
        file.write(data)


def write_new(path: Path, data: bytes) -> None:
    """Leave ``data`` at ``path`` as ``atomic_write`` does, and never in another file's place.

    Raises ``FileExistsError`` when there is one, ``OSError`` as ``atomic_write``.
    """
    with _written(path, _take_a_free_name) as file:
        file.write(data)


def atomic_writer(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Give a file to write to; when the block ends well its content is at ``path``, else what was there before.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one step. Raises
    ``OSError`` as ``atomic_write`` does.
    """
    return _written(path, Path.replace)


@contextmanager
def _written(path: Path, name_it: Callable[[Path, Path], object]) -> Iterator[IO[bytes]]:
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        name_it(Path(name), path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - it is a name, not a Path, up to here
        raise
    _sync_folder(path.parent)


def _take_a_free_name(temporary: Path, path: Path) -> None:
    """Give a file its name: a link is refused when the name is taken, at any moment."""
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


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; whoever writes there holds its lock."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_folder(folder: Path) -> tuple[str, int]:
    """Return the SHA-256 over the names and contents of a folder's files, and their size in bytes together."""
    digest, size = hashlib.sha256(), 0
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
        size += len(content)
    return digest.hexdigest(), size


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder as ``hash_folder`` has it."""
    return hash_folder(path)[0] if path.is_dir() else hash_file(path)


def _sync_folder(folder: Path) -> None:
    """Make a new name in ``folder`` last; some file systems cannot, and lose nothing but the promise."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    """Return the permissions that new files do not get; the only way to ask is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def allocate(path: Path, size: int) -> None:
    """Create a file of ``size`` bytes that really has its room on the disk.

    A memory-mapped file with holes in it would end the process with SIGBUS on a full disk; this raises OSError. It is
    a new file: what was there before may be another run's too, by a link.
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
