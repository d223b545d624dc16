"""Archives that mean harm, and those that do not."""

from __future__ import annotations

import io
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from coremlbench.types import InputError
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
