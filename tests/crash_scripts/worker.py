"""A worker on the harness that ends as its request says; the supervisor's tests start it."""

import ctypes
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import UnusableDataError


def finish(request: dict[str, Any], report: Report) -> dict[str, Any]:
    for step in range(request.get("steps", 3)):
        report("count", step + 1, request.get("steps", 3), "counting", half=step / 2)
    sys.stdout.write("all counted\n")
    return {"answer": 42, "path": Path("some") / "path"}


def exception(request: dict[str, Any], report: Report) -> dict[str, Any]:
    report("count", 7, 10)
    report("count", 8, 10)  # held back for the rate, and yet known at the end
    raise ValueError("eight is too many")


def unusable(request: dict[str, Any], report: Report) -> dict[str, Any]:
    raise UnusableDataError("Half of the images cannot be read; mend them.")


def memory_error(request: dict[str, Any], report: Report) -> dict[str, Any]:
    return {"never": len(bytearray(1 << 62))}


def disk_full(request: dict[str, Any], report: Report) -> dict[str, Any]:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    return {}


def segfault(request: dict[str, Any], report: Report) -> dict[str, Any]:
    report("count", 3, 10)
    ctypes.string_at(0)
    return {}


def abort(request: dict[str, Any], report: Report) -> dict[str, Any]:
    os.abort()


def kill(request: dict[str, Any], report: Report) -> dict[str, Any]:
    report("count", 5, 10)
    os.kill(os.getpid(), signal.Signals[request["signal"]])
    time.sleep(60)
    return {}


def hang(request: dict[str, Any], report: Report) -> dict[str, Any]:
    report("count", 2, 10)
    wait_for_ever()
    return {}


def wait_for_ever() -> None:
    time.sleep(600)


def hog(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Take what is asked for and keep it, until somebody looks."""
    filled = os.urandom(1) * request["bytes"]
    report("grow", len(filled), len(filled))
    wait_for_ever()
    return {}


def litter(request: dict[str, Any], report: Report) -> dict[str, Any]:
    handle, name = tempfile.mkstemp()
    os.close(handle)
    return {"temporary": name, "turicreate_log": os.environ["TURI_LOG_PATH"]}


def leave(request: dict[str, Any], report: Report) -> dict[str, Any]:
    sys.exit(0)


DEEDS = (finish, exception, unusable, memory_error, disk_full, segfault, abort, kill, hang, hog, litter, leave)


def clock_of(request: dict[str, Any]) -> Callable[[], float]:
    """Return the real clock, or one that moves by ``tick`` seconds with each reading."""
    if "tick" not in request:
        return time.monotonic
    readings = itertools.count()
    return lambda: next(readings) * float(request["tick"])


if __name__ == "__main__":
    run(
        lambda request, report: {deed.__name__: deed for deed in DEEDS}[request["deed"]](request, report),
        clock=clock_of(json.loads((Path(sys.argv[1]) / "request.json").read_text())),
    )
