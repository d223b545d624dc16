"""What only one run at a time may do, and a word now and then from those that wait for their turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRESS_INTERVAL = 5.0
"""Seconds between two words of one who waits: a run that says nothing for minutes is taken for a hang."""
FIRST_WORD = 1.0


@contextmanager
def locked(path: Path, report: Callable[[str], object], *, every: float = PROGRESS_INTERVAL) -> Iterator[None]:
    """Hold the lock of a file meanwhile; ``report`` is told again and again while another process has it."""
    from filelock import FileLock, Timeout

    lock, patience = FileLock(path), min(every, FIRST_WORD)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=patience)
        except Timeout:  # noqa: PERF203 - a turn takes seconds
            report("waiting for another run, which is making the same")
            patience = every
    try:
        yield
    finally:
        lock.release()
