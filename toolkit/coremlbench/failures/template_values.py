"""The values of an ``Exit`` that fill the templates of the rules' texts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_bytes, format_seconds
from coremlbench.system.phase_labels import phase_label
from coremlbench.types.process import Exit, ProcessResources


def values_for(ended: Exit, results: Path | None = None) -> dict[str, str]:
    """Return the values of all fields that a rule's ``reason`` and ``hint`` may use.

    ``results`` is the folder of records of the run.
    """
    error = ended.error or {}
    progress = format_progress(ended)
    message = str(error.get("message", "")).strip()[:1000]
    return {
        "who": "coremlbench itself" if ended.pid == os.getpid() else "The worker",
        "where": f" at {progress}" if progress else "",
        "by_signal": f" by {ended.stop_signal}" if ended.stop_signal else "",
        "limit_seconds": format_seconds(ended.limit or 0.0),
        "limit_bytes": format_bytes(int(ended.limit or 0)),
        "peak": format_bytes(ended.peak_bytes) if ended.peak_bytes else "an unknown amount",
        "signal": signal_name(ended),
        "type": str(error.get("type", "")),
        "message": message,
        "said": f": {message.rstrip('.')}" if message else "",
        "returncode": str(ended.returncode),
        "oom_kills": str(ended.oom_kills),
        "oom_note": "for lack of memory, likely"
        if ended.oom_kills is None
        else "not for lack of memory, likely, as the system counted no such kill",
        "doctor": advised_command("doctor", results=results),
        "resume_createml": advised_command("createml", "--resume", results=results),
        "bundle": advised_command("failures", "--bundle", "failures.zip", results=results),
        **_notes(ended),
    }


def _notes(ended: Exit) -> dict[str, str]:
    """Return additions to a text from what is known of the system and from the crash report; else empty."""
    resources = ended.surroundings or ProcessResources()
    report = ended.crash_report
    translated = bool(resources.rosetta) or (report is not None and report.translated)
    avx = " (it ran under Rosetta)" if translated else " (this one has no AVX)" if resources.avx is False else ""
    disk = resources.free_disk_bytes
    return {
        "avx_note": avx,
        "disk_note": "" if disk is None else f" ({format_bytes(disk)} left)",
        "files_note": "" if resources.open_files is None else f" (a limit of {resources.open_files:,})",
        "crash_note": f" in {report.frames[0]}" if report is not None and report.frames else "",
    }


def format_progress(ended: Exit) -> str:
    """Return the last progress as "augment and extract 1234 of 88375", or the phase alone, or an empty text."""
    progress = ended.last_progress
    if progress is None:
        return phase_label(ended.phase)
    name = phase_label(progress.phase)
    if not progress.total:
        return f"{name} {progress.done}" if progress.done else name
    return f"{name} {progress.done} of {progress.total}"


def signal_number(ended: Exit) -> int | None:
    """Return the signal that ended the child, also if a shell reported it as 128 + number, else ``None``.

    The signal that ended a process of the child's pool counts as the child's own.
    """
    code, signals = ended.returncode, set(signal.Signals)
    if code is None:
        return None
    number = -code if code < 0 else code - 128
    if number in signals:
        return number
    pool_signal = (ended.error or {}).get("signal")
    return pool_signal if pool_signal in signals else None


def signal_name(ended: Exit) -> str:
    """Return the name of the signal that ended the child, empty if none did."""
    number = signal_number(ended)
    return "" if number is None else signal.Signals(number).name
