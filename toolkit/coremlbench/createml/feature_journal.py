"""A journal of a features file: JSON lines that say which images' rows are complete, with a hash of the rows.

The first line is a header with the fingerprint of what the rows are computed from. After a crash the features file may
lack rows that the journal lists, or hold rows that it does not list, because it is written through a memory map. So a
resumed run uses only rows whose hash is right.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coremlbench.system.files import sync_to_disk
from coremlbench.types.errors import InputError

HEADER_KEY = "plan"
SYNC_SECONDS = 5.0
"""How often the journal is forced to the disk."""


@dataclass(frozen=True)
class JournalEntry:
    """The rows of one image are complete: the first row, their number, and their SHA-256 ("" for pixels)."""

    row: int
    rows: int
    sha256: str = ""


def read_finished_rows(journal: Path, features: Path, *, fingerprint: str, row_bytes: int, size: int) -> dict[int, int]:
    """Return {first row: number of rows} of the images that a failed run finished; empty without usable data.

    ``fingerprint`` identifies what the rows are computed from, ``row_bytes`` is the size of a row, ``size`` that of the
    whole features file. Damaged lines of the journal, and rows whose hash is wrong, are ignored.

    Raises:
        InputError: the journal has another fingerprint: the rows were computed from something else.
    """
    if not journal.is_file() or not features.is_file():
        return {}
    header, *lines = journal.read_bytes().split(b"\n")
    recorded = _parse_line(header).get(HEADER_KEY)
    if recorded is None:  # the header is damaged
        return {}
    if recorded != fingerprint:
        raise InputError(
            "The images, the extractor, the machine or its software differ from those of the failed run; run it again "
            "without --resume."
        )
    if features.stat().st_size != size:
        return {}
    finished: dict[int, int] = {}
    with features.open("rb") as file:
        for entry in filter(None, map(_parse_entry, lines)):
            file.seek(entry.row * row_bytes)
            if hashlib.sha256(file.read(entry.rows * row_bytes)).hexdigest() == entry.sha256:
                finished[entry.row] = entry.rows
    return finished


def _parse_line(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line; empty for a damaged line, cut short or never written to the disk."""
    with suppress(ValueError, RecursionError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return {}


def _parse_entry(line: bytes) -> JournalEntry | None:
    content = _parse_line(line)
    row, rows, sha256 = (content.get(name) for name in ("row", "rows", "sha256"))
    if isinstance(row, int) and isinstance(rows, int) and isinstance(sha256, str) and row >= 0 < rows:
        return JournalEntry(row, rows, sha256)
    return None


@contextmanager
def open_journal(journal: Path, fingerprint: str) -> Iterator[Callable[[JournalEntry], None]]:
    """Open a journal for appending; the context manager's value is a function that appends an entry at once.

    A new journal gets a header with the fingerprint. Entries that cannot be written, on a full disk, are dropped: a
    resumed run extracts those images again. Every ``SYNC_SECONDS`` the entries are forced to the disk.
    """
    with journal.open("ab", buffering=0) as file:
        if not file.tell():
            file.write(json.dumps({HEADER_KEY: fingerprint}).encode() + b"\n")
        elif not journal.read_bytes().endswith(b"\n"):
            file.write(b"\n")  # end the last line, which was cut short, so that the next entry starts a new one
        due = time.monotonic() + SYNC_SECONDS

        def append(entry: JournalEntry) -> None:
            nonlocal due
            with suppress(OSError):
                file.write(json.dumps(asdict(entry)).encode() + b"\n")
                if time.monotonic() >= due:
                    sync_to_disk(file.fileno())
                    due = time.monotonic() + SYNC_SECONDS

        yield append
        with suppress(OSError):
            sync_to_disk(file.fileno())
