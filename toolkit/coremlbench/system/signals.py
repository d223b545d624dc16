"""Catch the signals that ask a process to stop, so that work which must not be interrupted can finish first."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, ClassVar

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Context manager that collects SIGINT, SIGTERM and SIGHUP instead of acting on them.

    ``seen`` holds the names of those that arrived, ``wake`` is a descriptor that becomes readable when one arrives.
    A signal that this process ignores (SIGHUP under nohup) stays ignored. In another thread than the main one, no
    handler is changed and ``seen`` is that of the main thread's ``StopSignals``; so code that works in threads has to
    hold one around them.
    """

    _main: ClassVar[StopSignals | None] = None

    def __init__(self) -> None:
        main_thread = threading.current_thread() is threading.main_thread()
        self.seen: list[str] = [] if main_thread or StopSignals._main is None else StopSignals._main.seen
        self._handlers: dict[int, Any] = {}
        self._previous_wakeup = -1

    def __enter__(self) -> StopSignals:  # noqa: PYI034 - typing.Self came with Python 3.11
        self.wake, self._write = pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._write, False)
        if threading.current_thread() is threading.main_thread():
            self._enclosing, StopSignals._main = StopSignals._main, self
            self._previous_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            for number in STOP_SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._previous_wakeup)
            StopSignals._main = self._enclosing
        os.close(self.wake)
        os.close(self._write)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.seen.append(signal.Signals(number).name)


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Defer SIGINT, SIGTERM and SIGHUP to the end of the block, where the first of them is raised again.

    Gives the list of the signal numbers that have arrived; one that the block removes from it is not raised. Opens no
    descriptor, and does nothing outside the main thread.
    """
    seen: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                handlers[number] = signal.signal(number, lambda received, _: seen.append(received))
    try:
        yield seen
    finally:
        for deferred, handler in handlers.items():
            signal.signal(deferred, handler)
    for first in seen[:1]:
        signal.raise_signal(first)


def pipe() -> tuple[int, int]:
    """Return the read and the write end of a pipe, neither of them 0, 1 or 2, even if those are closed."""
    ends = []
    for end in os.pipe():
        if end > 2:
            ends.append(end)
        else:
            ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3))
            os.close(end)
    return ends[0], ends[1]
