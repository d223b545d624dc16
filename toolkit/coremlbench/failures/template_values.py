"""The words and numbers of an ``Exit`` that the sentences of ``failures.RULES`` are filled with."""

from __future__ import annotations

import os
import signal

from coremlbench.system.formatting import format_bytes, format_seconds
from coremlbench.types.process import Exit, ProcessResources


def values_for(ended: Exit) -> dict[str, str]:
    """Return the fields that a rule's sentences may hold."""
    error = ended.error or {}
    where = describe_where(ended)
    message = str(error.get("message", "")).strip()[:1000]
    return {
        "who": "coremlbench itself" if ended.pid == os.getpid() else "The worker",
        "where": f" at {where}" if where else "",
        "by_signal": f" by {ended.stop_signal}" if ended.stop_signal else "",
        "limit_seconds": format_seconds(ended.limit or 0.0),
        "limit_bytes": format_bytes(int(ended.limit or 0)),
        "peak": format_bytes(ended.peak_bytes) if ended.peak_bytes else "an unknown amount",
        "signal": name_of_signal(ended),
        "type": str(error.get("type", "")),
        "message": message,
        "said": f": {message.rstrip('.')}" if message else "",
        "returncode": str(ended.returncode),
        "oom_kills": str(ended.oom_kills),
        "oom_note": "for lack of memory, likely"
        if ended.oom_kills is None
        else "not for lack of memory, likely, as the system counted no such kill",
        **_notes(ended),
    }


def _notes(ended: Exit) -> dict[str, str]:
    """Return the additions to a sentence that are made when the machine or its crash report tells more."""
    around = ended.surroundings or ProcessResources()
    report = ended.crash_report
    translated = bool(around.rosetta) or (report is not None and report.translated)
    avx = " (it ran under Rosetta)" if translated else " (this one has no AVX)" if around.avx is False else ""
    disk = around.free_disk_bytes
    return {
        "avx_note": avx,
        "disk_note": "" if disk is None else f" ({format_bytes(disk)} left)",
        "files_note": "" if around.open_files is None else f" (a limit of {around.open_files:,})",
        "crash_note": f" in {report.frames[0]}" if report is not None and report.frames else "",
    }


def describe_where(ended: Exit) -> str:
    """Return how far the worker had come: "extract 1234 of 88375", or the phase alone, or nothing."""
    progress = ended.last_progress
    if progress is None:
        return ended.phase
    if not progress.total:
        return f"{progress.phase} {progress.done}" if progress.done else progress.phase
    return f"{progress.phase} {progress.done} of {progress.total}"


def signal_number(ended: Exit) -> int | None:
    """Return the signal that ended the child, also when a shell passed it on as 128 + number.

    One that ended a process with which the child shared its work counts as the child's own: it stops the work as
    surely, and its cause is the same.
    """
    code, known = ended.returncode, set(signal.Signals)
    if code is None:
        return None
    number = -code if code < 0 else code - 128
    if number in known:
        return number
    shared = (ended.error or {}).get("signal")
    return shared if shared in known else None


def name_of_signal(ended: Exit) -> str:
    """Return the name of the signal that ended the child, empty when none did."""
    number = signal_number(ended)
    return "" if number is None else signal.Signals(number).name
