"""Signals that become data while something must not be interrupted half way."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, ClassVar

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The signals that ask this process to stop, noted instead of acted on, and a descriptor that wakes the loop.

    One that this process ignores (SIGHUP under nohup) stays ignored. Outside the main thread nothing is changed, and
    what the main thread's own ``Signals`` note is seen: whoever works in threads holds one around them.
    """

    _main: ClassVar[Signals | None] = None

    def __init__(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        self.seen: list[str] = [] if in_main or Signals._main is None else Signals._main.seen
        self._handlers: dict[int, Any] = {}
        self._before = -1

    def __enter__(self) -> Signals:  # noqa: PYI034 - typing.Self came with Python 3.11
        self.wake, self._write = pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._write, False)
        if threading.current_thread() is threading.main_thread():
            self._outer, Signals._main = Signals._main, self
            self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            for number in STOPPING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._before)
            Signals._main = self._outer
        os.close(self.wake)
        os.close(self._write)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.seen.append(signal.Signals(number).name)


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Let no signal interrupt the block: the first that asks to stop meanwhile comes right after it.

    The block may take a signal out of the list that it gets: then it does not come. Takes no descriptor, and changes
    nothing outside the main thread.
    """
    seen: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, lambda came, _: seen.append(came))
    try:
        yield seen
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    for came in seen[:1]:
        signal.raise_signal(came)


def pipe() -> tuple[int, int]:
    """Return a pipe whose ends are not 0, 1 or 2, also where this process was started without those."""
    ends = []
    for end in os.pipe():
        if end > 2:
            ends.append(end)
        else:
            ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3))
            os.close(end)
    return ends[0], ends[1]
