"""A child's process tree: who is in it, what memory it takes, and how to end what is left of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from coremlbench.types.process import MemorySample

CURVE_POINTS = 400
SEARCH_SECONDS = 2.0
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


class ProcessTree:
    """The processes below one, followed by id and creation time, also after they have left their parent.

    ``marker`` is a variable in their environment, by which one that was never seen here is found all the same.
    ``pids`` are the ids of all that were ever seen.
    """

    def __init__(self, root: int, marker: tuple[str, str]) -> None:
        self._marker = marker
        self._known: set[psutil.Process] = set()
        self.pids: set[int] = set()
        self._root: psutil.Process | None = None
        with suppress(*GONE):
            self._root = psutil.Process(root)

    def resident_bytes(self) -> int:
        """Return the resident memory of all of them together, now; pages that two of them share count twice."""
        if self._root is not None:
            with suppress(*GONE):
                self._known.update(self._root.children(recursive=True))
        self.pids.update(process.pid for process in self._known)
        total = 0
        for process in list(self._known):
            try:
                if not process.is_running():
                    self._known.discard(process)
                    continue
                total += process.memory_info().rss
            except GONE:
                continue
        return total

    def kill(self, *, search: bool) -> None:
        """Send SIGKILL to every known process that is still the one it was, and with ``search`` to marked ones.

        The search goes on until it finds none, as a process can start another while it is looked for.
        """
        _kill(self._known)
        deadline = time.monotonic() + SEARCH_SECONDS
        while search and time.monotonic() < deadline:
            found = self._marked()
            if not found:
                return
            _kill(found)
            time.sleep(0.01)

    def _marked(self) -> list[psutil.Process]:
        name, value = self._marker
        found = []
        for process in psutil.process_iter():
            with suppress(*GONE):
                if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(*GONE):
            process.kill()  # psutil compares the creation time first


class MemoryCurve:
    """Samples of the resident memory, thinned to a bounded number so that every peak stays."""

    def __init__(self) -> None:
        self.peak = 0
        self._points: list[MemorySample] = []
        self._stride = 1
        self._bucket: list[MemorySample] = []

    def add(self, seconds: float, resident: int) -> None:
        """Take one sample."""
        self.peak = max(self.peak, resident)
        self._bucket.append(MemorySample(seconds, resident))
        if len(self._bucket) >= self._stride:
            self._points.append(_highest(self._bucket))
            self._bucket = []
        if len(self._points) >= CURVE_POINTS:
            self._points = [_highest(self._points[at : at + 2]) for at in range(0, len(self._points), 2)]
            self._stride *= 2

    def points(self) -> tuple[MemorySample, ...]:
        """Return the curve in order of time, at most 400 points."""
        return (*self._points, *([_highest(self._bucket)] if self._bucket else []))


def _highest(samples: list[MemorySample]) -> MemorySample:
    return max(samples, key=lambda sample: sample.bytes)


def count_oom_kills(proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many processes of this control group Linux has killed for memory so far, ``None`` if unknown.

    Version 2 keeps the count in ``memory.events``, version 1 in ``memory.oom_control``. The path of the group is
    the host's inside some containers, so the top of the mount is tried as well.
    """
    with suppress(OSError, ValueError):
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            group = path.strip("/")
            files = []
            if not controllers:
                files = [mount / group / "memory.events", mount / "memory.events"]
            elif "memory" in controllers.split(","):
                files = [mount / "memory" / group / "memory.oom_control", mount / "memory" / "memory.oom_control"]
            for file in files:
                with suppress(OSError):
                    found = re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)
                    if found:
                        return int(found[1])
    return None
