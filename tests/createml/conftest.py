"""Create ML's program, compiled against the stand-in: once for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coremlbench.createml.swift_program import COMPILER_VARIABLE
from tests.createml.create_ml_stand_in import SOURCES, Driver, colour_pictures, compile_program
from tests.swift_compilers import build_compiler, check_swift


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this session that xdist's processes share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def stand_in_compiler(shared_folder: Path) -> Path:
    """A Swift compiler that finds the stand-in for Create ML."""
    check_swift("Create ML's program")
    return build_compiler(SOURCES, shared_folder / "create-ml-stand-in")


@pytest.fixture(scope="session")
def stand_in_program(shared_folder: Path, stand_in_compiler: Path) -> Path:
    """Create ML's program, compiled against the stand-in."""
    return compile_program(stand_in_compiler, shared_folder / "create-ml-cache")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures that the stand-in's classifier can tell apart."""
    return colour_pictures(tmp_path_factory.mktemp("colours") / "colours")


@pytest.fixture(scope="module")
def create_ml(stand_in_compiler: Path, stand_in_program: Path) -> Iterator[None]:
    """The tests of a module can use ``--engine createml``: the stand-in is in Create ML's place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COMPILER_VARIABLE, str(stand_in_compiler))
        patch.setenv("COREMLBENCH_CACHE", str(stand_in_program.parents[3]))
        yield


@pytest.fixture
def driver(stand_in_program: Path, colours: Path, tmp_path: Path) -> Driver:
    """What starts the program with a request."""
    return Driver(stand_in_program, colours, tmp_path)
