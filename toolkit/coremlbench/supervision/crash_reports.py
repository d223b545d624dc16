"""Find and read macOS's crash report of a child process.

Since macOS 12 a report is an ``.ips`` file of two JSON values: metadata in the first line, and after it the report
itself when ``bug_type`` is "309". Source: Apple, "Interpreting the JSON format of a crash report". The system writes it
after the process has ended, usually within two seconds, and sometimes not at all.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coremlbench.failures.template_values import signal_number
from coremlbench.types.process import CrashReport, Exit

CRASH_BUG_TYPE = "309"
REPORT_COPY = "crash.ips"
CRASH_SIGNALS = (
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGFPE,
    signal.SIGBUS,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGKILL,  # of a process with a refused code signature; there is a report of it
)
WAIT_SECONDS = 5.0
FILE_BYTES = 20_000_000
FRAMES = 12
MESSAGES = 6
MESSAGE_CHARACTERS = 500
POLL_SECONDS = 0.1
CLOCK_TOLERANCE = 5.0
"""Seconds before the child's start from which a report may be dated, as it is dated by another clock."""


def reports_folder() -> Path | None:
    """Return where macOS writes the reports of this user's processes, ``None`` on other systems."""
    return Path.home() / "Library" / "Logs" / "DiagnosticReports" if sys.platform == "darwin" else None


def find_crash_report(
    ended: Exit,
    folder: Path,
    reports: Path | None,
    pids: Collection[int],
    began: float,
    clock: Callable[[], float] = time.monotonic,
) -> CrashReport | None:
    """Return the system's report of a child that failed, ``None`` if there is none; copy it to ``folder``.

    After a signal of a crash, waits for the report up to ``WAIT_SECONDS``. After another failure, looks once, as a
    process below the child may have crashed. Does not look when the child succeeded or the supervisor stopped it.
    """
    if reports is None or not pids or ended.stopped is not None or ended.returncode == 0:
        return None
    wait = WAIT_SECONDS if signal_number(ended) in CRASH_SIGNALS else 0.0
    path = find_report_file(reports, pids, began, first=ended.pid, wait=wait, clock=clock)
    if path is None:
        return None
    with suppress(OSError, ValueError):
        data = path.read_bytes()[:FILE_BYTES]
        report = parse_report(data, path.name)
        with suppress(OSError):  # the copy is for the bundle only
            (folder / REPORT_COPY).write_bytes(data)
        return report
    return None


def find_report_file(
    folder: Path,
    pids: Collection[int],
    began: float,
    *,
    first: int | None,
    wait: float,
    clock: Callable[[], float] = time.monotonic,
) -> Path | None:
    """Return the file of the report of one of the processes ``pids``, ``None`` when there is none.

    Reports from before ``began`` (seconds since the epoch) are of older processes with the same id and do not count.
    Of several reports that of the process ``first`` is returned, else the oldest. Looks until ``wait`` seconds have
    passed by ``clock``; skips files that cannot be read. Never raises.
    """
    deadline = clock() + wait
    while True:
        reports = list(_matching(folder, set(pids), began))
        if reports:
            return min(reports, key=lambda report: (report[0] != first, report[1], report[2]))[2]
        if clock() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def _matching(folder: Path, pids: set[int], began: float) -> Iterator[tuple[int, float, Path]]:
    """Yield process id, time of change and path of each report of one of ``pids`` since ``began``."""
    with suppress(OSError):
        for path in folder.glob("*.ips"):
            with suppress(OSError, ValueError):
                changed = path.stat().st_mtime
                if changed < began - CLOCK_TOLERANCE:
                    continue
                report = parse_report(path.read_bytes()[:FILE_BYTES], path.name)
                captured = _epoch_seconds(report.captured)
                if report.pid in pids and (captured is None or captured >= began - CLOCK_TOLERANCE):
                    yield report.pid, changed, path


