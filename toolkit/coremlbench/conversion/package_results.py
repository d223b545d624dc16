"""What the children of a conversion tell of each package, in files beside it: how it was made, how it was proven."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import to_json
from coremlbench.system.files import write_whole
from coremlbench.types.errors import CoremlbenchError

MADE, PROVEN = ".json", ".proof.json"
"""What is added to a package's name for what came of making it, and of proving it."""


def tell(package: Path, suffix: str, told: Mapping[str, Any]) -> None:
    """Leave what is to be told of a package beside it, whole or not at all."""
    write_whole(Path(f"{package}{suffix}"), to_json(told))


def read_told(package: Path, suffix: str) -> dict[str, Any] | None:
    """Return what a child told of a package, ``None`` when it came to nothing."""
    try:
        found: dict[str, Any] = json.loads(Path(f"{package}{suffix}").read_bytes())
    except (OSError, ValueError):
        return None
    return found


@contextmanager
def telling_errors(told: dict[str, Any]) -> Iterator[None]:
    """Make an error of one package part of what is told of it, as ``error``: it is a result, and the others go on.

    ``MemoryError`` ends the child, as its next package would fail for the same reason.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as problem:  # noqa: BLE001 - whatever a converter or an optimiser raises
        reason = (str(problem).strip().splitlines() or ["no reason given"])[0][:600]
        whose = "" if isinstance(problem, CoremlbenchError) else f"{type(problem).__name__}: "
        told["error"] = {"type": type(problem).__name__, "message": f"{whose}{reason}"}
