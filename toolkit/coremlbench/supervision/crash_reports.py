"""macOS's reports of crashed processes: find the one of a child, and read what it says.

Since macOS 12 a report is an ``.ips`` file of two JSON values: metadata in the first line, and the report itself after
it when ``bug_type`` is "309". Source: Apple, "Interpreting the JSON format of a crash report". The system writes it
after the process is gone, usually within a second or two, and sometimes not at all.
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

CRASH = "309"
REPORT_COPY = "crash.ips"
CRASH_SIGNALS = (
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGFPE,
    signal.SIGBUS,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGKILL,  # a refused code signature ends so, and leaves a report
)
WAIT_SECONDS = 5.0
FILE_BYTES = 20_000_000
FRAMES = 12
MESSAGES = 6
MESSAGE_CHARACTERS = 500
POLL_SECONDS = 0.1
CLOCK_SECONDS = 5.0
"""Files and captures are taken for the child's own from so long before its start: clocks are not read at once."""


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
    """Return the system's report of a child that failed, copied to ``crash.ips`` in ``folder``, if there is one.

    After a signal of a crash it is waited for, as it comes late; after another failure, one of a process below the
    child may be there already. A child that ended well, or that was stopped here, is not looked for.
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
        with suppress(OSError):  # the copy is for the bundle; what was read stands in the record anyway
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
    """Return the report of one of the processes ``pids`` that began after ``began``, ``None`` when there is none.

    ``began`` is in seconds since the epoch. A process id is given out again and again, so that the time counts too.
    Of several reports that of ``first`` is taken, the child itself, then the oldest. It is looked for until ``wait``
    seconds are over by ``clock``; what cannot be read is passed over. Never raises.
    """
    deadline = clock() + wait
    while True:
        found = list(_matching(folder, set(pids), began))
        if found:
            return min(found, key=lambda each: (each[0] != first, each[1], each[2]))[2]
        if clock() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def _matching(folder: Path, pids: set[int], began: float) -> Iterator[tuple[int, float, Path]]:
    with suppress(OSError):
        for path in folder.glob("*.ips"):
            with suppress(OSError, ValueError):
                changed = path.stat().st_mtime
                if changed < began - CLOCK_SECONDS:
                    continue
                report = parse_report(path.read_bytes()[:FILE_BYTES], path.name)
                captured = _seconds(report.captured)
                if report.pid in pids and (captured is None or captured >= began - CLOCK_SECONDS):
                    yield report.pid, changed, path


def parse_report(data: bytes, name: str) -> CrashReport:
    """Return what the ``.ips`` file ``name`` says.

    Raises:
        ValueError: it is not the report of a crash, or it is broken or not yet whole.
    """
    head, _, body = data.partition(b"\n")
    metadata = json.loads(head)
    if not isinstance(metadata, dict) or str(metadata.get("bug_type")) != CRASH:
        raise ValueError(f"{name} is not the report of a crash")
    report = json.loads(body)
    if not isinstance(report, dict) or not isinstance(report.get("pid"), int):
        raise ValueError(f"{name} is broken")  # noqa: TRY004 - the file's content is wrong, not the caller's type
    exception, version = _part(report, "exception"), _part(report, "osVersion")
    faulting = _faulting_thread(report)
    return CrashReport(
        file=name,
        process=str(report.get("procName") or metadata.get("name") or ""),
        pid=report["pid"],
        captured=str(report.get("captureTime") or metadata.get("timestamp") or ""),
        exception=" ".join(str(exception[key]) for key in ("type", "subtype") if exception.get(key)),
        signal=str(exception.get("signal") or ""),
        termination=_termination(_part(report, "termination")),
        messages=_messages(_part(report, "asi"), _part(report, "termination")),
        frames=tuple(_frames(report, faulting)),
        thread=str(faulting.get("queue") or faulting.get("name") or ""),
        translated=report.get("translated") is True,
        cpu=str(report.get("cpuType") or ""),
        model=str(report.get("modelCode") or ""),
        system=" ".join(str(version[key]) for key in ("train", "build") if version.get(key))
        or str(metadata.get("os_version") or ""),
    )


def _part(report: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = report.get(key)
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects, in which another value has an empty one's place, so that indices hold."""
    return [each if isinstance(each, dict) else {} for each in value] if isinstance(value, list) else []


def _termination(termination: Mapping[str, Any]) -> str:
    """Return "SIGNAL 11 Segmentation fault: 11 by exc handler"; the namespace comes first."""
    words = [str(termination[key]) for key in ("namespace", "code", "indicator") if termination.get(key) is not None]
    by = termination.get("byProc")
    return " ".join([*words, *([f"by {by}"] if by else [])])


def _messages(asi: Mapping[str, Any], termination: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what libraries left for the report ("abort() called"), and the loader's reasons."""
    said = [f"{library}: {line}" for library, lines in asi.items() if isinstance(lines, list) for line in lines]
    reasons = termination.get("reasons") or termination.get("details")
    said += [str(each) for each in reasons] if isinstance(reasons, list) else []
    return tuple(re.sub(r"\s+", " ", each)[:MESSAGE_CHARACTERS] for each in said[:MESSAGES])


def _faulting_thread(report: Mapping[str, Any]) -> dict[str, Any]:
    threads = _dicts(report.get("threads"))
    number = report.get("faultingThread")
    if isinstance(number, int) and 0 <= number < len(threads):
        return threads[number]
    return next((each for each in threads if each.get("triggered")), {})


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


def _seconds(captured: str) -> float | None:
    """Return a time such as "2026-11-23 10:15:00.1234 +0100" in seconds since the epoch, ``None`` for another form."""
    found = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})", captured)
    if not found:
        return None
    with suppress(ValueError):
        return datetime.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H:%M:%S %z").astimezone(timezone.utc).timestamp()
    return None
