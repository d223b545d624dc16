"""The native runner, compiled against the stand-in for Core ML: once for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coremlbench.timing.native_program import COMPILER_VARIABLE
from tests.swift_compilers import build_compiler, check_swift
from tests.timing.native_stand_in import SOURCES, compile_runner


@pytest.fixture(scope="session")
def native_compiler(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A Swift compiler that finds the stand-in for Core ML, in a folder that xdist's processes share."""
    check_swift("the native runner")
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    return build_compiler(SOURCES, shared / "core-ml-stand-in")


@pytest.fixture(scope="session")
def native_program(native_compiler: Path) -> Path:
    """The native runner, compiled against the stand-in."""
    return compile_runner(native_compiler, native_compiler.parents[1] / "native-cache")


@pytest.fixture
def native_runner(native_compiler: Path, native_program: Path) -> Iterator[None]:
    """A test can use ``--runner native``: the stand-in is in Core ML's place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COMPILER_VARIABLE, str(native_compiler))
        patch.setenv("COREMLBENCH_CACHE", str(native_program.parents[3]))
        patch.setenv("SWIFT_BACKTRACE", "enable=no")
        yield
