"""Run one command so that no process it starts outlives it, or outlives the process that started the guardian.

Started by ``supervisor.py`` as ``python -I -S guardian.py <control> <status> <command...>``. The first two and the
last argument of the command, its progress pipe, are inherited descriptors. It imports the standard library only and
runs on Python 3.8 and later.

- control: each byte is an order, ``d`` (send SIGUSR1, for a dump of the stacks) or ``t`` (send SIGTERM). Its end
  means "kill everything now"; it comes by itself when the supervising process ends, however it does.
- status: one JSON object a line. ``{"pid": ...}`` or ``{"error": {...}}`` at the start, and at the end
  ``{"returncode", "maxrss", "utime", "stime"}`` (bytes, seconds).

The guardian runs in a session of its own and the command in another, so that a signal to the command's group, SIGSTOP
included, does not reach the guardian. The guardian sends signals only before it has waited for the command, so that
none reaches another process that was given the same id.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
ORDERS = {b"d": (signal.SIGUSR1,), b"t": (signal.SIGTERM, signal.SIGCONT)}


def main(control: int, status: int, command: list[str], start: Callable[[list[str]], int]) -> None:
    """Run ``command`` to its end, or until ``control`` is closed; then kill every process below it.

    ``start`` returns the process id of the command; its last argument is the descriptor of the progress pipe.
    """
    wake = watch_signals()
    prctl = linux_prctl()
    if prctl:
        # Processes that leave the command's group and lose their parent become the guardian's children.
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        worker = start(command)
    except (OSError, ValueError, subprocess.SubprocessError) as problem:
        write_status(status, {"error": describe(problem)})
        return
    os.close(int(command[-1]))
    release_log_pipe()
    write_status(status, {"pid": worker})
    end = wait(worker, control, wake)
    kill_everything(worker, end, wake)
    write_status(status, end or {"returncode": None})


def watch_signals() -> int:
    """Return a descriptor that becomes readable when a child ends.

    SIGTERM, SIGINT, SIGHUP, SIGQUIT and SIGUSR1 get a handler that does nothing, so that the guardian survives them.
    If they were ignored, the command would inherit that.
    """
    wake, write = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in HANDLED:
        signal.signal(number, lambda *_: None)
    return wake


def linux_prctl() -> Callable[..., int] | None:
    """Return Linux's prctl function, or None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes

        prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None
    return prctl


def die_with(parent: int, prctl: Callable[..., int] | None) -> None:
    """Have Linux kill this process when ``parent``, which forked it, ends; exit at once if it has ended already."""
    if prctl:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def start_program(command: list[str]) -> int:
    """Return the process id of ``command``, in a session of its own, with its progress descriptor open."""
    guardian, prctl = os.getpid(), linux_prctl()

    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        pass_fds=(int(command[-1]),),
        start_new_session=True,
        preexec_fn=(lambda: die_with(guardian, prctl)) if prctl else None,  # noqa: PLW1509 - there are no threads here
    )
    process.returncode = 0  # the guardian waits for it, not subprocess
    return process.pid


def describe(problem: Exception) -> dict[str, Any]:
    """Return an exception in the form of a worker's error line."""
    number = getattr(problem, "errno", None)
    return {"type": type(problem).__name__, "message": str(problem), "errno": number, "traceback": ""}


def release_log_pipe() -> None:
    """Close this process's copies of the log pipe, so that its end is seen when the command's processes have ended."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def write_status(status: int, message: dict[str, Any]) -> None:
    """Write one line to the supervising process, if it is still there."""
    with contextlib.suppress(OSError):
        os.write(status, json.dumps(message).encode() + b"\n")


def wait(worker: int, control: int, wake: int) -> dict[str, Any]:
    """Wait until the worker has ended or ``control`` is closed; return what is known of its end.

    Orders that arrive meanwhile are carried out.
    """
    end: dict[str, Any] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wake in ready:
                drain(wake)
                if has_ended(worker, end):
                    return end
            if control in ready:
                orders = os.read(control, 64)
                if not orders:
                    return end
                for order in orders:
                    deliver_signal(bytes([order]), worker)


def has_ended(worker: int, end: dict[str, Any]) -> bool:
    """Return whether the worker has ended; wait for the other children that have (``waitpid``).

    The worker itself is not waited for, so that no other process gets its id until its group has been killed.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13 can only wait
        collect(worker, end)
        return bool(end)
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        if ended is None:
            return False
        if ended.si_pid == worker:
            return True
        os.waitpid(ended.si_pid, 0)


def deliver_signal(order: bytes, worker: int) -> None:
    """Send the signals of an order. SIGUSR1 goes to the worker alone, since it would kill most other programs."""
    for number in ORDERS.get(order, ()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if order == b"d":
                os.kill(worker, number)
            else:
                os.killpg(worker, number)


def drain(wake: int) -> None:
    """Empty the pipe that signals write to."""
    with contextlib.suppress(BlockingIOError):
        while os.read(wake, 4096):
            pass


def kill_everything(worker: int, end: dict[str, Any], wake: int) -> None:
    """Kill the worker's group and every descendant, and fill ``end`` with how the worker ended.

    It takes several rounds when a process starts another one between the listing and the signal. After two seconds
    it gives up, as a process cannot be killed while it reads from a disk that does not answer.
    """
    deadline = time.monotonic() + 2.0
    kill(os.killpg, worker)
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ)
        while True:
            remaining = descendants()
            for pid in remaining:
                kill(os.kill, pid)
            collect(worker, end)
            if (end and not remaining) or time.monotonic() > deadline:
                return
            selector.select(0.01)
            drain(wake)


def kill(function: Callable[[int, int], None], target: int) -> None:
    """Send SIGKILL to a process or a group that may have ended (for a group that has, macOS reports EPERM)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        function(target, signal.SIGKILL)


def collect(worker: int, end: dict[str, Any]) -> None:
    """Wait for every child that has ended; if the worker is among them, fill ``end`` with how it ended."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == worker:
            unit = 1 if sys.platform == "darwin" else 1024
            end["returncode"] = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            end["maxrss"] = usage.ru_maxrss * unit
            end["utime"] = usage.ru_utime
            end["stime"] = usage.ru_stime


def descendants() -> list[int]:
    """Return the ids of all processes below this one (Linux), whichever group or session they are in."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    pids = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        pids += below
        queue += below
    return pids


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:], start_program)
