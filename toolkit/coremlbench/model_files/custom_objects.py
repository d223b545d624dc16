"""Classes and functions of a Keras model that are no part of Keras, and the Python file that defines them.

``load_custom_objects`` runs that file. Only workers call it, and only where the user allowed code.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

from coremlbench.types.errors import InputError

MODULE_NAME = "coremlbench_custom_objects"
"""The name under which the file's module is imported, so that it cannot replace another module."""

LIBRARIES = frozenset({"keras", "tf_keras", "keras_core", "tensorflow", "numpy", "builtins", "typing"})
"""Packages whose classes and functions, imported by the file, are not the model's own."""

MISSING_OBJECT = re.compile(
    r"Could not locate (class|function) '([^']+)'"  # Keras 3
    r"|Unknown (?:layer|[a-z ]*object|[a-z ]*function)s?: '?([\w.>]*\w)"  # tf_keras, and Keras 3 for .h5 files
)


def missing_object(message: str) -> tuple[str, str] | None:
    """Return ("class" or "function", name) of what Keras's error message says it could not find, else ``None``."""
    matches = list(MISSING_OBJECT.finditer(message))
    if not matches:
        return None
    kind, name, unknown = matches[-1].groups()
    if name is not None:
        return kind, name
    return ("function" if "function" in matches[-1].group() else "class"), unknown


def custom_objects_message(model: str, kind: str, names: Iterable[str], *, allow_code: bool) -> str:
    """Return the sentence for a model that needs classes or functions of its own and was given no file for them.

    ``kind`` is "class" or "function".
    """
    bare = [name.rpartition(">")[2] for name in names]
    plural = "" if len(bare) == 1 else "es" if kind == "class" else "s"
    listed = " and ".join(filter(None, [", ".join(bare[:-1]), bare[-1]]))
    them = "it" if len(bare) == 1 else "them"
    verb = "is" if len(bare) == 1 else "are"
    remedy = (
        f"give a Python file that defines {them}: --custom-objects FILE.py."
        if allow_code
        else f"give a Python file that defines {them}, and allow its code: --custom-objects FILE.py --allow-code."
    )
    return f"{model} needs the {kind}{plural} {listed}, which {verb} no part of Keras; {remedy}"


def load_custom_objects(path: Path, wanted: Iterable[str] = ()) -> dict[str, Any]:
    """Run a Python file and return its classes and functions by name, for ``custom_objects`` of Keras or tf_keras.

    What the file registers itself (``register_keras_serializable``) is registered afterwards. ``wanted`` are names as
    ``formats.needed_objects`` returns them: ``Name`` is also returned as ``package>Name`` where that is wanted.

    Raises:
        InputError: the file cannot be run, or lacks one of ``wanted``.
    """
    module = _run(path)
    objects = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, (type, FunctionType)) and value.__module__.split(".", maxsplit=1)[0] not in LIBRARIES
    }
    for name in wanted:
        bare = name.rpartition(">")[2]
        value = getattr(module, bare, None)
        if value is None:
            raise InputError(_lacks(path, bare, objects))
        objects[name] = value
    return objects


def _run(path: Path) -> Any:
    """Return the module of a Python file after running it; raise ``InputError`` if that fails."""
    specification = importlib.util.spec_from_file_location(MODULE_NAME, path)
    if specification is None or specification.loader is None:
        raise InputError(f"{path.name} is no Python file; give --custom-objects one whose name ends in .py.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[MODULE_NAME] = module
    try:
        specification.loader.exec_module(module)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{path.name} cannot be run ({_reason(path, error)}); --custom-objects takes one file, which may import "
            "installed packages."
        ) from error
    return module


def _reason(path: Path, error: BaseException) -> str:
    """Return the kind of an error, its line in the file and the first line of its message."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    text = error.msg if isinstance(error, SyntaxError) else (str(error).strip().splitlines() or [""])[0]
    place = f" in line {line}" if line else ""
    return f"{type(error).__name__}{place}{f': {text}' if text else ''}"


def _lacks(path: Path, name: str, objects: Iterable[str]) -> str:
    known = ", ".join(objects)
    return f"{path.name} does not define {name}, which the model needs; " + (
        f"it defines {known}." if known else "it defines no class or function."
    )
