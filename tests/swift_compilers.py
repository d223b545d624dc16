"""Swift compilers that find the modules of a stand-in, for the tests of our programs in Swift."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

REQUIRED = "COREMLBENCH_REQUIRE_SWIFT"
"""Set where the machine should have a Swift compiler: then its absence is a failure, and no reason to skip tests."""


def check_swift(program: str) -> None:
    """Skip a test of ``program`` where there is no Swift compiler, or fail it where there should be one."""
    if shutil.which("swiftc") is None:
        reason = f"There is no Swift compiler on PATH (swiftc), which compiles {program}; see swift.org/install."
        pytest.fail(reason) if os.environ.get(REQUIRED) else pytest.skip(reason)


def build_compiler(sources: Path, folder: Path) -> Path:
    """Return a compiler that finds the stand-in's modules, made once in a folder that several processes share.

    ``sources`` holds the stand-in and its ``build.sh``, which writes the program ``swiftc`` into ``folder``.
    """
    with FileLock(folder.with_suffix(".lock")):
        compiler = folder / "swiftc"
        if not compiler.is_file():
            made = subprocess.run([str(sources / "build.sh"), str(folder)], capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
    return compiler
