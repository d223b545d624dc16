"""A child's process tree: the processes in it, the memory they take, and how to kill what is left of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from coremlbench.types.process import MemorySample

CURVE_POINTS = 400
SAMPLE_SECONDS = 0.25
SAMPLE_SHARE = 0.02
"""Share of one core's time that sampling the memory may take at most."""
SEARCH_SECONDS = 2.0
"""Seconds after which the search for further processes of a killed tree is given up."""
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


class ProcessTree:
    """The processes below ``root``, followed by id and creation time, also after they have left their parent.

    ``marker`` is the name and value of a variable in their environment, by which processes are found that no sample
    has seen. ``pids`` are the ids of all that were ever seen.
    """

    def __init__(self, root: int, marker: tuple[str, str]) -> None:
        self._marker = marker
        self._known: set[psutil.Process] = set()
        self.pids: set[int] = set()
        self._root: psutil.Process | None = None
        with suppress(*GONE):
            self._root = psutil.Process(root)

    def resident_bytes(self) -> int:
        """Return the resident memory of all processes together, now; pages that two of them share count twice."""
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
        """Send SIGKILL to every known process, unless its id was given to another one.

        With ``search``, processes with the marker are looked for and killed too, again and again until none is found:
        a process can start another one during the search.
        """
        _kill(self._known)
        deadline = time.monotonic() + SEARCH_SECONDS
        while search and time.monotonic() < deadline:
            marked = self._marked()
            if not marked:
                return
            _kill(marked)
            time.sleep(0.01)

    def _marked(self) -> list[psutil.Process]:
        name, value = self._marker
        marked = []
        for process in psutil.process_iter():
            with suppress(*GONE):
                if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                    marked.append(process)
        return marked


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(*GONE):
            process.kill()  # psutil compares the creation time first


class MemoryCurve:
    """Samples of the resident memory, merged in pairs when they become too many; the higher one of a pair stays."""

    def __init__(self) -> None:
        self.peak = 0
        self._points: list[MemorySample] = []
        self._stride = 1
        self._bucket: list[MemorySample] = []

    def add(self, seconds: float, resident: int) -> None:
        """Add one sample."""
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


class MemorySampler:
    """Samples a process tree's memory when ``due``, seldom enough to take a small share of one core.

    ``curve`` holds the samples; ``due`` is the time of the next one by ``clock``, in seconds.
    """

    def __init__(self, began: float, clock: Callable[[], float]) -> None:
        self.curve = MemoryCurve()
        self.due = began
        self._began, self._clock = began, clock
        self._oom_kills_before = count_oom_kills()

    def sample(self, tree: ProcessTree | None, now: float) -> int:
        """Return the resident bytes of ``tree`` if a sample is due, else 0."""
        if now < self.due:
            return 0
        self.due = now + SAMPLE_SECONDS
        if tree is None:
            return 0
        resident = tree.resident_bytes()
        if resident:  # there is none between the child's end and the guardian's report of it
            self.curve.add(now - self._began, resident)
        took = self._clock() - now
        self.due = now + max(SAMPLE_SECONDS, took / SAMPLE_SHARE)
        return resident

    def oom_kills(self) -> int | None:
        """Return how many kills for memory the system has counted meanwhile, ``None`` where it counts none."""
        before, after = self._oom_kills_before, count_oom_kills()
        return None if before is None or after is None else max(0, after - before)


def count_oom_kills(proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many kills for memory Linux has counted in this control group, ``None`` if unknown.

    Version 2 of control groups keeps it in ``memory.events``, version 1 in ``memory.oom_control``. In some
    containers the path of the group is the host's, so the top of the mount is tried as well.
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
                    match = re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)
                    if match:
                        return int(match[1])
    return None
