"""Which rows of a features file are whole: a line for each image, with the hash of its rows, written as it is done.

The first line names the plan the rows belong to. Only rows whose hash is right count later, so that it does not
matter what a crash left in the file: a memory-mapped page may have reached the disk before its journal's line, or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from coremlbench.types import InputError


@dataclass(frozen=True)
class Written:
    """The rows of one image, from ``row`` on, and the SHA-256 of their bytes (empty for pixels)."""

    row: int
    rows: int
    sha256: str = ""


def finished(journal: Path, features: Path, *, plan: str, row_bytes: int, size: int) -> dict[int, int]:
    """Return the first row and the number of rows of each image that a broken run finished; empty without a journal.

    ``plan`` is the hash of what the rows are made from, ``size`` the bytes that the whole file must have.

    Raises:
        InputError: the rows were made from something else.
    """
    if not journal.is_file() or not features.is_file() or features.stat().st_size != size:
        return {}
    header, *lines = journal.read_bytes().split(b"\n")[:-1] or [b"{}"]  # a line without its end was cut short
    if json.loads(header).get("plan") != plan:
        raise InputError(
            "The pictures, the extractor, this machine or its software is not what the broken run had; run it again "
            "without --resume."
        )
    found: dict[int, int] = {}
    with features.open("rb") as file:
        for line in lines:
            each = Written(**json.loads(line))
            file.seek(each.row * row_bytes)
            if hashlib.sha256(file.read(each.rows * row_bytes)).hexdigest() == each.sha256:
                found[each.row] = each.rows
    return found


@contextmanager
def noting(journal: Path | None, plan: str) -> Iterator[Callable[[Written], None]]:
    """Give a function that adds a line to the journal at once, or does nothing where there is none.

    A disk without room for a line ends no extraction: what is not noted is extracted again by a resumed run.
    """
    if journal is None:
        yield lambda _: None
        return
    with journal.open("a", encoding="utf-8", buffering=1) as file:
        if not file.tell():
            file.write(json.dumps({"plan": plan}) + "\n")
        yield lambda each: _write(file, each)


def _write(file: TextIO, each: Written) -> None:
    with suppress(OSError):
        file.write(json.dumps(asdict(each)) + "\n")
