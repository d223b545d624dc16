"""macOS's crash reports, made after Apple's description of the format: found, read, and told from others."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coremlbench.failures.classify import classify
from coremlbench.supervision.crash_reports import find_report_file, parse_report
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.process import Exit
from tests.gated_clock import GatedClock

BARE = Path(__file__).parents[1] / "crash_scripts" / "bare.py"


def ips(number: int, /, *, bug_type: str = "309", captured: float | None = None, **changes: Any) -> bytes:
    """Return a report as macOS writes it; the times are those of now unless told otherwise."""
    moment = datetime.fromtimestamp(time.time() if captured is None else captured, timezone.utc)
    metadata = {
        "app_name": "Python",
        "timestamp": moment.strftime("%Y-%m-%d %H:%M:%S.00 %z"),
        "bug_type": bug_type,
        "os_version": "macOS 15.1 (24B83)",
        "name": "Python",
        "incident_id": "7E1B4F5C-0000-4000-8000-000000000000",
    }
    report = {
        "procName": "Python",
        "pid": number,
        "captureTime": moment.strftime("%Y-%m-%d %H:%M:%S.1234 %z"),
        "modelCode": "MacBookPro18,3",
        "cpuType": "ARM-64",
        "translated": False,
        "osVersion": {"train": "macOS 15.1", "build": "24B83", "releaseType": "User"},
        "exception": {
            "codes": "0x0000000000000001, 0x0000000000000000",
            "type": "EXC_BAD_ACCESS",
            "signal": "SIGSEGV",
            "subtype": "KERN_INVALID_ADDRESS at 0x0000000000000000",
        },
        "termination": {
            "flags": 0,
            "code": 11,
            "namespace": "SIGNAL",
            "indicator": "Segmentation fault: 11",
            "byProc": "exc handler",
            "byPid": number,
        },
        "asi": {"libsystem_c.dylib": ["abort() called"]},
        "faultingThread": 1,
        "threads": [
            {"id": 1, "frames": [{"imageOffset": 4, "symbol": "main", "symbolLocation": 4, "imageIndex": 0}]},
            {
                "id": 2,
                "triggered": True,
                "queue": "com.apple.coreml",
                "frames": [
                    {"imageOffset": 99, "symbol": "Espresso::net::run", "symbolLocation": 224, "imageIndex": 1},
                    {"imageOffset": 7, "imageIndex": 0},
                    {"imageOffset": 8, "imageIndex": 17},
                ],
            },
        ],
        "usedImages": [
            {"name": "Python", "path": "/Library/Frameworks/Python", "base": 1, "size": 2, "uuid": "x"},
            {"path": "/System/Library/PrivateFrameworks/Espresso.framework/Versions/A/Espresso", "base": 3},
        ],
        **changes,
    }
    return json.dumps(metadata).encode() + b"\n" + json.dumps(report, indent=2).encode()


def test_a_report_is_read_and_summarised() -> None:
    report = parse_report(ips(4711), "Python-2026.ips")
    assert (report.file, report.process, report.pid) == ("Python-2026.ips", "Python", 4711)
    assert report.exception == "EXC_BAD_ACCESS KERN_INVALID_ADDRESS at 0x0000000000000000"
    assert report.signal == "SIGSEGV"
    assert report.termination == "SIGNAL 11 Segmentation fault: 11 by exc handler"
    assert report.messages == ("libsystem_c.dylib: abort() called",)
    assert report.frames == ("Espresso Espresso::net::run + 224", "Python + 7", "??? + 8")
    assert (report.thread, report.translated, report.cpu) == ("com.apple.coreml", False, "ARM-64")
    assert (report.model, report.system) == ("MacBookPro18,3", "macOS 15.1 24B83")


def test_the_triggered_thread_is_taken_when_no_number_is_given() -> None:
    assert parse_report(ips(1, faultingThread=None), "x").frames[0] == "Espresso Espresso::net::run + 224"
    assert parse_report(ips(1, translated=True), "x").translated is True


@pytest.mark.parametrize(
    "data",
    [
        ips(1, bug_type="298"),  # a report of memory pressure
        ips(1)[:400],  # not whole yet
        ips(1, pid="4711"),
        b"",
        b"{}",
        b"[309]\n{}",
        b'{"bug_type": "309"}\n[1]',
        b"\xff\xfe\x00",
        b"Process: Python [4711]\nException Type: EXC_CRASH",  # the text form of before macOS 12
    ],
)
def test_what_is_no_crash_report_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_report(data, "x.ips")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("exception", "termination", "asi", "threads", "usedImages", "faultingThread", "osVersion", "procName", "pid")


@example({"threads": True, "usedImages": 5})
@example({"threads": [{"frames": 3}, {"frames": [{"imageIndex": 0}]}], "usedImages": [None]})
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
def test_a_report_of_any_shape_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        report = parse_report(ips(1, **changes), "x.ips")
    except ValueError:
        return
    assert all(isinstance(each, str) for each in (*report.frames, *report.messages, report.termination))


def test_the_report_is_found_by_process_and_time(tmp_path: Path) -> None:
    began = time.time()
    (tmp_path / "other.ips").write_bytes(ips(99))
    (tmp_path / "broken.ips").write_bytes(ips(7)[:300])
    (tmp_path / "memory.ips").write_bytes(ips(7, bug_type="298"))
    (tmp_path / "before.ips").write_bytes(ips(7, captured=began - 3600))
    (tmp_path / "old.ips").write_bytes(ips(7))
    os.utime(tmp_path / "old.ips", (began - 3600, began - 3600))
    (tmp_path / "notes.txt").write_bytes(ips(7))
    assert find_report_file(tmp_path, {7, 8}, began, first=7, wait=0) is None
    (tmp_path / "below.ips").write_bytes(ips(8))
    assert find_report_file(tmp_path, {7, 8}, began, first=7, wait=0) == tmp_path / "below.ips"
    (tmp_path / "own.ips").write_bytes(ips(7))
    assert find_report_file(tmp_path, {7, 8}, began, first=7, wait=0) == tmp_path / "own.ips"
    assert find_report_file(tmp_path / "absent", {7}, began, first=7, wait=0) is None


def crash(tmp_path: Path, deed: str, reports: Path, clock: Callable[[], float] = time.monotonic) -> Exit:
    folder = tmp_path / "child"
    folder.mkdir()
    command = [sys.executable, "-I", str(BARE)]
    return supervise(command, folder=folder, request={"deed": deed}, crash_reports=reports, clock=clock)


def test_a_child_that_crashes_has_its_report_in_the_evidence_although_it_comes_late(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    partial, whole = reports / "partial.ips", reports / "Python.ips"
    os.mkfifo(partial)
    os.utime(partial, (later := time.time() + 3600, later))  # not taken for an old one, however late the child starts

    def write_late() -> None:
        """Do as macOS does: write the report of the process after its end, when it is looked for already."""
        with partial.open("wb") as file:  # comes back when somebody has opened it to read
            report = ips(int((tmp_path / "child" / "pid").read_text()))
            file.write(report[:500])
            partial.unlink()
        whole.with_suffix(".new").write_bytes(report)
        whole.with_suffix(".new").rename(whole)

    writer = threading.Thread(target=write_late)
    writer.start()
    ended = crash(tmp_path, "segfault", reports, GatedClock((0, whole.exists)))  # it is waited for, however long
    writer.join()
    assert ended.returncode == -signal.SIGSEGV
    failure = classify(ended)
    assert failure is not None
    assert failure.kind == "coreml-crash"
    assert failure.evidence.crash_report is not None
    assert failure.evidence.crash_report.pid == ended.pid
    assert failure.evidence.matched == ("Espresso Espresso::net::run + 224",)
    assert parse_report((tmp_path / "child" / "crash.ips").read_bytes(), "x").pid == ended.pid


def test_a_child_that_fails_otherwise_is_not_waited_for(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    ended = crash(tmp_path, "exit_code", reports)
    assert (ended.returncode, ended.crash_report) == (7, None)
    assert not (tmp_path / "child" / "crash.ips").exists()
