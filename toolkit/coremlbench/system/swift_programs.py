"""Programs in Swift: compiled from the sources of this package on the user's Mac, and kept in the cache."""

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
from dataclasses import dataclass
from pathlib import Path

from coremlbench.types.errors import CoremlbenchError

COMPILER = ("xcrun", "swiftc")
ERROR = re.compile(r"error: .*")
INSTALL_TOOLS = "install Apple's Command Line Tools with `xcode-select --install`, then run this again"


class SwiftCompilerError(CoremlbenchError):
    """A program could not be compiled."""


@dataclass(frozen=True)
class SwiftProgram:
    """A program in Swift.

    Attributes:
        name: The name of the file, and of the Swift module.
        sources: The folder of its Swift files.
        title: What messages call it, such as "the program that starts Create ML".
        cache: The folder below the cache in which programs are kept.
        compiler_variable: An environment variable that names another command than ``COMPILER``, for tests.
        remedy: What to do when the sources do not compile, as the end of a sentence.
    """

    name: str
    sources: Path
    title: str
    cache: str
    compiler_variable: str
    remedy: str = INSTALL_TOOLS

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the compiler's options."""
        return ("-swift-version", "5", "-O", "-parse-as-library", "-module-name", self.name)

    def source_files(self) -> list[Path]:
        """Return the Swift files."""
        return sorted(self.sources.glob("*.swift"))

    def compiler_command(self) -> tuple[str, ...]:
        """Return the command that compiles Swift."""
        return tuple(shlex.split(os.environ.get(self.compiler_variable, ""))) or COMPILER

    def key(self, compiler: Sequence[str], version: str, system: str) -> str:
        """Return the name of the program's folder: a hash of the sources, the flags, the compiler and the system."""
        digest = hashlib.sha256("\0".join((*compiler, *self.flags, version, system, platform.machine())).encode())
        for source in self.source_files():
            digest.update(f"\0{source.name}\0".encode())
            digest.update(source.read_bytes())
        return digest.hexdigest()[:16]

    def ensure(self, cache: Path, report: Callable[[str], None]) -> Path:
        """Return the compiled program, which is made first if the cache has none of these sources and this compiler.

        A file lock makes a second process wait for the first, and the program is renamed into place once it is whole.
        ``report`` is called with messages on the progress.

        Raises:
            SwiftCompilerError: there is no compiler, or it fails; the message says what to install.
        """
        from coremlbench.system.locks import locked

        compiler = self.compiler_command()
        version = self.compiler_version()
        folder = cache / self.cache / self.key(compiler, version, _system_build())
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock"), report):
            if not (folder / self.name).is_file():
                for leftover in folder.parent.glob(f"{folder.name}-*.building"):
                    shutil.rmtree(leftover, ignore_errors=True)
                report(f"compiling {self.title}, with {version}")
                building = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}.building")
                building.mkdir()
                self._compile(compiler, version, building / self.name)
                shutil.rmtree(folder, ignore_errors=True)
                building.rename(folder)
        return folder / self.name

    def compiler_version(self) -> str:
        """Return the first line of what the compiler says of itself.

        Raises:
            SwiftCompilerError: it does not start, or says nothing.
        """
        compiler = self.compiler_command()
        try:
            ended = _run([*compiler, "--version"])
        except OSError as error:
            reason = f"{error.strerror or error}: {compiler[0]}"
        else:
            lines = [line for line in ended.stdout.splitlines() if "version" in line.lower()]
            if ended.returncode == 0 and lines:
                return lines[0].strip()
            reason = _first_line(ended.stderr) or f"exit status {ended.returncode}"
        raise SwiftCompilerError(f"{self._sentence_start} needs a Swift compiler ({reason}); {INSTALL_TOOLS}.")

    @property
    def _sentence_start(self) -> str:
        return self.title[0].upper() + self.title[1:]

    def _compile(self, compiler: Sequence[str], version: str, program: Path) -> None:
        """Compile the program.

        Raises:
            SwiftCompilerError: the compiler fails; the message holds its first error.
        """
        ended = _run([*compiler, *self.flags, *map(str, self.source_files()), "-o", str(program)])
        if ended.returncode == 0 and program.is_file():
            return
        errors = ERROR.findall(ended.stderr) or [_first_line(ended.stderr) or f"exit status {ended.returncode}"]
        reason = errors[0].removeprefix("error: ").rstrip(".")[:300]
        raise SwiftCompilerError(f"{self._sentence_start} does not compile with {version} ({reason}); {self.remedy}.")


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
