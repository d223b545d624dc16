"""Which rows of a features file are whole: a line for each image, with the hash of its rows, written as it is done.

The first line names the plan the rows belong to. Only rows whose hash is right count later, so that it does not
matter what a crash left in the file: a memory-mapped page may have reached the disk before its journal's line, or not.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coremlbench.types.errors import InputError

SYNC_SECONDS = 5.0


@dataclass(frozen=True)
class Written:
    """The rows of one image, from ``row`` on, and the SHA-256 of their bytes (empty for pixels)."""

    row: int
    rows: int
    sha256: str = ""


def finished(journal: Path, features: Path, *, plan: str, row_bytes: int, size: int) -> dict[int, int]:
    """Return the first row and the number of rows of each image that a broken run finished; empty without a journal.

    ``plan`` is the hash of what the rows are made from, ``size`` the bytes that the whole file must have. What a crash
    of the machine made of the journal is passed over: each line stands for itself, and its hash for its rows.

    Raises:
        InputError: the rows were made from something else.
    """
    if not journal.is_file() or not features.is_file():
        return {}
    header, *lines = journal.read_bytes().split(b"\n")
    had = _parsed(header).get("plan")
    if had is None:  # nobody knows what the rows are
        return {}
    if had != plan:
        raise InputError(
            "The pictures, the extractor, this machine or its software is not what the broken run had; run it again "
            "without --resume."
        )
    if features.stat().st_size != size:
        return {}
    found: dict[int, int] = {}
    with features.open("rb") as file:
        for each in filter(None, map(_written, lines)):
            file.seek(each.row * row_bytes)
            if hashlib.sha256(file.read(each.rows * row_bytes)).hexdigest() == each.sha256:
                found[each.row] = each.rows
    return found


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the object of a line, empty where it holds none: cut short, or blocks that never reached the disk."""
    with suppress(ValueError, RecursionError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return {}


def _written(line: bytes) -> Written | None:
    content = _parsed(line)
    row, rows, sha256 = (content.get(name) for name in ("row", "rows", "sha256"))
    if isinstance(row, int) and isinstance(rows, int) and isinstance(sha256, str) and row >= 0 < rows:
        return Written(row, rows, sha256)
    return None


@contextmanager
def noting(journal: Path | None, plan: str) -> Iterator[Callable[[Written], None]]:
    """Give a function that adds a line to the journal at once, or does nothing where there is none.

    A disk without room for a line ends no extraction: what is not noted is extracted again by a resumed run. Every
    few seconds the lines reach the disk itself, so that a power cut loses no more than those.
    """
    if journal is None:
        yield lambda _: None
        return
    with journal.open("ab", buffering=0) as file:
        if not file.tell():
            file.write(json.dumps({"plan": plan}).encode() + b"\n")
        elif not journal.read_bytes().endswith(b"\n"):
            file.write(b"\n")  # the last line was cut short: it must not take the next one with it
        due = time.monotonic() + SYNC_SECONDS

        def note(each: Written) -> None:
            nonlocal due
            with suppress(OSError):
                file.write(json.dumps(asdict(each)).encode() + b"\n")
                if time.monotonic() >= due:
                    os.fsync(file.fileno())
                    due = time.monotonic() + SYNC_SECONDS

        yield note
        with suppress(OSError):
            os.fsync(file.fileno())
