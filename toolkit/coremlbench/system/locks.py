"""File lock that reports progress while waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRESS_INTERVAL = 5.0
"""Seconds between two reports: a worker that reports nothing for minutes would be stopped as hanging."""
FIRST_REPORT = 1.0
"""Seconds of waiting before the first report."""


@contextmanager
def locked(path: Path, report: Callable[[str], object], *, interval: float = PROGRESS_INTERVAL) -> Iterator[None]:
    """Hold a lock file during the block; call ``report`` every ``interval`` seconds while another process holds it."""
    from filelock import FileLock, Timeout

    lock, timeout = FileLock(path), min(interval, FIRST_REPORT)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=timeout)
        except Timeout:  # noqa: PERF203 - a turn takes seconds
            report("waiting for another run, which is making the same")
            timeout = interval
    try:
        yield
    finally:
        lock.release()
