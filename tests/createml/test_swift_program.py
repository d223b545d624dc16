"""How Create ML's program is compiled and kept, with compilers that are shell scripts."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from coremlbench.createml import swift_program
from coremlbench.createml.swift_program import (
    COMPILER_VARIABLE,
    PROGRAM,
    SwiftCompilerError,
    ensure_program,
    program_key,
    source_files,
)
from coremlbench.timing.native_program import NATIVE_RUNNER

ROOT = Path(__file__).parents[2]
COMPILER = """#!/bin/sh
echo "$@" >> "{log}"
if [ "$1" = --version ]; then {version}; exit; fi
while [ "$1" != -o ]; do shift; done
{compile}
"""
WORKS = 'printf program > "$2"'

MakeCompiler = Callable[..., Path]


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeCompiler:
    """Makes a compiler that notes how it was called, and returns its notes."""

    def make(compile_command: str = WORKS, version: str = "echo Apple Swift version 6.3") -> Path:
        path, log = tmp_path / "my swiftc", tmp_path / "calls"
        path.write_text(COMPILER.format(log=log, version=version, compile=compile_command))
        path.chmod(0o755)
        monkeypatch.setenv(COMPILER_VARIABLE, f"'{path}'")
        return log

    return make


def ensure(folder: Path) -> tuple[Path, list[str]]:
    messages: list[str] = []
    return ensure_program(folder / "cache", messages.append), messages


def test_the_program_is_compiled_once(compiler: MakeCompiler, tmp_path: Path) -> None:
    calls = compiler()
    program, messages = ensure(tmp_path)
    assert program.read_text() == "program"
    assert messages == ["compiling the program that starts Create ML, with Apple Swift version 6.3"]
    assert ensure(tmp_path) == (program, [])
    version, compile_call, version_again = calls.read_text().splitlines()
    assert version == version_again == "--version"
    assert compile_call.startswith("-swift-version 5 -O -parse-as-library ")
    assert all(str(source) in compile_call for source in source_files())


def test_another_compiler_another_program(compiler: MakeCompiler, tmp_path: Path) -> None:
    compiler()
    first, _ = ensure(tmp_path)
    compiler(version="echo Apple Swift version 6.4")
    second, _ = ensure(tmp_path)
    assert first != second
    assert first.is_file()


def test_the_key_is_of_sources_compiler_and_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        program_key(*arguments)
        for arguments in ((("swiftc",), "6", "24B83"), (("swiftc",), "6", "24C1"), (("swiftc",), "7", "24B83"))
    }
    assert len(keys) == 3
    copies = tmp_path / "swift"
    shutil.copytree(swift_program.SOURCES, copies)
    monkeypatch.setattr(swift_program, "SOURCES", copies)
    assert program_key(("swiftc",), "6", "24B83") in keys
    (copies / "Worker.swift").write_text("// another")
    assert program_key(("swiftc",), "6", "24B83") not in keys


def test_an_interrupted_compilation_leaves_nothing_in_the_way(compiler: MakeCompiler, tmp_path: Path) -> None:
    compiler("exit 1")
    with pytest.raises(SwiftCompilerError):
        ensure(tmp_path)
    programs = tmp_path / "cache" / "createml" / "programs"
    assert len(list(programs.glob("*.building"))) == 1
    compiler()
    program, _ = ensure(tmp_path)
    assert program.name == PROGRAM
    assert not list(programs.glob("*.building"))


NO_TOOLS = "xcrun: error: no developer tools"
NO_MODULE = "no such module 'CreateML'"


@pytest.mark.parametrize(
    ("compile_command", "version", "reason", "remedy"),
    [
        (WORKS, f"echo {NO_TOOLS} >&2; exit 1", NO_TOOLS, "xcode-select --install"),
        (WORKS, "exit 3", "exit status 3", "xcode-select --install"),
        (f'echo "a.swift:1:8: error: {NO_MODULE}" >&2; exit 1', "echo Swift version 6", NO_MODULE, "App Store"),
        ("exit 4", "echo Swift version 6", "exit status 4", "App Store"),
    ],
)
def test_a_failure_is_one_sentence_that_says_what_to_install(
    compile_command: str, version: str, reason: str, remedy: str, compiler: MakeCompiler, tmp_path: Path
) -> None:
    compiler(compile_command, version)
    with pytest.raises(SwiftCompilerError) as raised:
        ensure(tmp_path)
    message = str(raised.value)
    assert message.startswith("The program that starts Create ML ")
    assert f"({reason})" in message
    assert remedy in message
    assert message.endswith(", then run this again.")


def test_no_compiler_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILER_VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(SwiftCompilerError, match=r"needs a Swift compiler \(No such file or directory: .*nothing\)"):
        ensure(tmp_path)


def test_the_default_compiler_is_xcrun_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    assert swift_program.compiler_command() == ("xcrun", "swiftc")
    reason = swift_program.why_unavailable()
    assert reason == (
        "" if platform.system() == "Darwin" else f"Create ML is part of macOS, and this is {platform.system()}"
    )


def test_a_wheel_has_the_sources(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.startswith("coremlbench/createml/") and name.endswith(".swift")} == {
        f"coremlbench/createml/swift/{source.name}" for source in source_files()
    }
    assert {name for name in names if name.startswith("coremlbench/timing/") and name.endswith(".swift")} == {
        f"coremlbench/timing/swift/{source.name}" for source in NATIVE_RUNNER.source_files()
    }