def parse_report(data: bytes, name: str) -> CrashReport:
    """Return the content of an ``.ips`` file; ``name`` is for error messages.

    Raises:
        ValueError: it is not a crash report, or it is damaged or not yet complete.
    """
    head, _, body = data.partition(b"\n")
    metadata = json.loads(head)
    if not isinstance(metadata, dict) or str(metadata.get("bug_type")) != CRASH_BUG_TYPE:
        raise ValueError(f"{name} is not the report of a crash")
    report = json.loads(body)
    if not isinstance(report, dict) or not isinstance(report.get("pid"), int):
        raise ValueError(f"{name} is broken")  # noqa: TRY004 - the file's content is wrong, not the caller's type
    exception, version = _object(report, "exception"), _object(report, "osVersion")
    faulting = _faulting_thread(report)
    return CrashReport(
        file=name,
        process=str(report.get("procName") or metadata.get("name") or ""),
        pid=report["pid"],
        captured=str(report.get("captureTime") or metadata.get("timestamp") or ""),
        exception=" ".join(str(exception[key]) for key in ("type", "subtype") if exception.get(key)),
        signal=str(exception.get("signal") or ""),
        termination=_termination(_object(report, "termination")),
        messages=_messages(_object(report, "asi"), _object(report, "termination")),
        frames=tuple(_frames(report, faulting)),
        thread=str(faulting.get("queue") or faulting.get("name") or ""),
        translated=report.get("translated") is True,
        cpu=str(report.get("cpuType") or ""),
        model=str(report.get("modelCode") or ""),
        system=" ".join(str(version[key]) for key in ("train", "build") if version.get(key))
        or str(metadata.get("os_version") or ""),
    )


def _object(report: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object at ``key``, empty if there is none."""
    value = report.get(key)
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects; other values in it become empty objects, so that indices stay valid."""
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


def _termination(termination: Mapping[str, Any]) -> str:
    """Return namespace, code and indicator, as "SIGNAL 11 Segmentation fault: 11 by exc handler"."""
    words = [str(termination[key]) for key in ("namespace", "code", "indicator") if termination.get(key) is not None]
    by = termination.get("byProc")
    return " ".join([*words, *([f"by {by}"] if by else [])])


def _messages(asi: Mapping[str, Any], termination: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the messages of libraries, as "abort() called", and the reasons of the dynamic loader."""
    messages = [f"{library}: {line}" for library, lines in asi.items() if isinstance(lines, list) for line in lines]
    reasons = termination.get("reasons") or termination.get("details")
    messages += [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    return tuple(re.sub(r"\s+", " ", message)[:MESSAGE_CHARACTERS] for message in messages[:MESSAGES])


def _faulting_thread(report: Mapping[str, Any]) -> dict[str, Any]:
    threads = _dicts(report.get("threads"))
    number = report.get("faultingThread")
    if isinstance(number, int) and 0 <= number < len(threads):
        return threads[number]
    return next((thread for thread in threads if thread.get("triggered")), {})


def _frames(report: Mapping[str, Any], thread: Mapping[str, Any]) -> Iterator[str]:
    """Yield the topmost frames as "library symbol + offset"; a frame without a symbol has its offset alone."""
    images = _dicts(report.get("usedImages"))
    for frame in _dicts(thread.get("frames"))[:FRAMES]:
        number = frame.get("imageIndex")
        image = images[number] if isinstance(number, int) and 0 <= number < len(images) else {}
        library = image.get("name") or Path(str(image.get("path") or "???")).name
        if frame.get("symbol"):
            yield f"{library} {frame['symbol']} + {frame.get('symbolLocation', 0)}"
        else:
            yield f"{library} + {frame.get('imageOffset', 0)}"


def _epoch_seconds(captured: str) -> float | None:
    """Return a time such as "2026-11-23 10:15:00.1234 +0100" in seconds since the epoch, ``None`` for another form."""
    match = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})", captured)
    if not match:
        return None
    with suppress(ValueError):
        return datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H:%M:%S %z").astimezone(timezone.utc).timestamp()
    return None
