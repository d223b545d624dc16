"""Lets a worker stand still at a point of its work, for a test to end it there.

A point holds for the first process that comes to it. It says the ``worker``, the beginning of a ``phase``, the
``message`` unless it is empty, and a part of the ``folder``; with ``until`` it is left as soon as that file is there.
The file ``points.<number>`` beside the points' file then holds the process id.

Workers that the fork server starts look for the points' file in the variable ``POINTS_VARIABLE``: the server's groups
import ``tests.standing_worker_hook``. Other workers are started through a program, which runs this file as a script:
standing_worker.py <points' JSON file> <module> <folder> <progress descriptor>.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from coremlbench.supervision.worker_main import Report, Work

POINTS_VARIABLE = "COREMLBENCH_TEST_POINTS"
COMMAND_LINE = "import sys; sys.executable = sys.argv.pop(1); from coremlbench.cli.main import main; main()"
"""The command line of coremlbench as code, whose workers are started with the program that is its first argument."""
PASS_ON = """#!/bin/sh
case "$3" in
coremlbench.workers.*) module="$3"; shift 3; exec {python} -I {script} {points} "$module" "$@";;
esac
exec {python} "$@"
"""


def point(worker: str, phase: str, message: str = "", *, folder: str = "", until: Path | None = None) -> dict[str, Any]:
    """Return where a worker is to stand."""
    where = {"worker": worker, "phase": phase, "message": message, "folder": folder}
    return {**where, "until": str(until) if until else None}


def write_points(folder: Path, *points: dict[str, Any]) -> Path:
    """Return the file of points, written to a folder."""
    file = folder / "points.json"
    file.write_text(json.dumps(points))
    return file


def python_that_stands(folder: Path, *points: dict[str, Any]) -> Path:
    """Return a program in a folder to start workers with: this Python, in which they stand at the points."""
    file, program = write_points(folder, *points), folder / "python"
    program.write_text(PASS_ON.format(python=sys.executable, script=__file__, points=file))
    program.chmod(0o755)
    return program


def stand_at(patch: pytest.MonkeyPatch, folder: Path, *points: dict[str, Any]) -> None:
    """Let the workers of this process stand at points."""
    from coremlbench.supervision.fork_client import SERVER_VARIABLE, WORKERS, scripts_of

    folder.mkdir()
    server = os.environ.get(SERVER_VARIABLE)
    forked = {*WORKERS, *(program.rpartition(".")[2] for program in scripts_of(Path(server or "")))}
    if server and all(at["worker"] in forked for at in points):
        patch.setenv(POINTS_VARIABLE, str(write_points(folder, *points)))
    else:
        patch.setattr(sys, "executable", str(python_that_stands(folder, *points)))


def kill_standing(folder: Path, number: int = 0) -> None:
    """Kill the worker that stands at a point with SIGKILL, as the kernel does when memory is exhausted."""
    os.kill(int((folder / f"points.{number}").read_text()), signal.SIGKILL)


def standing(report: Report, points: Path, module: str, folder: str) -> Report:
    """Return a report that does not come back from a point, and says it again and again, however seldom lines pass."""
    here = [
        (points.with_suffix(f".{number}"), at)
        for number, at in enumerate(json.loads(points.read_text()))
        if module.rpartition(".")[2] == at["worker"] and at["folder"] in folder
    ]

    def is_first(mark: Path) -> bool:
        try:
            with mark.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True

    def say(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        # The mark comes first: who reads the line may end this process at once, and the next one must not stand.
        points_here = [
            at
            for mark, at in here
            if phase.startswith(at["phase"]) and at["message"] in ("", message) and is_first(mark)
        ]
        report(phase, done, total, message, **figures)
        for at in points_here:
            while not (at["until"] and Path(at["until"]).exists()):
                time.sleep(0.05)
                report(phase, done, total, message, **figures)

    return say


def standing_work(work: Work, points: Path, module: str) -> Work:
    """Return a worker's function whose report stands at the points."""
    return lambda request, report: work(request, standing(report, points, module, sys.argv[1]))


if __name__ == "__main__":
    from coremlbench.supervision.worker_main import run

    points, module = Path(sys.argv[1]), sys.argv[2]
    del sys.argv[1:3]
    run(standing_work(importlib.import_module(module).work, points, module))
