"""macOS's footprint of this process, read through a simulated C library."""

import ctypes
import os
from typing import Any

import pytest

from coremlbench.system import macos
from coremlbench.system.footprint import RusageInfo, peak_footprint


class Library:
    """A C library that gives each number of the structure its index in megabytes, or refuses."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.calls: list[tuple[int, int]] = []

    def proc_pid_rusage(self, pid: int, version: int, info: Any) -> int:
        self.calls.append((pid, version))
        numbers = ctypes.cast(info, ctypes.POINTER(RusageInfo)).contents.numbers
        for index in range(len(numbers)):
            numbers[index] = index * 1_000_000
        return self.status


def test_the_structure_is_as_long_as_macos_has_it() -> None:
    assert ctypes.sizeof(RusageInfo) == 16 + 35 * 8


@pytest.mark.parametrize(("status", "expected"), [(0, 28_000_000), (-1, None)])
def test_the_peak_of_this_process_is_read(status: int, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macos, "is_macos", lambda: True)
    library = Library(status)
    assert peak_footprint(library) == expected
    assert library.calls == [(os.getpid(), 4)]


def test_other_systems_and_libraries_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macos, "is_macos", lambda: False)
    assert peak_footprint(Library()) is None
    monkeypatch.setattr(macos, "is_macos", lambda: True)
    assert peak_footprint(object()) is None
