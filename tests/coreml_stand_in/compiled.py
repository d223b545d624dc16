"""Compiled models of the stand-in: folders that hold the package or model file that they were made from."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tests.coreml_stand_in.errors import FrameworkError
from tests.coreml_stand_in.interface import NEWEST_OF_MACOS, framework_text

PACKAGE, FILE = "model.mlpackage", "model.mlmodel"
MARK = "coremldata.bin"
"""The file that every compiled model has: Core ML aborts when it reads the structure of a folder without (2780)."""


def newest_specification(macos: tuple[int, ...]) -> int:
    """Return the newest specification that a version of macOS compiles."""
    return max((newest for major, newest in NEWEST_OF_MACOS.items() if major <= macos[0]), default=0)


def compile_model(source: Path, newest: int, temporary: str) -> Path:
    """Return a new compiled model in the folder ``temporary``, by default Python's, which nobody else removes.

    Raises:
        FrameworkError: there is no such model, or its specification is newer than ``newest``.
    """
    import coremltools

    if not source.exists():
        raise FrameworkError(framework_text("no model", source.name))
    version = coremltools.utils.load_spec(str(source)).specificationVersion
    if version > newest:
        raise FrameworkError(framework_text("too new", version, newest))
    compiled = Path(temporary or tempfile.gettempdir()) / f"{source.stem}_{uuid.uuid4()}.mlmodelc"
    compiled.mkdir()
    if source.is_dir():
        shutil.copytree(source, compiled / PACKAGE)
    else:
        shutil.copyfile(source, compiled / FILE)
    (compiled / MARK).touch()
    return compiled


def package_in(compiled: Path) -> Path:
    """Return the package or model file in a compiled model; ``FrameworkError`` where there is none."""
    for name in (PACKAGE, FILE):
        if (compiled / name).exists():
            return compiled / name
    raise FrameworkError(framework_text("not compiled", compiled.name))


def read_spec(compiled: Path) -> Any:
    """Return the specification of a model that the stand-in compiled; ``FrameworkError`` for another folder."""
    import coremltools

    return coremltools.utils.load_spec(str(package_in(compiled)))


def description_of(spec: Any) -> Any:
    """Return the description of a specification's default function: inputs, outputs and states."""
    functions = {each.name: each for each in spec.description.functions}
    return functions.get(spec.description.defaultFunctionName or "main", spec.description)
