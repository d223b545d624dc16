"""Runs one of our workers as ``python -I -m`` does, but lets it stand still at a point, for a test to end it there.

The command line is: standing_worker.py <points' JSON file> <module> <folder> <progress descriptor>. A point holds for
the first process that comes to it. It says the ``worker``, the beginning of a ``phase``, the ``message`` unless it is
empty, and a part of the ``folder``; with ``until`` it is left as soon as that file is there.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from coremlbench.supervision.worker_main import Report

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


def python_that_stands(folder: Path, *points: dict[str, Any]) -> Path:
    """Return a program in a folder to start workers with: this Python, in which they stand at the points."""
    (folder / "points.json").write_text(json.dumps(points))
    program = folder / "python"
    program.write_text(PASS_ON.format(python=sys.executable, script=__file__, points=folder / "points.json"))
    program.chmod(0o755)
    return program


def stand_at(patch: pytest.MonkeyPatch, folder: Path, *points: dict[str, Any]) -> None:
    """Let the workers of this process stand at points."""
    folder.mkdir()
    patch.setattr(sys, "executable", str(python_that_stands(folder, *points)))


def standing(report: Report, points: Path, module: str, folder: str) -> Report:
    """Return a report that does not come back from a point, and says it again and again, however seldom lines pass."""
    here = [
        (points.with_suffix(f".{number}"), each)
        for number, each in enumerate(json.loads(points.read_text()))
        if module.rpartition(".")[2] == each["worker"] and each["folder"] in folder
    ]

    def is_first(mark: Path) -> bool:
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def say(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        # The mark comes first: who reads the line may end this process at once, and the next one must not stand.
        points_here = [
            each
            for mark, each in here
            if phase.startswith(each["phase"]) and each["message"] in ("", message) and is_first(mark)
        ]
        report(phase, done, total, message, **figures)
        for each in points_here:
            while not (each["until"] and Path(each["until"]).exists()):
                time.sleep(0.05)
                report(phase, done, total, message, **figures)

    return say


if __name__ == "__main__":
    from coremlbench.supervision.worker_main import run

    points, module = Path(sys.argv[1]), sys.argv[2]
    del sys.argv[1:3]
    work = importlib.import_module(module).work
    run(lambda request, report: work(request, standing(report, points, module, sys.argv[1])))
