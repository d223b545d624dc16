"""Archives that mean harm, and those that do not."""

from __future__ import annotations

import errno
import io
import resource
import stat
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coremlbench.types.errors import InputError
from coremlbench_datasets import archives
from coremlbench_datasets.archives import unpack

Entry = tuple[str, bytes | str]
"""A member: its name, and its content, or ``-> target`` for a link, or the name of a kind of device."""


def report(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    """Listen to nothing."""


def make_tar(path: Path, *entries: Entry) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                continue
            kind, _, target = content.partition(" ")
            info.type = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE}.get(
                kind, tarfile.CHRTYPE
            )
            info.linkname = target
            archive.addfile(info)
    return path


def make_zip(path: Path, *entries: Entry) -> Path:
    kinds = {"symlink": stat.S_IFLNK, "fifo": stat.S_IFIFO, "device": stat.S_IFCHR}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            info = zipfile.ZipInfo()
            info.filename = name
            if isinstance(content, str):
                kind, _, target = content.partition(" ")
                info.external_attr = (kinds[kind] | 0o777) << 16
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a name that is there twice: that is the point
                archive.writestr(info, content if isinstance(content, bytes) else target)
    return path


def everything(name: str) -> PurePosixPath:
    """Trust every name: the hardest case for the unpacking itself."""
    return PurePosixPath(name)


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_what_is_wanted_is_unpacked(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "a", ("top/in/1.jpg", b"one"), ("top/out/2.jpg", b"two"), ("top/in/3.txt", b"three"))

    def place(name: str) -> PurePosixPath | None:
        return PurePosixPath("new", name.rsplit("/", 1)[-1]) if "/in/" in name else None

    assert unpack(archive, tmp_path / "into", place, report) == 2
    assert below(tmp_path / "into") == {"new/1.jpg", "new/3.txt"}
    assert (tmp_path / "into/new/1.jpg").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("make", "name", "content", "why"),
    [
        (make, name, content, why)
        for make in (make_tar, make_zip)
        for name, content, why in (
            ("/tmp/evil", b"x", "absolute"),
            ("../evil", b"x", "leads out"),
            ("a/../../evil", b"x", "leads out"),
            ("..\\evil", b"x", "leads out"),
            ("C:\\evil", b"x", "absolute"),
            ("link", "symlink ../evil", "is a link"),
            ("link", "symlink /etc", "is a link"),
            ("pipe", "fifo ", "is a device"),
            ("tty", "device ", "is a device"),
            ("good.jpg", b"again", "overwrite"),
        )
    ]
    + [(make_tar, "link", "hardlink good.jpg", "is a link")],
)
def test_hostile_members_are_refused_and_named(
    tmp_path: Path, make: Callable[..., Path], name: str, content: bytes | str, why: str
) -> None:
    archive = make(tmp_path / "archive", ("good.jpg", b"good"), (name, content))
    (tmp_path / "deep").mkdir()
    with pytest.raises(InputError, match=why) as refused:
        unpack(archive, tmp_path / "deep" / "into", everything, report)
    assert repr(name) in str(refused.value)
    assert below(tmp_path) == {"archive", "deep/into/good.jpg"}


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_members_past_the_limit_are_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "archive", ("huge.jpg", bytes(archives.MEMBER_LIMIT + 1)))
    with pytest.raises(InputError, match=r"'huge\.jpg' is larger"):
        unpack(archive, tmp_path / "into", everything, report)


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.jpg", bytes(3_000_000))
    content = archive.read_bytes()
    lie = content.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != content
    archive.write_bytes(lie)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "into", everything, report)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_broken_archives_say_so(tmp_path: Path, make: Callable[..., Path], share: float) -> None:
    archive = make(tmp_path / "archive", *((f"{number}.jpg", bytes(range(256)) * 40) for number in range(9)))
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    with pytest.raises(InputError, match=r"archive (is neither|cannot be unpacked)"):
        unpack(archive, tmp_path / "into", everything, report)


CONTENTS = {f"{number}.jpg": bytes((number * step) % 251 for step in range(3000)) for number in range(4)}


def make(path: Path, kind: str) -> Path:
    """Pack the pictures as ``tar.xz``, ``zip.12`` (bzip2) and the like."""
    form, _, compression = kind.partition(".")
    if form == "zip":
        with zipfile.ZipFile(path, "w", int(compression)) as archive:
            for name, content in CONTENTS.items():
                archive.writestr(zipfile.ZipInfo(name), content, int(compression))  # without the time of day
        return path
    mode: Any = f"w:{compression}"
    with tarfile.open(path, mode) as packed:
        for name, content in CONTENTS.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


@settings(max_examples=150)
@given(
    st.sampled_from(["tar.gz", "tar.bz2", "tar.xz", "zip.0", "zip.8", "zip.12", "zip.14"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
)
@example("zip.12", 0.1, 0)  # OSError without a number
@example("zip.14", 0.1, 0)  # lzma.LZMAError
@example("tar.xz", 0.7, 0)
@example("tar.gz", 0.999, 0)  # the last byte of the length, which tarfile never reads
def test_any_wrong_byte_is_told_or_does_no_harm(kind: str, place: float, value: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive, into = make(Path(folder, "archive"), kind), Path(folder, "into")
        content = bytearray(archive.read_bytes())
        spot = int(place * len(content))
        content[spot] = value if content[spot] != value else value ^ 0xFF
        archive.write_bytes(content)
        try:
            unpack(archive, into, everything, report)
        except InputError as error:
            assert str(archive) in str(error)  # noqa: PT017 - most wrong bytes are refused, and some are in a date
        else:
            found = {name: (into / name).read_bytes() for name in below(into)}
            # A zip's directory holds the names, and how long it is itself, without a checksum.
            assert found == CONTENTS or (kind.startswith("zip") and {*found.values()} <= {*CONTENTS.values()})


def test_a_directory_at_a_wrong_place_is_told(tmp_path: Path) -> None:
    archive = make(tmp_path / "archive", "zip.0")
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x05\x06") + 16] ^= 0xFF  # its offset, by which members are before the file's begin
    archive.write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "into", everything, report)


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "archive", ("\u00e9\u00e9.jpg", b"x"))
    archive.write_bytes(archive.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "into", everything, report)


def test_a_disk_that_takes_no_more_is_no_broken_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the limit would cut it short
    archive = make(tmp_path / "archive", "tar.gz")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # Python ignores SIGXFSZ and gets an error in its place
    try:
        with pytest.raises(OSError, match="too large") as refused:
            unpack(archive, tmp_path / "into", everything, report)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.errno == errno.EFBIG
