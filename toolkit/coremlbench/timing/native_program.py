"""The native runner: a program in Swift that times Core ML without Python in the process."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from coremlbench.system import macos
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.paths import cache_folder
from coremlbench.system.swift_programs import SwiftCompilerError, SwiftProgram
from coremlbench.types.errors import InputError

SOURCES = Path(__file__).with_name("swift")
COMPILER_VARIABLE = "COREMLBENCH_NATIVE_SWIFTC"
"""Names another compiler than ``xcrun swiftc``. The tests compile with it against a stand-in for Core ML."""
NATIVE_RUNNER = SwiftProgram(
    name="coreml_runner",
    sources=SOURCES,
    title="the native runner",
    cache="timing/programs",
    compiler_variable=COMPILER_VARIABLE,
)


def ensure_native_runner() -> Path:
    """Return the native runner, which is compiled if the cache does not have it.

    Raises:
        InputError: this is not macOS, or there is no compiler for Swift.
    """
    if not macos.is_macos() and COMPILER_VARIABLE not in os.environ:
        command = advised_command("convert-and-time", "--kit", "kit", "--native")
        raise InputError(
            f"The native runner needs Core ML, which is part of macOS, and this is {platform.system()}; leave out "
            f"--runner native, or pack a kit for a Mac with `{command}`."
        )
    try:
        return NATIVE_RUNNER.ensure(cache_folder(), lambda _: None)
    except SwiftCompilerError as error:
        raise InputError(str(error)) from error
