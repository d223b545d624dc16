"""One child process under its guardian: start it, send it signals, kill it, and read what the guardian reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from coremlbench.supervision.fork_client import Guardian, fork_guardian
from coremlbench.supervision.process_tree import ProcessTree
from coremlbench.system.signals import pipe

GUARDIAN = Path(__file__).with_name("guardian.py")
KILL_SECONDS = 5.0
"""Seconds that the guardian may take to kill everything before it is killed itself."""

DUMP_STACKS, TERMINATE = b"d", b"t"
"""Orders on the control pipe; see ``guardian.py``."""


class GuardedChild:
    """A child process, its guardian and its process tree.

    ``report`` holds what the guardian wrote to its status pipe: ``pid``; ``returncode``, ``maxrss``, ``utime`` and
    ``stime`` at the end; or ``error``. ``marker`` is the name and value of a variable in the child's environment.
    """

    def __init__(self, marker: tuple[str, str]) -> None:
        self.report: dict[str, Any] = {}
        self.tree: ProcessTree | None = None
        self._marker = marker
        self._control: int | None = None
        self._guardian: Guardian | None = None
        self._status_line = b""

    def open_control(self) -> int:
        """Open the control pipe and return the guardian's end of it, which the caller closes."""
        guardian_end, self._control = pipe()
        return guardian_end

    def start(
        self,
        command: Sequence[str],
        request: Mapping[str, Any],
        folder: Path,
        descriptors: Sequence[int],
        variables: Mapping[str, str],
    ) -> None:
        """Start the guardian, and through it ``command <folder> <progress descriptor>``.

        ``descriptors`` are the guardian's ends of the control, status, progress and log pipes; ``variables`` are the
        whole environment. Raises ``OSError`` or ``ValueError`` when the guardian cannot be started; that the command
        could not be started is in its ``report``.
        """
        control, status, progress, log = descriptors
        child = [*command, str(folder), str(progress)]
        self._guardian = fork_guardian(command, request, folder, descriptors, variables) or subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARDIAN), str(control), str(status), *child],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(control, status, progress),
            start_new_session=True,
            env=variables,
        )
        self.tree = ProcessTree(self._guardian.pid, self._marker)

    @property
    def pid(self) -> int | None:
        """Return the child's process id, ``None`` until the guardian has reported it."""
        return self.report.get("pid")

    @property
    def can_be_killed(self) -> bool:
        """Return whether ``kill`` was not called yet."""
        return self._control is not None

    def pids(self) -> set[int]:
        """Return the ids of the child and of all processes that were ever seen below it."""
        return {*(() if self.pid is None else (self.pid,)), *(self.tree.pids if self.tree else ())}

    def read_status(self, data: bytes) -> bool:
        """Add bytes of the status pipe to ``report``; return whether they completed a line."""
        *lines, self._status_line = (self._status_line + data).split(b"\n")
        for line in lines:
            self.report.update(json.loads(line))
        return bool(lines)

    @property
    def has_ended(self) -> bool:
        """Return whether the guardian has reported the end of the child, or that it could not start it."""
        return "returncode" in self.report or "error" in self.report

    def order(self, order: bytes) -> None:
        """Have the guardian send a signal to the child: ``DUMP_STACKS`` or ``TERMINATE``."""
        if self._control is not None:
            with suppress(OSError):
                os.write(self._control, order)

    def kill(self) -> None:
        """Close the control pipe: the guardian then kills all processes below it and reports."""
        if self._control is not None:
            os.close(self._control)
            self._control = None

    def force_kill(self) -> None:
        """Kill a guardian that does not answer, and all processes that are known to be below it."""
        if self._guardian is not None:
            self._guardian.kill()
        if self.tree is not None:
            self.tree.resident_bytes()
            self.tree.kill(search=True)

    def close(self) -> None:
        """Kill whatever is left and wait for the guardian's end."""
        self.kill()
        if self._guardian is not None:
            try:
                self._guardian.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self.force_kill()
                with suppress(subprocess.TimeoutExpired):
                    self._guardian.wait(KILL_SECONDS)
        if self.tree is not None:
            # On Linux the guardian has killed all descendants; on macOS, or if it was killed, some may be left.
            self.tree.kill(search=not sys.platform.startswith("linux") or "returncode" not in self.report)
