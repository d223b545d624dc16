"""Files that are to survive a power failure."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from coremlbench.system.files import atomic_write, folder_bytes

FULL_SYNC = 51
"""macOS's number of ``F_FULLFSYNC``; on Linux there is no such command."""


class Disk:
    """Records which files and folders are flushed to the disk, and how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refuses: bool = False) -> None:
        self.flushed: list[str] = []
        self.refuses = refuses
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", FULL_SYNC, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", self.fcntl)
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fcntl(self, descriptor: int, command: int, *arguments: Any) -> int:
        assert command == FULL_SYNC
        if self.refuses:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        self.flushed.append(f"full sync of a {kind(descriptor)}")
        return 0

    def fsync(self, descriptor: int) -> None:
        self.flushed.append(f"sync of a {kind(descriptor)}")


def kind(descriptor: int) -> str:
    return "folder" if os.fstat(descriptor).st_mode & 0o040000 else "file"


def test_on_macos_a_file_and_its_name_reach_the_disk_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    atomic_write(tmp_path / "run.json", b"{}")
    assert disk.flushed == ["full sync of a file", "full sync of a folder"]
    assert (tmp_path / "run.json").read_bytes() == b"{}"


def test_a_file_system_without_full_syncs_gets_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, refuses=True)
    atomic_write(tmp_path / "run.json", b"{}")
    assert disk.flushed == ["sync of a file", "sync of a folder"]


def test_other_systems_sync_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    monkeypatch.delattr(fcntl, "F_FULLFSYNC")
    atomic_write(tmp_path / "run.json", b"{}")
    assert disk.flushed == ["sync of a file", "sync of a folder"]


def test_the_bytes_of_a_folder_are_those_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "weight.bin").write_bytes(bytes(1000))
    (tmp_path / "model.mil").write_bytes(bytes(24))
    assert folder_bytes(tmp_path) == 1024
