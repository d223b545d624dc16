"""Unpack what is wanted of an archive, and nothing anywhere else."""

from __future__ import annotations

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
"""Bytes of one member past which it is no picture or list of pictures."""

TOTAL_LIMIT = 16 << 30
"""Bytes past which what comes out of an archive is no data set of ours."""

BLOCK = 1 << 20

ARCHIVE_ERRORS: tuple[type[Exception], ...] = (
    tarfile.TarError,  # a tar file's headers
    zipfile.BadZipFile,  # a zip file's directory and checksums
    zlib.error,  # damaged data in deflate's format
    EOFError,  # a compressed stream that ends too early
    RuntimeError,  # of zipfile: an encrypted member, or a compression that this Python was built without
    UnicodeDecodeError,  # of zipfile: a name that claims to be UTF-8
    struct.error,  # of zipfile: fields shorter than they say
)
"""What Python's readers raise for a broken archive, besides ``OSError`` without a number: of gzip for a header or a
checksum, of bz2 for damaged data."""
with suppress(ImportError):  # a Python may be built without it, and opens no such archive then
    import lzma

    ARCHIVE_ERRORS = (*ARCHIVE_ERRORS, lzma.LZMAError)

Place = Callable[[str], PurePosixPath | None]
"""From a member's name to where it is wanted, relative to the folder, or ``None``."""


@dataclass(frozen=True)
class _Member:
    """One entry of an archive. ``kind`` is ``file``, ``folder``, or a word for what must not be in it."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, into: Path, place: Place, report: ReportProgress) -> int:
    """Return how many members were unpacked into the folder, each where ``place`` wants it.

    Nothing is written outside ``into``: an archive that holds an absolute name, a way upwards, a link, a device or a
    member of absurd size is refused as a whole, since it is not what it pretends to be.

    Raises:
        InputError: it is no archive, it is broken, or it holds such a member, which is named.
    """
    written = count = 0
    with closing(_members(archive)) as members:
        for member in members:
            _check(archive, member)
            wanted = place(member.name) if member.kind == "file" else None
            if wanted is None:
                continue
            target = into / wanted
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
    """Turn what a broken archive raises into an ``InputError``.

    It stands around reading alone: an ``OSError`` with a number is the machine's, such as a full disk, and so is what
    the writing raises.
    """
    try:
        yield
    except OSError as broken:
        if broken.errno is not None:
            raise
        raise _broken(archive, broken) from broken
    except ARCHIVE_ERRORS as broken:
        raise _broken(archive, broken) from broken


def _members(archive: Path) -> Generator[_Member, None, None]:
    """Yield the members of a zip or a tar file, however that is compressed, and read that to its end."""
    with _reading(archive):
        opened = _opened(archive)
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


def _opened(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    if tarfile.is_tarfile(archive):
        return tarfile.open(archive)
    raise InputError(f"{archive} is neither a zip nor a tar file; give the archive as it was downloaded.")


def read_to_end(archive: tarfile.TarFile) -> None:
    """Read what follows the last member: the checksum of a compressed stream is looked at when all of it was read."""
    read = 0
    while archive.fileobj is not None and read <= TOTAL_LIMIT and (block := archive.fileobj.read(BLOCK)):
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
    """Raise unless the member may be in an archive that is unpacked here."""
    parts = member.name.replace("\\", "/").split("/")
    if not parts[0] or ":" in parts[0] or "\0" in member.name:
        raise _refused(archive, member, "has an absolute name")
    if ".." in parts:
        raise _refused(archive, member, "leads out of the folder")
    if member.kind not in {"file", "folder"}:
        raise _refused(archive, member, f"is {member.kind}")


def _copy(archive: Path, member: _Member, target: Path) -> int:
    """Write one member; what its header says of its size is not believed."""
    with _reading(archive):
        source = member.open()
    if source is None:
        raise _refused(archive, member, "holds nothing")
    written = 0
    with source, target.open("xb") as file:
        while written <= MEMBER_LIMIT and member.size <= MEMBER_LIMIT:
            with _reading(archive):
                block = source.read(BLOCK)
            if not block:
                return written
            file.write(block)
            written += len(block)
    raise _refused(archive, member, f"is larger than {MEMBER_LIMIT:,} bytes")


def _broken(archive: Path, reason: Exception) -> InputError:
    return InputError(f"{archive} cannot be unpacked ({reason or type(reason).__name__}); fetch it again.")


def _refused(archive: Path, member: _Member, why: str) -> InputError:
    return InputError(f"{archive} was not used: its member {member.name!r} {why}.")
