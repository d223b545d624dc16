"""The main function of the workers that run in our own Python: request, progress, error line and result.

A worker module ends in ``if __name__ == "__main__": run(work)`` and is started by ``supervise`` as
``python -I -m coremlbench.workers.<name> <folder> <progress descriptor>``.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from coremlbench.system.files import atomic_write
from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.process import ReportProgress

LINES_PER_SECOND = 10
TRACEBACK_CHARACTERS = 20_000


Report = ReportProgress
Work = Callable[[dict[str, Any], Report], dict[str, Any]]


def run(work: Work, *, clock: Callable[[], float] = time.monotonic) -> NoReturn:
    """Call ``work`` with the request in the folder that the command line names, write its result, end the process.

    The exit code is 0 with a complete ``result.json``, and 1 with an error line on the progress descriptor. The
    process ends without the interpreter's teardown, in which TensorFlow and Core ML can hang or crash; functions
    registered with ``atexit`` run before that. ``clock`` returns seconds, for the limit on progress lines a second.
    """
    folder, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(descriptor, False)  # a process that ``work`` starts must not keep the pipe open
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    channel = _ProgressChannel(descriptor, clock)
    channel.send({"worker": {"pid": os.getpid(), "dump": "SIGUSR1"}})
    reserve: bytearray | None = bytearray(1 << 20)  # freed to report a MemoryError
    code = 0
    try:
        request = json.loads((folder / "request.json").read_bytes())
        result = work(request, channel.report)
        atomic_write(folder / "result.json", to_json(result))
    except Exception as problem:  # noqa: BLE001 - any exception becomes the error line
        reserve = None
        if not isinstance(problem, CoremlbenchError):  # its message is for the user; a traceback adds nothing
            traceback.print_exc()
        channel.send({"error": _error_line(problem)})
        code = 1
    del reserve
    with suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001 - coremltools removes its temporary models there
    _exit_now(code)


def to_json(value: Any) -> bytes:
    """Return ``value`` as JSON; paths become text, NumPy's numbers and arrays become numbers and lists."""
    return json.dumps(value, default=_json_value, ensure_ascii=False).encode("utf-8", "replace")


class _ProgressChannel:
    """Writes progress lines to the descriptor, at most ten a second for a phase, so that work does not wait for them.

    The first line of a phase and its last (``done`` reaches ``total``) are always written. A line that was deferred is
    written before the next phase and before an error, so that the supervisor knows the last step exactly.
    """

    def __init__(self, descriptor: int, clock: Callable[[], float]) -> None:
        self._descriptor, self._clock = descriptor, clock
        self._lock = threading.RLock()
        self._phase: str | None = None
        self._deferred: dict[str, Any] | None = None
        self._sent_at = 0.0

    def report(self, phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        """Report progress; see ``Report``."""
        line = {"phase": phase, "done": done, "total": total, "message": message, "figures": figures}
        with self._lock:
            now = self._clock()
            if phase != self._phase:
                self._flush()
            elif now - self._sent_at < 1 / LINES_PER_SECOND and not 0 < total <= done:
                self._deferred = line
                return
            self._phase, self._deferred, self._sent_at = phase, None, now
            self._write(line)

    def send(self, line: dict[str, Any]) -> None:
        """Write a line at once."""
        with self._lock:
            self._flush()
            self._write(line)

    def _flush(self) -> None:
        if self._deferred is not None:
            self._write(self._deferred)
            self._deferred = None

    def _write(self, line: dict[str, Any]) -> None:
        data = to_json(line) + b"\n"
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # the supervisor has ended
            _exit_now(1)


def _error_line(problem: Exception) -> dict[str, Any]:
    """Return the content of the error line, from which ``failures.classify`` recognises the kind of failure."""
    return {
        "type": type(problem).__name__,
        "message": str(problem),
        "errno": problem.errno if isinstance(problem, OSError) else None,
        "signal": getattr(problem, "signal", None),  # of PoolProcessDiedError: what ended a process of the pool
        "traceback": "".join(traceback.format_exception(problem))[-TRACEBACK_CHARACTERS:],
    }


def _json_value(value: Any) -> Any:
    """Return a path as text, a NumPy value as numbers and lists. Raises ``TypeError`` for other types."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"A worker's result holds a {type(value).__name__}, which JSON cannot hold.")


def _exit_now(code: int) -> NoReturn:
    """Flush the output and end the process without teardown."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
