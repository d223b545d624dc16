"""Process many files in a pool of processes that end with the process that started them."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import wait as wait_for_sentinel
from multiprocessing.process import BaseProcess
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

CHUNK_ITEMS = 16
"""Items handed to a process at a time, by default."""

MIN_PARALLEL_ITEMS = 100
"""Fewer items are processed here, as starting processes takes longer than the work."""


STANDARD_ERROR = 2


class PoolProcessDiedError(RuntimeError):
    """A process of the pool ended during its work.

    ``signal`` is the number of the signal that ended it, ``None`` if it exited.
    """

    def __init__(self, message: str, number: int | None) -> None:
        super().__init__(message)
        self.signal = number


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def in_processes(
    work: Callable[[T], R], items: Sequence[T], *, workers: int | None = None, chunk: int = CHUNK_ITEMS
) -> Iterator[R]:
    """Yield ``work(item)`` for every item, in the order of completion.

    ``work`` is a function of a module; its items and results can be pickled. The first exception ends all work.
    ``chunk`` items are handed to a process at a time, and at most two chunks a process are submitted, so that memory is
    bounded for any number of items.

    Raises:
        PoolProcessDiedError: a process was killed or crashed.
    """
    workers = min(workers or cores(), -(-len(items) // CHUNK_ITEMS))
    if workers <= 1 or len(items) < MIN_PARALLEL_ITEMS:
        yield from map(work, items)
        return
    # Spawned, not forked: the parent may hold threads and locks of native libraries.
    context = multiprocessing.get_context("spawn")
    chunks = _chunks(items, chunk)
    processes: Mapping[int, BaseProcess] = {}
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_initialize_process) as pool:
            processes = pool._processes  # noqa: SLF001 - no public attribute has their exit codes
            pending = {pool.submit(_process_chunk, work, part) for part in islice(chunks, 2 * workers)}
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    pending |= {pool.submit(_process_chunk, work, part) for part in islice(chunks, len(done))}
                    for finished in done:
                        yield from finished.result()
            finally:
                _cancel(pending)
    except BrokenProcessPool as problem:  # all of them have ended now
        raise _pool_error([process.exitcode for process in processes.values()]) from problem


def _pool_error(codes: Sequence[int | None]) -> PoolProcessDiedError:
    """Return the error for the exit codes of a broken pool's processes; the pool ends the others with SIGTERM."""
    others = (0, None, -signal.SIGTERM)
    code = next((code for code in codes if code not in others), -signal.SIGTERM if -signal.SIGTERM in codes else None)
    of = f"One of {len(codes)} processes that work side by side"
    if code is None or code >= 0:
        return PoolProcessDiedError(f"{of} ended in the midst of it with exit code {code}.", None)
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return PoolProcessDiedError(f"{of} was ended by {name}.", number)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _process_chunk(work: Callable[[T], R], chunk: list[T]) -> list[R]:
    return [work(item) for item in chunk]


def _cancel(pending: set[Future[list[R]]]) -> None:
    for future in pending:
        future.cancel()


def _initialize_process() -> None:
    """Ignore Ctrl-C, which the parent handles, and end when the parent ends, even if it is killed.

    The stack of a crash is written to the parent's standard error.
    """
    with suppress(OSError, ValueError):
        faulthandler.enable(STANDARD_ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with_parent, args=(parent.sentinel,), daemon=True).start()


def _exit_with_parent(sentinel: int) -> None:
    wait_for_sentinel([sentinel])
    os._exit(1)
