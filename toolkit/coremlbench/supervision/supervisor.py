"""Start a child process, watch it, stop it at its limits, and return how it ended.

One loop and no threads. The child is started by a guardian (``guardian.py``), a small process that kills everything
below it when the child ends and when this process ends, so that no process outlives a run whichever of them is killed.
Two cases cannot be caught: on macOS, a process that has left the child's group and lost its parent, when this process
is killed with SIGKILL; and a kill of this process and the guardian in the same instant, after which Linux still ends
the child itself but not what the child started.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from coremlbench.supervision.crash_reports import find_crash_report, reports_folder
from coremlbench.supervision.guarded_child import DUMP_STACKS, KILL_SECONDS, TERMINATE, GuardedChild
from coremlbench.supervision.process_tree import MemorySampler
from coremlbench.supervision.streams import ChildOutput
from coremlbench.system.files import atomic_write
from coremlbench.system.resources import snapshot_resources
from coremlbench.system.signals import StopSignals, pipe
from coremlbench.types.process import Exit, Limits, Progress, StopReason

MARKER = "COREMLBENCH_CHILD"
SCRATCH = "scratch"
DUMP_SECONDS = 0.5
"""Seconds between the order to show the stacks and SIGTERM."""
TERM_SECONDS = 3.0
"""Seconds between SIGTERM and SIGKILL."""
DRAIN_SECONDS = 1.0
"""Seconds that the pipes are read after the child's end, for output that is still on its way."""
SUSPENDED_SECONDS = 5.0
"""A turn of the loop that took longer means that this process was suspended: the silence is not the child's."""


