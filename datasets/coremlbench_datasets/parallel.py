"""Work on many files in several processes that never outlive the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing.connection import wait as wait_for_sentinel
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 16
"""Items handed to a process at a time."""

FEW = 100
"""Items below which starting processes takes longer than the work."""


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def in_processes(work: Callable[[T], R], items: Sequence[T], *, workers: int | None = None) -> Iterator[R]:
    """Yield ``work(item)`` for every item, in the order of completion.

    ``work`` is a function of a module, its items and results can be pickled, and the first exception ends it all.
    At most two chunks a process are under way, so memory stays bounded however many items there are.
    """
    workers = min(workers or cores(), -(-len(items) // CHUNK))
    if workers <= 1 or len(items) < FEW:
        yield from map(work, items)
        return
    # Spawned, not forked: the parent may hold threads and locks of native libraries.
    context = multiprocessing.get_context("spawn")
    chunks = _chunks(items)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as pool:
        under_way = {pool.submit(_work_on, work, chunk) for chunk in islice(chunks, 2 * workers)}
        try:
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                under_way |= {pool.submit(_work_on, work, chunk) for chunk in islice(chunks, len(done))}
                for finished in done:
                    yield from finished.result()
        finally:
            _give_up(under_way)


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
    """Leave Ctrl-C to the parent, and end when it ends, however it does: a killed parent tells nobody."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_sentinel([sentinel])
    os._exit(1)
