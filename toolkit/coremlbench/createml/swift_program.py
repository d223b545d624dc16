"""Create ML's program: compiled from the Swift sources of this package on the user's Mac, and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from coremlbench.types.errors import CoremlbenchError

SOURCES = Path(__file__).with_name("swift")
PROGRAM = "createml_worker"
COMPILER_VARIABLE = "COREMLBENCH_SWIFTC"
"""Names another command than ``COMPILER``. The tests compile with it against a stand-in for Create ML."""
COMPILER = ("xcrun", "swiftc")
FLAGS = ("-swift-version", "5", "-O", "-parse-as-library", "-module-name", PROGRAM)
ERROR = re.compile(r"error: .*")
INSTALL_TOOLS = "install Apple's Command Line Tools with `xcode-select --install`, then run this again"
INSTALL_XCODE = (
    "install Xcode from the App Store and choose it with `sudo xcode-select -s /Applications/Xcode.app`, then run this "
    "again"
)


class SwiftCompilerError(CoremlbenchError):
    """The program could not be compiled."""


def why_unavailable() -> str:
    """Return why Create ML cannot run here, as the beginning of a sentence; "" when it can."""
    if platform.system() == "Darwin" or COMPILER_VARIABLE in os.environ:
        return ""
    return f"Create ML is part of macOS, and this is {platform.system()}"


def ensure_program(cache: Path, report: Callable[[str], None]) -> Path:
    """Return the compiled program, which is made first if the cache has none of these sources, compiler and system.

    A file lock makes a second process wait for the first, and the program is renamed into place once it is whole.
    ``report`` is called with messages on the progress.

    Raises:
        SwiftCompilerError: there is no compiler, or it fails; the message says what to install.
    """
    from coremlbench.system.locks import locked

    compiler = compiler_command()
    version = _compiler_version(compiler)
    folder = cache / "createml" / "programs" / program_key(compiler, version, _system_build())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), report):
        if not (folder / PROGRAM).is_file():
            for leftover in folder.parent.glob(f"{folder.name}-*.building"):
                shutil.rmtree(leftover, ignore_errors=True)
            report(f"compiling the program that starts Create ML, with {version}")
            building = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}.building")
            building.mkdir()
            _compile(compiler, version, building / PROGRAM)
            shutil.rmtree(folder, ignore_errors=True)
            building.rename(folder)
    return folder / PROGRAM


def compiler_command() -> tuple[str, ...]:
    """Return the command that compiles Swift."""
    return tuple(shlex.split(os.environ.get(COMPILER_VARIABLE, ""))) or COMPILER


def program_key(compiler: Sequence[str], version: str, system: str) -> str:
    """Return the name of the program's folder: a hash of the sources, the flags, the compiler and the system."""
    digest = hashlib.sha256("\0".join((*compiler, *FLAGS, version, system, platform.machine())).encode())
    for source in source_files():
        digest.update(f"\0{source.name}\0".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def source_files() -> list[Path]:
    """Return the program's Swift files."""
    return sorted(SOURCES.glob("*.swift"))


def _compiler_version(compiler: Sequence[str]) -> str:
    """Return the first line of what the compiler says of itself.

    Raises:
        SwiftCompilerError: it does not start, or says nothing.
    """
    try:
        ended = _run([*compiler, "--version"])
    except OSError as error:
        reason = f"{error.strerror or error}: {compiler[0]}"
    else:
        lines = [line for line in ended.stdout.splitlines() if "version" in line.lower()]
        if ended.returncode == 0 and lines:
            return lines[0].strip()
        reason = _first_line(ended.stderr) or f"exit status {ended.returncode}"
    raise SwiftCompilerError(f"The program that starts Create ML needs a Swift compiler ({reason}); {INSTALL_TOOLS}.")


def _compile(compiler: Sequence[str], version: str, program: Path) -> None:
    """Compile the program.

    Raises:
        SwiftCompilerError: the compiler fails; the message holds its first error.
    """
    ended = _run([*compiler, *FLAGS, *map(str, source_files()), "-o", str(program)])
    if ended.returncode == 0 and program.is_file():
        return
    errors = ERROR.findall(ended.stderr) or [_first_line(ended.stderr) or f"exit status {ended.returncode}"]
    reason = errors[0].removeprefix("error: ").rstrip(".")[:300]
    raise SwiftCompilerError(
        f"The program that starts Create ML does not compile with {version} ({reason}); {INSTALL_XCODE}."
    )


def _system_build() -> str:
    """Return macOS's build, such as 24B83, or the version of another system's kernel."""
    if platform.system() == "Darwin":
        return _run(["sw_vers", "-buildVersion"]).stdout.strip()
    return platform.release()


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
    )


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
