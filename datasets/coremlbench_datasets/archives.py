"""Unpack what is wanted of an archive, and nothing anywhere else."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from coremlbench.types import InputError, ReportProgress

MEMBER_LIMIT = 64 << 20
"""Bytes of one member past which it is no picture or list of pictures."""

TOTAL_LIMIT = 16 << 30
"""Bytes past which what comes out of an archive is no data set of ours."""

BLOCK = 1 << 20

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
    try:
        with _members(archive) as members:
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
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as broken:
        raise InputError(f"{archive} cannot be unpacked ({broken}); fetch it again.") from broken
    return count


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    """Give the members of a zip or a tar file, however that is compressed."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield (_zip_member(opened, info) for info in opened.infolist())
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed:
            yield (_tar_member(packed, info) for info in packed)
    else:
        raise InputError(f"{archive} is neither a zip nor a tar file; give the archive as it was downloaded.")


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
    source = member.open()
    if source is None:
        raise _refused(archive, member, "holds nothing")
    written = 0
    with source, target.open("xb") as file:
        while written <= MEMBER_LIMIT and member.size <= MEMBER_LIMIT:
            block = source.read(BLOCK)
            if not block:
                return written
            file.write(block)
            written += len(block)
    raise _refused(archive, member, f"is larger than {MEMBER_LIMIT:,} bytes")


def _refused(archive: Path, member: _Member, why: str) -> InputError:
    return InputError(f"{archive} was not used: its member {member.name!r} {why}.")
