"""Unpack selected members of an untrusted archive safely."""

from __future__ import annotations

import errno
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from coremlbench.types.errors import InputError
from coremlbench.types.process import ReportProgress

MEMBER_LIMIT = 64 << 20
"""The most bytes of one member: an image or a list of images."""

TOTAL_LIMIT = 16 << 30
"""The most bytes that are unpacked from one archive."""

BLOCK_BYTES = 1 << 20

ARCHIVE_ERRORS: tuple[type[Exception], ...] = (
    tarfile.TarError,  # a tar file's headers
    zipfile.BadZipFile,  # a zip file's directory and checksums
    zlib.error,  # damaged data in deflate's format
    EOFError,  # a compressed stream that ends too early
    RuntimeError,  # of zipfile: an encrypted member, or a compression that this Python was built without
    UnicodeDecodeError,  # of zipfile: a name that claims to be UTF-8
    struct.error,  # of zipfile: fields shorter than they say
)
"""The exceptions of Python's readers for a damaged archive.

There is also ``OSError`` without ``errno``, which gzip raises for headers and checksums and bz2 for damaged data.
"""
with suppress(ImportError):  # Python may be built without lzma
    import lzma

    ARCHIVE_ERRORS = (*ARCHIVE_ERRORS, lzma.LZMAError)

TargetOf = Callable[[str], PurePosixPath | None]
"""Returns the path, relative to the folder, to unpack a member to by its name; ``None`` to skip it."""


@dataclass(frozen=True)
class _Member:
    """One entry of an archive; ``kind`` is ``file``, ``folder``, or a forbidden kind in words, as "a link"."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, into: Path, target_of: TargetOf, report: ReportProgress) -> int:
    """Unpack members to the paths that ``target_of`` gives, and return their number.

    Nothing is written outside ``into``. An archive with an absolute name, "..", a link, a device or a member that is
    too large is rejected.

    Raises:
        InputError: it is not an archive, it is damaged, or it has such a member, which the message names.
    """
    written = count = 0
    with closing(_members(archive)) as members:
        for member in members:
            _check(archive, member)
            relative = target_of(member.name) if member.kind == "file" else None
            if relative is None:
                continue
            target = into / relative
            if not target.resolve().is_relative_to(into.resolve()) or target.exists():
                raise _refused(archive, member, "would overwrite another file")
            target.parent.mkdir(parents=True, exist_ok=True)
            written += _copy(archive, member, target)
            if written > TOTAL_LIMIT:
                raise InputError(f"{archive} unpacks to more than {TOTAL_LIMIT:,} bytes and was not used.")
            count += 1
            report("unpack", count, 0, archive.name)
    return count


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn the exceptions that reading a damaged archive raises into ``InputError``.

    It is used around reads only. An ``OSError`` with another ``errno`` than ``EINVAL`` is an error of the machine and
    passes; ``EINVAL`` is a damaged offset, to which the file cannot be positioned.
    """
    try:
        yield
    except OSError as broken:
        if broken.errno not in {None, errno.EINVAL}:
            raise
        raise _broken(archive, broken) from broken
    except ARCHIVE_ERRORS as broken:
        raise _broken(archive, broken) from broken


def _members(archive: Path) -> Generator[_Member, None, None]:
    """Yield the members of a zip or tar file; read a tar file to its end, to check its checksum."""
    with _reading(archive):
        opened = _open_archive(archive)
    with opened:
        if isinstance(opened, zipfile.ZipFile):
            members = (_zip_member(opened, info) for info in opened.infolist())
        else:
            members = (_tar_member(opened, info) for info in opened)
        while True:
            with _reading(archive):
                member = next(members, None)
            if member is None:
                break
            yield member
        if isinstance(opened, tarfile.TarFile):
            with _reading(archive):
                read_to_end(opened)


def _open_archive(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    if tarfile.is_tarfile(archive):
        return tarfile.open(archive)
    raise InputError(f"{archive} is neither a zip nor a tar file; give the archive as it was downloaded.")


def read_to_end(archive: tarfile.TarFile) -> None:
    """Read the rest of a compressed stream, at the end of which its checksum is tested."""
    read = 0
    while archive.fileobj is not None and read <= TOTAL_LIMIT and (block := archive.fileobj.read(BLOCK_BYTES)):
        read += len(block)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    kind = "folder" if info.is_dir() else "file"
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        kind = "a link" if stat.S_ISLNK(mode) else "a device"
    return _Member(info.filename, kind, info.file_size, lambda: archive.open(info))


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    kind = "file" if info.isreg() else "folder" if info.isdir() else "a device"
    if info.issym() or info.islnk():
        kind = "a link"
    return _Member(info.name, kind, info.size, lambda: archive.extractfile(info))


def _check(archive: Path, member: _Member) -> None:
    """Raise ``InputError`` for a member with an unsafe name or kind."""
    parts = member.name.replace("\\", "/").split("/")
    if not parts[0] or ":" in parts[0] or "\0" in member.name:
        raise _refused(archive, member, "has an absolute name")
    if ".." in parts:
        raise _refused(archive, member, "leads out of the folder")
    if member.kind not in {"file", "folder"}:
        raise _refused(archive, member, f"is {member.kind}")


def _copy(archive: Path, member: _Member, target: Path) -> int:
    """Write one member and return its bytes, which are counted: the size in its header may be wrong."""
    with _reading(archive):
        source = member.open()
    if source is None:
        raise _refused(archive, member, "holds nothing")
    written = 0
    with source, target.open("xb") as file:
        while written <= MEMBER_LIMIT and member.size <= MEMBER_LIMIT:
            with _reading(archive):
                block = source.read(BLOCK_BYTES)
            if not block:
                return written
            file.write(block)
            written += len(block)
    raise _refused(archive, member, f"is larger than {MEMBER_LIMIT:,} bytes")


def _broken(archive: Path, reason: Exception) -> InputError:
    return InputError(f"{archive} cannot be unpacked ({reason or type(reason).__name__}); fetch it again.")


def _refused(archive: Path, member: _Member, why: str) -> InputError:
    return InputError(f"{archive} was not used: its member {member.name!r} {why}.")