def supervise(
    command: Sequence[str],
    *,
    folder: Path,
    request: Mapping[str, Any],
    limits: Limits = Limits(),  # noqa: B008 - frozen
    on_progress: Callable[[Progress], None] | None = None,
    environment: Mapping[str, str] | None = None,
    keep: Callable[[str], bool] | None = None,
    crash_reports: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Exit:
    """Return how ``command <folder> <progress descriptor>`` ended, after watching it to its end.

    Never raises for anything that the child does. An exception of ``on_progress`` ends the child and is passed on.
    SIGINT, SIGTERM and SIGHUP stop the child, a second one kills it at once; ``Exit.stop_signal`` names the first.
    Signals are seen only in the main thread, where Python delivers them.

    Args:
        command: The program and its first arguments.
        folder: Gets ``request.json``, ``log.txt`` and ``progress.jsonl``. Temporary files of the child go to
            ``scratch`` in it, which is removed at the end.
        request: Written to ``request.json``.
        limits: What the child may use.
        on_progress: Called with each line of progress.
        environment: Variables that the child gets in addition to this process's own.
        keep: Log lines for which it is true are kept in ``Exit.retained_lines``, wherever they are in the log.
        crash_reports: Where the system's report of a crash is looked for, macOS's own folder by default; it is copied
            to ``crash.ips`` in ``folder``.
        clock: Returns seconds, for limits and the times of the ``Exit``.
    """
    began, started = clock(), time.time()
    folder = folder.absolute()
    scratch = folder / SCRATCH
    try:
        scratch.mkdir(exist_ok=True)
        (folder / "result.json").unlink(missing_ok=True)
        atomic_write(folder / "request.json", json.dumps(request, default=os.fspath).encode())
    except OSError as problem:
        return _not_started(problem, folder, clock() - began)
    marker = (MARKER, secrets.token_hex(8))
    temporary = {"TMPDIR": str(scratch), "TURI_LOG_PATH": str(scratch)}  # Turi Create's log ignores TMPDIR
    variables = {**os.environ, **(environment or {}), **temporary, marker[0]: marker[1]}
    try:
        with ExitStack() as stack:
            try:
                signals = stack.enter_context(StopSignals())
                supervision = _Supervision(folder, limits, on_progress, signals, marker, keep, clock)
            except OSError as problem:  # no descriptors are left
                return _not_started(problem, folder, clock() - began)
            try:
                supervision.start(command, request, variables)
                supervision.run()
            finally:
                supervision.close()
        ended = supervision.exit()
        report = find_crash_report(ended, folder, crash_reports or reports_folder(), supervision.pids(), started, clock)
        return replace(ended, crash_report=report, surroundings=snapshot_resources(folder))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _not_started(problem: OSError, folder: Path, seconds: float) -> Exit:
    """Return the end of a child that was never started because this process lacked a file or a descriptor."""
    return Exit(
        returncode=None, seconds=seconds, error=describe_error(problem), surroundings=snapshot_resources(folder)
    )


class _State(Enum):
    """Where a supervision is. Each state is entered at most once, in this order; any may be skipped."""

    NOT_STARTED = "the guardian could not be started, or not yet"
    RUNNING = "the child runs within its limits"
    STOPPING = "the child was told to end"
    DRAINING = "the child has ended; its pipes may still hold output"
    FINISHED = "the pipes are empty, or were read for long enough"


_CHILD_LIVES = (_State.RUNNING, _State.STOPPING)


class _Supervision:
    """The loop that watches one child, and its state."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        on_progress: Callable[[Progress], None] | None,
        signals: StopSignals,
        marker: tuple[str, str],
        keep: Callable[[str], bool] | None,
        clock: Callable[[], float],
    ) -> None:
        self._selector = selectors.DefaultSelector()  # first, as it may fail and nothing is open yet
        self._folder, self._limits, self._signals, self._clock = folder, limits, signals, clock
        self._output = ChildOutput(folder, on_progress, keep)
        self._child = GuardedChild(marker)
        self._state = _State.NOT_STARTED
        self._began = self._last_output = self._last_turn = self._clock()
        self._memory = MemorySampler(self._began, clock)
        self._ended_after = 0.0
        self._drain_until = 0.0
        self._stop_reason: StopReason | None = None
        self._reached_limit: float | None = None
        self._steps: list[tuple[float, Callable[[], None]]] = []

    def start(self, command: Sequence[str], request: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        """Start the child; the state stays ``NOT_STARTED`` when the guardian cannot be started."""
        child_ends: list[int] = []
        try:
            child_ends.append(self._child.open_control())
            for handler in (self._on_status, self._on_progress, self._on_log):
                descriptor, child_end = pipe()
                child_ends.append(child_end)
                os.set_blocking(descriptor, False)
                self._selector.register(descriptor, selectors.EVENT_READ, handler)
            self._selector.register(self._signals.wake, selectors.EVENT_READ, self._on_signal)
            self._child.start(command, request, self._folder, child_ends, variables)
            self._state = _State.RUNNING
        except (OSError, ValueError) as problem:
            self._child.report = {"error": describe_error(problem)}
        finally:
            for child_end in child_ends:
                os.close(child_end)

    def run(self) -> None:
        """Run the loop until the child has ended and its pipes are empty."""
        if self._state is _State.NOT_STARTED:
            return
        while self._state is not _State.FINISHED:
            self._read_ready(self._seconds_until_due())
            now = self._clock()
            if now - self._last_turn > SUSPENDED_SECONDS:
                self._last_output = now
            self._last_turn = now
            self._obey_signals(now)
            if self._state in _CHILD_LIVES:
                self._check_memory(now)
                self._check_times(now)
            while self._steps and self._steps[0][0] <= now:
                _, step = self._steps.pop(0)
                step()
            self._finish_if_drained()
        # After a long suspension the time to drain is over at once, with the child's last output still in the pipes.
        self._read_ready(0)

    def close(self) -> None:
        """Leave no process and no descriptor behind, whatever happened before."""
        self._child.close()
        for key in list(self._selector.get_map().values()):
            if key.fd != self._signals.wake:
                os.close(key.fd)
        self._selector.close()
        self._output.close()

    def exit(self) -> Exit:
        """Return how the child ended; call it after ``close``."""
        if self._signals.seen and self._stop_reason is None:
            self._stop_reason = "interrupted"  # the signal came as the child ended: the user still wants to stop
        progress, report = self._output.progress, self._child.report
        return Exit(
            returncode=report.get("returncode"),
            seconds=self._ended_after,
            phase=progress.last.phase if progress.last else "",
            last_progress=progress.last,
            stopped=self._stop_reason,
            limit=self._reached_limit,
            error=progress.error or report.get("error"),
            result=_read_result(self._folder / "result.json"),
            log_tail=self._output.log_tail,
            retained_lines=tuple(self._output.log.retained),
            peak_bytes=max(self._memory.curve.peak, report.get("maxrss", 0)),
            memory=self._memory.curve.points(),
            oom_kills=self._memory.oom_kills(),
            stop_signal=self._signals.seen[0] if self._signals.seen else "",
            pid=self._child.pid,
            user_seconds=report.get("utime", 0.0),
            system_seconds=report.get("stime", 0.0),
            notes=tuple(self._output.notes),
        )

    def pids(self) -> set[int]:
        """Return the ids of the child and of all processes that were seen below it."""
        return self._child.pids()

    # --- reading the pipes --------------------------------------------------------------------------------

    def _read_ready(self, timeout: float) -> None:
        """Wait until a pipe can be read, at most ``timeout`` seconds, and handle each that can."""
        for key, _ in self._selector.select(timeout):
            key.data(key.fd)

    def _read(self, descriptor: int) -> bytes:
        """Return the bytes that can be read now; at its end the descriptor leaves the loop."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return b""
        if not data:
            self._selector.unregister(descriptor)
            os.close(descriptor)
        return data

    def _on_log(self, descriptor: int) -> None:
        data = self._read(descriptor)
        if data:
            self._last_output = self._clock()
            self._output.log.feed(data)

    def _on_progress(self, descriptor: int) -> None:
        data = self._read(descriptor)
        if data:
            self._last_output = self._clock()
            self._output.progress.feed(data)

    def _on_signal(self, descriptor: int) -> None:
        with suppress(BlockingIOError):
            os.read(descriptor, 4096)

    def _on_status(self, descriptor: int) -> None:
        data = self._read(descriptor)
        if self._child.read_status(data) and self._child.pid is not None:
            self._memory.due = self._clock()
        if not data and not self._child.has_ended:
            self._output.notes.append("The guardian of the child was killed; the child was killed too.")
            self._child.force_kill()
        if not data or self._child.has_ended:
            self._start_draining()

    def _start_draining(self) -> None:
        if self._state in _CHILD_LIVES:
            self._state = _State.DRAINING
            self._ended_after = self._clock() - self._began
            self._drain_until = self._clock() + DRAIN_SECONDS
            self._steps = []

    def _finish_if_drained(self) -> None:
        if self._state is not _State.DRAINING:
            return
        only_signals_left = len(self._selector.get_map()) == 1
        if only_signals_left or self._clock() >= self._drain_until:
            self._state = _State.FINISHED

    # --- limits and stopping ------------------------------------------------------------------------------

    def _seconds_until_due(self) -> float:
        """Return the seconds until a sample, a step, a limit or the end of draining is due."""
        due = [self._memory.due if self._state in _CHILD_LIVES else self._drain_until]
        due += [at for at, _ in self._steps[:1]]
        if self._state is _State.RUNNING:
            if self._limits.deadline is not None:
                due.append(self._began + self._limits.deadline)
            if self._limits.silence is not None:
                due.append(self._last_output + self._limits.silence)
        return max(0.0, min(due) - self._clock())

    def _obey_signals(self, now: float) -> None:
        """Stop the child after a signal to this process; kill it after a second one."""
        if self._signals.seen:
            self._stop("interrupted", None)
        if len(self._signals.seen) > 1 and self._child.can_be_killed:
            self._steps = self._kill_steps(now)

    def _check_memory(self, now: float) -> None:
        limit = self._limits.memory_bytes
        resident = self._memory.sample(self._child.tree if self._child.pid is not None else None, now)
        if limit is not None and resident > limit:
            self._stop("memory-limit", limit)

    def _check_times(self, now: float) -> None:
        deadline, silence = self._limits.deadline, self._limits.silence
        if deadline is not None and now - self._began >= deadline:
            self._stop("deadline", deadline)
        elif silence is not None and now - self._last_output >= silence and not self._selector.select(0):
            # Output that waits in the pipes was written in time, however late this process gets to read it.
            self._stop("silence", silence)

    def _stop(self, reason: StopReason, limit: float | None) -> None:
        """Begin to end the child: show its stacks, SIGTERM, SIGKILL; each step is taken if the last was not enough.

        At the memory limit it is killed at once: while it ends by itself it would take more.
        """
        if self._state is not _State.RUNNING:
            return
        self._state = _State.STOPPING
        self._stop_reason, self._reached_limit = reason, limit
        now = self._clock()
        if reason == "memory-limit":
            self._steps = self._kill_steps(now)
        elif reason in ("deadline", "silence") and self._can_dump_stacks():
            self._steps = [(now, lambda: self._child.order(DUMP_STACKS)), *self._terminate_steps(now + DUMP_SECONDS)]
        else:
            self._steps = self._terminate_steps(now)

    def _terminate_steps(self, at: float) -> list[tuple[float, Callable[[], None]]]:
        return [(at, lambda: self._child.order(TERMINATE)), *self._kill_steps(at + TERM_SECONDS)]

    def _kill_steps(self, at: float) -> list[tuple[float, Callable[[], None]]]:
        return [(at, self._child.kill), (at + KILL_SECONDS, self._child.force_kill)]

    def _can_dump_stacks(self) -> bool:
        """Return whether the child itself said that SIGUSR1 makes it show its stacks; it kills other programs."""
        offer = self._output.progress.worker
        return offer.get("dump") == "SIGUSR1" and offer.get("pid") == self._child.pid


def describe_error(problem: BaseException) -> dict[str, Any]:
    """Return an exception in the form of a worker's error line."""
    number = problem.errno if isinstance(problem, OSError) else None
    return {"type": type(problem).__name__, "message": str(problem), "errno": number, "traceback": ""}


def _read_result(path: Path) -> dict[str, Any] | None:
    """Return the worker's result, ``None`` unless the file is there and holds a JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
