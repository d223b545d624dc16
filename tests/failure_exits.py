"""Ends of child processes in short, for the samples of the failures' table."""

from dataclasses import replace
from typing import Any

from coremlbench.types.process import CrashReport, Exit, Progress

Sample = tuple[str, list[Exit], list[Exit]]
"""What an end is called, ends that are it, and ends that all but are."""

FINE = Exit(returncode=0, seconds=1.0, pid=1, result={"accuracy": 0.9})
BROKEN = Exit(returncode=1, seconds=1.0, pid=1)


def log(*lines: str, **fields: Any) -> Exit:
    return replace(BROKEN, log_tail=lines, **fields)


def error(kind: str, message: str = "no", number: int | None = None, **fields: Any) -> Exit:
    content = {"type": kind, "message": message, "errno": number, "traceback": f"{kind}: {message}"}
    return replace(BROKEN, error=content, **fields)


def shared(number: int | None, **fields: Any) -> Exit:
    """Return the end of a worker one of whose processes was ended by a signal."""
    died = error("PoolProcessDiedError", "One of 8 processes that work side by side was ended.", **fields)
    return replace(died, error={**(died.error or {}), "signal": number})


def ended(code: int | None, **fields: Any) -> Exit:
    return replace(BROKEN, returncode=code, **fields)


def stopped(reason: Any, **fields: Any) -> Exit:
    return replace(BROKEN, returncode=-15, stopped=reason, **fields)


def losing(loss: float) -> Exit:
    return replace(FINE, last_progress=Progress("fit", 2, 5, figures={"loss": loss}))


def reported(code: int, **fields: Any) -> Exit:
    report = CrashReport("python3.11-2026-11-23-101500.ips", "python3.11", 1, "2026-11-23 10:15:00.1234 +0100")
    return ended(code, crash_report=replace(report, **fields))
