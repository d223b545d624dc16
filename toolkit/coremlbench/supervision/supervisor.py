"""Start a child, watch it, end it when it must, and say how it ended.

One loop and no threads. The child is started by a guardian (``guardian.py``), a small process that kills
everything below it when the child ends and when this process vanishes, so that nothing outlives a run whichever of
them is killed. What cannot be caught: on macOS, a process that has left the child's group and lost its parent, when
this process is killed at once with SIGKILL; and a kill of this process and the guardian in the same instant, after
which Linux still ends the child itself but not what the child started.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.supervision.crash_reports import find_crash_report, reports_folder
from coremlbench.supervision.fork_client import Guardian, fork_guardian
from coremlbench.supervision.process_tree import MemoryCurve, ProcessTree, count_oom_kills
from coremlbench.supervision.streams import Log, ProgressLines
from coremlbench.system.files import atomic_write
from coremlbench.system.resources import snapshot_resources
from coremlbench.system.signals import Signals, pipe
from coremlbench.types.process import Exit, Limits, Progress, StopReason

GUARDIAN = Path(__file__).with_name("guardian.py")
MARKER = "COREMLBENCH_CHILD"
SCRATCH = "scratch"
SAMPLE_SECONDS = 0.25
SAMPLE_SHARE = 0.02
"""Of one core's time, what the sampling of the memory may take at most."""
DUMP_SECONDS = 0.5
TERM_SECONDS = 3.0
KILL_SECONDS = 5.0
DRAIN_SECONDS = 1.0
SUSPENDED_SECONDS = 5.0
"""A turn of the loop that took longer means that this process was stopped: the child's silence is not its own."""


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

    ``folder`` gets ``request.json``, ``log.txt`` and ``progress.jsonl``, and the child's temporary files go to
    ``scratch`` in it, which is removed at the end. ``environment`` holds variables that the child gets beside this
    process's own. Log lines that ``keep`` is true of are kept wherever they stand. When the child crashed, the
    system's report of it is looked for in ``crash_reports`` (macOS's own folder unless named) and copied to
    ``crash.ips`` in ``folder``. Nothing is raised for what the child does or cannot do; what ``on_progress`` raises
    ends the child and comes through. SIGINT, SIGTERM and SIGHUP stop the child meanwhile (a second one kills it at
    once), and the ``Exit`` says so; that needs the main thread, as Python delivers signals there. Limits, the steps of
    an ending and the ``Exit``'s times go by ``clock``, in seconds.
    """
    began, started = clock(), time.time()
    folder = folder.absolute()
    scratch = folder / SCRATCH
    try:
        scratch.mkdir(exist_ok=True)
        (folder / "result.json").unlink(missing_ok=True)
        atomic_write(folder / "request.json", json.dumps(request, default=os.fspath).encode())
    except OSError as problem:
        return _not_begun(problem, folder, clock() - began)
    marker = (MARKER, secrets.token_hex(8))
    temporary = {"TMPDIR": str(scratch), "TURI_LOG_PATH": str(scratch)}  # Turi Create's log knows no TMPDIR
    variables = {**os.environ, **(environment or {}), **temporary, marker[0]: marker[1]}
    try:
        with ExitStack() as stack:
            try:
                signals = stack.enter_context(Signals())
                watch = _Watch(folder, limits, on_progress, signals, marker, keep, clock)
            except OSError as problem:  # no descriptors are left
                return _not_begun(problem, folder, clock() - began)
            try:
                watch.start(command, request, variables)
                watch.run()
            finally:
                watch.close()
        ended = watch.exit()
        report = find_crash_report(ended, folder, crash_reports or reports_folder(), watch.pids(), started, clock)
        return replace(ended, crash_report=report, surroundings=snapshot_resources(folder))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _not_begun(problem: OSError, folder: Path, seconds: float) -> Exit:
    """Return the end of a child that was never started, as this process could not get what that takes."""
    return Exit(
        returncode=None, seconds=seconds, error=describe_error(problem), surroundings=snapshot_resources(folder)
    )


class _Watch:
    """One child being watched; the steps of ``supervise`` and the state between them."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        on_progress: Callable[[Progress], None] | None,
        signals: Signals,
        marker: tuple[str, str],
        keep: Callable[[str], bool] | None,
        clock: Callable[[], float],
    ) -> None:
        self._selector = selectors.DefaultSelector()  # first, as it may fail and nothing is open yet
        self._folder, self._limits, self._signals, self._marker = folder, limits, signals, marker
        self._clock = clock
        self._notes: list[str] = []
        self._log = Log(folder / "log.txt", self._notes, keep)
        self._log_tail: tuple[str, ...] = ()
        self._progress = ProgressLines(folder / "progress.jsonl", self._notes, on_progress)
        self._control: int | None = None
        self._guardian: Guardian | None = None
        self._status = b""
        self._report: dict[str, Any] = {}
        self._tree: ProcessTree | None = None
        self._curve = MemoryCurve()
        self._oom_before = count_oom_kills()
        self._began = self._heard = self._turn = self._clock()
        self._sample_due = self._began
        self._seconds = 0.0
        self._drain_until: float | None = None
        self._stopped: StopReason | None = None
        self._limit: float | None = None
        self._steps: list[tuple[float, Callable[[], None]]] = []

    def start(self, command: Sequence[str], request: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        """Start the guardian, and through it the child."""
        ends: list[int] = []  # those of the child
        try:
            control, self._control = pipe()
            ends.append(control)
            for take in (self._on_status, self._on_progress, self._on_log):
                descriptor, end = pipe()
                ends.append(end)
                os.set_blocking(descriptor, False)
                self._selector.register(descriptor, selectors.EVENT_READ, take)
            self._selector.register(self._signals.wake, selectors.EVENT_READ, self._on_signal)
            _, status_end, progress_end, log_end = ends
            numbers = [str(control), str(status_end)]
            child = [*command, str(self._folder), str(progress_end)]
            self._guardian = fork_guardian(command, request, self._folder, ends, variables) or subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARDIAN), *numbers, *child],
                stdin=subprocess.DEVNULL,
                stdout=log_end,
                stderr=log_end,
                pass_fds=(control, status_end, progress_end),
                start_new_session=True,
                env=variables,
            )
            self._tree = ProcessTree(self._guardian.pid, self._marker)
        except (OSError, ValueError) as problem:
            self._report = {"error": describe_error(problem)}
        finally:
            for end in ends:
                os.close(end)

    def run(self) -> None:
        """Turn the loop until the child has ended and its pipes are empty."""
        while not self._finished():
            for key, _ in self._selector.select(self._until_next()):
                key.data(key.fd)
            now = self._clock()
            if now - self._turn > SUSPENDED_SECONDS:
                self._heard = now
            self._turn = now
            if self._signals.seen:
                self._stop("interrupted", None)
                if len(self._signals.seen) > 1 and self._control is not None:
                    self._steps = [(now, self._kill), (now + KILL_SECONDS, self._force)]
            if self._drain_until is None:
                self._sample(now)
                self._check_limits(now)
            while self._steps and self._steps[0][0] <= now:
                self._steps.pop(0)[1]()
        if self._guardian is not None:
            # A process that got no turn for long finds its time over, with the child's last words still in the pipes.
            for key, _ in self._selector.select(0):
                key.data(key.fd)

    def close(self) -> None:
        """Leave no process, no descriptor and no handler behind, whatever happened before."""
        self._kill()
        if self._guardian is not None:
            try:
                self._guardian.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._force()
                with suppress(subprocess.TimeoutExpired):
                    self._guardian.wait(KILL_SECONDS)
        if self._tree is not None:
            # The guardian of Linux has killed all descendants; elsewhere, or if it died, some may be left.
            self._tree.kill(search=not sys.platform.startswith("linux") or "returncode" not in self._report)
        for key in list(self._selector.get_map().values()):
            if key.fd != self._signals.wake:
                os.close(key.fd)
        self._selector.close()
        self._log_tail = self._log.close()
        self._progress.close()

    def exit(self) -> Exit:
        """Return how the child ended."""
        if self._signals.seen and self._stopped is None:
            self._stopped = "interrupted"  # the signal came as the child ended: the person still wants to stop
        before, after = self._oom_before, count_oom_kills()
        last = self._progress.last
        return Exit(
            returncode=self._report.get("returncode"),
            seconds=self._seconds,
            phase=last.phase if last else "",
            last_progress=last,
            stopped=self._stopped,
            limit=self._limit,
            error=self._progress.error or self._report.get("error"),
            result=_read_result(self._folder / "result.json"),
            log_tail=self._log_tail,
            retained_lines=tuple(self._log.kept),
            peak_bytes=max(self._curve.peak, self._report.get("maxrss", 0)),
            memory=self._curve.points(),
            oom_kills=None if before is None or after is None else max(0, after - before),
            stop_signal=self._signals.seen[0] if self._signals.seen else "",
            pid=self._report.get("pid"),
            user_seconds=self._report.get("utime", 0.0),
            system_seconds=self._report.get("stime", 0.0),
            notes=tuple(self._notes),
        )

    def pids(self) -> set[int]:
        """Return the ids of the child and of all processes that were seen below it."""
        return {*({self._report["pid"]} if "pid" in self._report else ()), *(self._tree.pids if self._tree else ())}

    # --- what arrives -----------------------------------------------------------------------------------

    def _read(self, descriptor: int) -> bytes:
        """Return what there is to read; at its end the descriptor leaves the loop."""
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
            self._heard = self._clock()
            self._log.feed(data)

    def _on_progress(self, descriptor: int) -> None:
        data = self._read(descriptor)
        if data:
            self._heard = self._clock()
            self._progress.feed(data)

    def _on_signal(self, descriptor: int) -> None:
        with suppress(BlockingIOError):
            os.read(descriptor, 4096)

    def _on_status(self, descriptor: int) -> None:
        data = self._read(descriptor)
        *lines, self._status = (self._status + data).split(b"\n")
        for line in lines:
            self._report.update(json.loads(line))
            if "pid" in self._report:
                self._sample_due = self._clock()
        if "returncode" in self._report or "error" in self._report or not data:
            if not data and not {"returncode", "error"} & self._report.keys():
                self._notes.append("The guardian of the child was killed; the child was killed too.")
                self._force()
            self._ended()

    def _ended(self) -> None:
        """Note the child's end; what it wrote before may still be on its way."""
        if self._drain_until is None:
            self._seconds = self._clock() - self._began
            self._drain_until = self._clock() + DRAIN_SECONDS
            self._steps = []

    def _finished(self) -> bool:
        if self._guardian is None:
            return True
        if self._drain_until is None:
            return False
        return len(self._selector.get_map()) == 1 or self._clock() >= self._drain_until

    # --- limits and the way to the end ------------------------------------------------------------------

    def _until_next(self) -> float:
        """Return the seconds until something is due."""
        due = [self._sample_due if self._drain_until is None else self._drain_until]
        due += [at for at, _ in self._steps[:1]]
        if self._stopped is None and self._drain_until is None:
            if self._limits.deadline is not None:
                due.append(self._began + self._limits.deadline)
            if self._limits.silence is not None:
                due.append(self._heard + self._limits.silence)
        return max(0.0, min(due) - self._clock())

    def _sample(self, now: float) -> None:
        """Sample the tree's memory when it is due, seldom enough to stay a small share of one core."""
        if now < self._sample_due:
            return
        self._sample_due = now + SAMPLE_SECONDS
        if self._tree is not None and "pid" in self._report:
            resident = self._tree.resident_bytes()
            if resident:  # none is left just before the end is known
                self._curve.add(now - self._began, resident)
            took = self._clock() - now
            self._sample_due = now + max(SAMPLE_SECONDS, took / SAMPLE_SHARE)
            limit = self._limits.memory_bytes
            if limit is not None and resident > limit:
                self._stop("memory-limit", limit)

    def _check_limits(self, now: float) -> None:
        deadline, silence = self._limits.deadline, self._limits.silence
        if deadline is not None and now - self._began >= deadline:
            self._stop("deadline", deadline)
        elif silence is not None and now - self._heard >= silence and not self._selector.select(0):
            # What waits in the pipes was said in time, however late this process gets its turn to read it.
            self._stop("silence", silence)

    def _stop(self, reason: StopReason, limit: float | None) -> None:
        """Begin to end the child: ask where it is, ask it to end, kill it; each step comes if the last was not enough.

        One that took too much memory is killed at once: in the time to end politely it would take more.
        """
        if self._stopped is not None or self._drain_until is not None:
            return
        self._stopped, self._limit = reason, limit
        now = self._clock()
        if reason == "memory-limit":
            self._steps = [(now, self._kill), (now + KILL_SECONDS, self._force)]
            return
        dump = self._can_dump() and reason in ("deadline", "silence")
        ask = now + (DUMP_SECONDS if dump else 0.0)
        self._steps = [
            *([(now, lambda: self._order(b"d"))] if dump else []),
            (ask, lambda: self._order(b"t")),
            (ask + TERM_SECONDS, self._kill),
            (ask + TERM_SECONDS + KILL_SECONDS, self._force),
        ]

    def _can_dump(self) -> bool:
        """Return whether the child itself said that SIGUSR1 makes it show its stacks; it kills other programs."""
        said = self._progress.harness
        return said.get("dump") == "SIGUSR1" and said.get("pid") == self._report.get("pid")

    def _order(self, order: bytes) -> None:
        """Tell the guardian to send a signal."""
        if self._control is not None:
            with suppress(OSError):
                os.write(self._control, order)

    def _kill(self) -> None:
        """Close the control pipe: the guardian kills everything and reports."""
        if self._control is not None:
            os.close(self._control)
            self._control = None

    def _force(self) -> None:
        """Kill the guardian and all that is known to be below it: for a guardian that does not answer."""
        if self._guardian is not None:
            self._guardian.kill()
        if self._tree is not None:
            self._tree.resident_bytes()
            self._tree.kill(search=True)


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
