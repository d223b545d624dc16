"""A child's output: log lines and progress lines, kept on disk and, bounded, in memory."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from coremlbench.types.process import Progress

TAIL_LINES = 200
RETAINED_LINES = 20
LINE_CHARACTERS = 2_000
FILE_BYTES = 50_000_000
PROGRESS_LINE_BYTES = 1_000_000
LINE_END = re.compile(rb"\r\n|\n|\r")


class CappedFile:
    """A file that is appended to, up to a size. When it or the disk is full, writing ends and a note is added."""

    def __init__(self, path: Path, notes: list[str], limit: int = FILE_BYTES) -> None:
        self._name = path.name
        self._notes = notes
        self._left = limit
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            self._left = max(0, limit - os.fstat(self._descriptor).st_size)
        except OSError as problem:
            self._give_up(f"{self._name} could not be opened: {problem.strerror}.")

    def write(self, data: bytes) -> None:
        """Append ``data``, or as much of it as fits. Never raises."""
        if self._descriptor is None:
            return
        rest = data[: self._left]
        self._left -= len(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as problem:
            self._give_up(f"{self._name} ends early: {problem.strerror}.")
            return
        if not self._left:
            self._give_up(f"{self._name} ends early: it is cut at its largest size.")

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _give_up(self, note: str) -> None:
        self._notes.append(note)
        self.close()


class Log:
    """The child's log: all of it in a file, its last 200 lines in memory, each cut at 2,000 characters.

    ``retained`` holds the first 20 lines for which ``keep`` is true, wherever they are in the log.
    """

    def __init__(self, path: Path, notes: list[str], keep: Callable[[str], bool] | None = None) -> None:
        self._file = CappedFile(path, notes)
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._partial = b""
        self._keep = keep
        self.retained: list[str] = []

    def feed(self, data: bytes) -> None:
        """Add bytes of output. A carriage return ends a line too, as progress bars use it."""
        self._file.write(data)
        *whole, rest = LINE_END.split(self._partial + data)
        for line in whole if self._keep else whole[-TAIL_LINES:]:
            self._add_line(line)
        self._partial = rest[: 4 * LINE_CHARACTERS]  # UTF-8 takes up to four bytes a character

    def close(self) -> tuple[str, ...]:
        """Close the file and return the last lines, an unfinished one included."""
        self._file.close()
        self._add_line(self._partial)
        self._partial = b""
        return tuple(self._lines)

    def _add_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if not text:
            return
        text = text[:LINE_CHARACTERS]
        self._lines.append(text)
        if self._keep and len(self.retained) < RETAINED_LINES and text not in self.retained and self._keep(text):
            self.retained.append(text)


class ChildOutput:
    """Everything that a child writes: its log, its progress, and ``notes`` on what could not be kept of them."""

    def __init__(
        self, folder: Path, on_progress: Callable[[Progress], None] | None, keep: Callable[[str], bool] | None
    ) -> None:
        self.notes: list[str] = []
        self.log = Log(folder / "log.txt", self.notes, keep)
        self.progress = ProgressLines(folder / "progress.jsonl", self.notes, on_progress)
        self.log_tail: tuple[str, ...] = ()

    def close(self) -> None:
        """Close both files; ``log_tail`` then holds the last lines of the log."""
        self.log_tail = self.log.close()
        self.progress.close()


class ProgressLines:
    """The child's progress lines: each valid one is passed to ``on_progress`` and appended to a file.

    ``last`` is the newest progress, ``error`` the content of the error line, ``worker`` what the worker said of itself
    at its start: its ``pid`` and the signal that makes it ``dump`` its stacks.
    """

    def __init__(self, path: Path, notes: list[str], on_progress: Callable[[Progress], None] | None) -> None:
        self._file = CappedFile(path, notes)
        self._notes = notes
        self._on_progress = on_progress
        self._partial = b""
        self._overlong = False
        self._invalid = 0
        self.last: Progress | None = None
        self.error: dict[str, Any] | None = None
        self.worker: dict[str, Any] = {}

    def feed(self, data: bytes) -> None:
        """Add bytes of the progress pipe and handle every whole line."""
        *whole, rest = (self._partial + data).split(b"\n")
        for line in whole:
            if self._overlong:
                self._overlong = False
            elif line.strip():
                self._handle_line(line)
        self._partial = rest
        if len(rest) > PROGRESS_LINE_BYTES:
            self._partial, self._overlong, self._invalid = b"", True, self._invalid + 1

    def close(self) -> None:
        """Close the file and note how many lines were not valid."""
        self._file.close()
        if self._partial.strip():
            self._handle_line(self._partial)
        self._partial = b""
        if self._invalid:
            self._notes.append(f"{self._invalid} progress lines of the worker were not valid and are left out.")

    def _handle_line(self, line: bytes) -> None:
        try:
            content = json.loads(line)
            if "worker" in content:
                self.worker = dict(content["worker"])
                return
            if "error" in content:
                self.error = dict(content["error"])
                progress = None
            else:
                progress = read_progress(content)
        except (ValueError, TypeError, KeyError, RecursionError):
            self._invalid += 1
            return
        self._file.write(line + b"\n")
        if progress:
            self.last = progress
            if self._on_progress:
                self._on_progress(progress)


def read_progress(content: dict[str, Any]) -> Progress:
    """Return one progress line from JSON; raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
    return Progress(
        phase=str(content["phase"]),
        done=int(content["done"]),
        total=int(content["total"]),
        message=str(content.get("message", "")),
        figures=dict(content.get("figures") or {}),
    )
