"""Create ML's program: compiled from the Swift sources of this package on the user's Mac, and kept in the cache."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from coremlbench.system.swift_programs import SwiftCompilerError, SwiftProgram

__all__ = ["SwiftCompilerError", "compiler_command", "ensure_program", "program_key", "source_files", "why_unavailable"]

SOURCES = Path(__file__).with_name("swift")
PROGRAM = "createml_worker"
COMPILER_VARIABLE = "COREMLBENCH_SWIFTC"
"""Names another compiler than ``xcrun swiftc``. The tests compile with it against a stand-in for Create ML."""
INSTALL_XCODE = (
    "install Xcode from the App Store and choose it with `sudo xcode-select -s /Applications/Xcode.app`, then run this "
    "again"
)


def why_unavailable() -> str:
    """Return why Create ML cannot run here, as the beginning of a sentence; "" when it can."""
    if platform.system() == "Darwin" or COMPILER_VARIABLE in os.environ:
        return ""
    return f"Create ML is part of macOS, and this is {platform.system()}"


def ensure_program(cache: Path, report: Callable[[str], None]) -> Path:
    """Return the compiled program; see ``SwiftProgram.ensure``.

    Raises:
        SwiftCompilerError: there is no compiler, or it fails; the message says what to install.
    """
    return _program().ensure(cache, report)


def compiler_command() -> tuple[str, ...]:
    """Return the command that compiles Swift."""
    return _program().compiler_command()


def program_key(compiler: Sequence[str], version: str, system: str) -> str:
    """Return the name of the program's folder; see ``SwiftProgram.key``."""
    return _program().key(compiler, version, system)


def source_files() -> list[Path]:
    """Return the program's Swift files."""
    return _program().source_files()


def _program() -> SwiftProgram:
    return SwiftProgram(
        name=PROGRAM,
        sources=SOURCES,
        title="the program that starts Create ML",
        cache="createml/programs",
        compiler_variable=COMPILER_VARIABLE,
        remedy=INSTALL_XCODE,
    )
