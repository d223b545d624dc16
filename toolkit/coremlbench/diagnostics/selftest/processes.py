"""Checks of processes: crashes, limits and the clock."""

from __future__ import annotations

import itertools
import sys
import time

from coremlbench.diagnostics.selftest.checks import Context, DoesNotWorkError
from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
from coremlbench.system.formatting import format_bytes
from coremlbench.types.process import Exit, Limits

REPORT = "Report this together with the file of `coremlbench selftest --bundle FILE`."
MAX_TICK_SECONDS = 1e-5
"""A quick model's prediction takes 50 µs: a coarser clock could not time it."""
CLOCK_READINGS = 20_000
MEMORY_LIMIT = 256 << 20
DEADLINE, SILENCE = 1.0, 0.5

ABORT = "import os; os.abort()"
ALLOCATE = "kept = [bytearray(b'x') * (8 << 20) for _ in range(256)]\nimport time; time.sleep(60)"
TALK = "import time\nwhile True: print('x', flush=True); time.sleep(0.05)"
SLEEP = "import time; time.sleep(60)"


def check_timer(context: Context) -> str:
    """Return the smallest step of the clock that times predictions.

    Raises:
        DoesNotWorkError: it goes backwards, or its steps are too coarse.
    """
    del context
    readings = [time.perf_counter_ns() for _ in range(CLOCK_READINGS)]
    steps = [after - before for before, after in itertools.pairwise(readings)]
    if min(steps) < 0:
        raise DoesNotWorkError("the clock goes backwards", "Use another machine, or another clock of this virtual one.")
    tick = min((step for step in steps if step), default=0) / 1e9
    if not 0 < tick <= MAX_TICK_SECONDS:
        raise DoesNotWorkError(
            f"its steps are {1e6 * tick:.3g} µs, and quick models take about 50",
            "Give the machine a finer clock: on Linux see /sys/devices/system/clocksource.",
        )
    return f"steps of {1e9 * tick:.0f} ns, never backwards"


def check_crash_isolation(context: Context) -> str:
    """Return that a child that aborts is one failure.

    Raises:
        DoesNotWorkError: its end was not recognised.
    """
    ended = run_script(context, "abort", ABORT, Limits(deadline=10.0))
    failure = classify(ended)
    if failure is None or failure.evidence.signal != "SIGABRT":
        raise DoesNotWorkError(f"a child that aborted ended as {_description(ended)}", REPORT)
    return f"a child that aborts is a failure ({failure.kind}), and nothing else ends"


def check_memory_limit(context: Context) -> str:
    """Return that a child is stopped at its memory limit.

    Raises:
        DoesNotWorkError: it was not.
    """
    ended = run_script(context, "memory", ALLOCATE, Limits(deadline=10.0, memory_bytes=MEMORY_LIMIT))
    if ended.stopped != "memory-limit":
        raise DoesNotWorkError(
            f"a child that took more than {format_bytes(MEMORY_LIMIT)} ended as {_description(ended)}, with "
            f"{format_bytes(ended.peak_bytes)} at its peak",
            REPORT,
        )
    return f"a child was stopped at {format_bytes(MEMORY_LIMIT)}"


def check_timeouts(context: Context) -> str:
    """Return that children that take too long, or say nothing, are stopped.

    Raises:
        DoesNotWorkError: one was not.
    """
    for name, code, limits, expected in (
        ("deadline", TALK, Limits(deadline=DEADLINE), "deadline"),
        ("silence", SLEEP, Limits(deadline=10.0, silence=SILENCE), "silence"),
    ):
        ended = run_script(context, name, code, limits)
        if ended.stopped != expected:
            raise DoesNotWorkError(f"a child with a limit of {name} ended as {_description(ended)}", REPORT)
    return f"children were stopped after {DEADLINE:g} s, and after {SILENCE:g} s without a word"


def run_script(context: Context, name: str, code: str, limits: Limits) -> Exit:
    """Return how a child ended that runs ``code``."""
    folder = context.folder / "scripts" / name
    folder.mkdir(parents=True, exist_ok=True)
    return supervise([sys.executable, "-I", "-c", code], folder=folder, request={}, limits=limits)


def _description(ended: Exit) -> str:
    """Return an end in words."""
    return f"stopped for its {ended.stopped}" if ended.stopped else f"exit status {ended.returncode}"
