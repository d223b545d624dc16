"""Result files that conversion and proof workers write: one JSON file for each package, beside the package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import to_json
from coremlbench.system.files import atomic_write
from coremlbench.types.errors import CoremlbenchError

CONVERSION_SUFFIX, PROOF_SUFFIX = ".json", ".proof.json"
"""Suffixes of the two result files; they are appended to the package's whole file name."""


def write_result(package: Path, suffix: str, result: Mapping[str, Any]) -> None:
    """Write a package's result file atomically."""
    atomic_write(Path(f"{package}{suffix}"), to_json(result))


def read_result(package: Path, suffix: str) -> dict[str, Any] | None:
    """Return the contents of a package's result file, ``None`` when it is missing or is not valid JSON."""
    try:
        result: dict[str, Any] = json.loads(Path(f"{package}{suffix}").read_bytes())
    except (OSError, ValueError):
        return None
    return result


@contextmanager
def capture_error(result: dict[str, Any]) -> Iterator[None]:
    """Catch an exception and store its type and message in ``result["error"]``, so that other packages continue.

    ``MemoryError`` is raised again and ends the worker: the next package would fail for the same reason.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a converter or an optimiser raises
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:600]
        prefix = "" if isinstance(error, CoremlbenchError) else f"{type(error).__name__}: "
        result["error"] = {"type": type(error).__name__, "message": f"{prefix}{reason}"}
