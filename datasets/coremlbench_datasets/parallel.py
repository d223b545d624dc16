"""Work on many files in several processes that never outlive the one that started them."""

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

CHUNK = 16
"""Items handed to a process at a time."""

FEW = 100
"""Items below which starting processes takes longer than the work."""


STANDARD_ERROR = 2


class PoolProcessDiedError(RuntimeError):
    """One of the processes that work side by side ended in the midst of its work.

    ``signal`` is the number of the signal that ended it, ``None`` where it ended by itself.
    """

    def __init__(self, message: str, number: int | None) -> None:
        super().__init__(message)
        self.signal = number


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def in_processes(work: Callable[[T], R], items: Sequence[T], *, workers: int | None = None) -> Iterator[R]:
    """Yield ``work(item)`` for every item, in the order of completion.

    ``work`` is a function of a module, its items and results can be pickled, and the first exception ends it all.
    At most two chunks a process are under way, so memory stays bounded however many items there are.

    Raises:
        PoolProcessDiedError: a process was killed, or crashed.
    """
    workers = min(workers or cores(), -(-len(items) // CHUNK))
    if workers <= 1 or len(items) < FEW:
        yield from map(work, items)
        return
    # Spawned, not forked: the parent may hold threads and locks of native libraries.
    context = multiprocessing.get_context("spawn")
    chunks = _chunks(items)
    processes: Mapping[int, BaseProcess] = {}
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as pool:
            processes = pool._processes  # noqa: SLF001 - nothing public tells how they ended
            under_way = {pool.submit(_work_on, work, chunk) for chunk in islice(chunks, 2 * workers)}
            try:
                while under_way:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    under_way |= {pool.submit(_work_on, work, chunk) for chunk in islice(chunks, len(done))}
                    for finished in done:
                        yield from finished.result()
            finally:
                _give_up(under_way)
    except BrokenProcessPool as problem:  # by now all of them have ended
        raise _died([process.exitcode for process in processes.values()]) from problem


def _died(codes: Sequence[int | None]) -> PoolProcessDiedError:
    """Return how the process ended that broke the pool; the pool itself ends the others with SIGTERM then."""
    others = (0, None, -signal.SIGTERM)
    code = next((code for code in codes if code not in others), -signal.SIGTERM if -signal.SIGTERM in codes else None)
    of = f"One of {len(codes)} processes that work side by side"
    if code is None or code >= 0:
        return PoolProcessDiedError(f"{of} ended in the midst of it with exit code {code}.", None)
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return PoolProcessDiedError(f"{of} was ended by {name}.", number)


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _work_on(work: Callable[[T], R], chunk: list[T]) -> list[R]:
    return [work(item) for item in chunk]


def _give_up(under_way: set[Future[list[R]]]) -> None:
    for future in under_way:
        future.cancel()


def _start() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, however it does: a killed parent tells nobody.

    A crash shows its stack on standard error, which is the parent's.
    """
    with suppress(OSError, ValueError):
        faulthandler.enable(STANDARD_ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_sentinel([sentinel])
    os._exit(1)
