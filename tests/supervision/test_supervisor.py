"""The supervisor, with real children that crash, hang, flood, multiply and refuse to die."""

import ast
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.process import Exit, Limits, Progress
from tests.gated_clock import GatedClock, never

SCRIPTS = Path(__file__).parents[1] / "crash_scripts"
WORKER = [sys.executable, "-I", str(SCRIPTS / "worker.py")]
BARE = [sys.executable, "-I", str(SCRIPTS / "bare.py")]
TOKEN = "COREMLBENCH_TEST"


def alive(token: str) -> list[psutil.Process]:
    """Return the processes that a test started, wherever they went: all of them inherit its variable."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(TOKEN) == token and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(condition: Callable[[], Any]) -> bool:
    """Return true when ``condition`` is, however busy the machine may be; the test's time limit ends it otherwise."""
    while not condition():
        time.sleep(0.02)
    return True


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


@pytest.fixture
def token() -> Any:
    token = secrets.token_hex(8)
    yield token
    left = alive(token)
    for process in left:
        process.kill()
    assert not left, f"still alive after the test: {left}"


Start = Callable[..., Exit]


@pytest.fixture
def start(tmp_path: Path, token: str) -> Start:
    def start(command: list[str], deed: str, limits: Limits | None = None, **options: Any) -> Exit:
        request = {"deed": deed, **options.pop("request", {})}
        before = open_descriptors()
        ended = supervise(
            command, folder=tmp_path, request=request, limits=limits or Limits(), environment={TOKEN: token}, **options
        )
        assert open_descriptors() == before, "descriptors were left open"
        assert not alive(token), "the child's processes outlive the supervision"
        assert not (tmp_path / "scratch").exists()
        assert not list(tmp_path.glob(".writing-*"))
        return ended

    return start


def kind(ended: Exit) -> str:
    failure = classify(ended)
    assert failure is not None
    assert failure.reason.endswith((".", "!")) or ended.error, failure.reason
    return failure.kind


def test_a_worker_that_finishes(start: Start, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"stale": 1}')
    seen: list[Progress] = []
    ended = start(WORKER, "finish", request={"tick": 0}, on_progress=seen.append)
    assert classify(ended) is None
    assert (ended.returncode, ended.stopped, ended.error) == (0, None, None)
    assert ended.result == {"answer": 42, "path": "some/path"}
    assert ended.log_tail == ("all counted",)
    assert [line.done for line in seen] == [1, 3]  # the first and the last; the rest is over the rate
    assert seen[-1] == ended.last_progress == Progress("count", 3, 3, "counting", {"half": 1.0})
    assert ended.peak_bytes > 1_000_000
    assert ended.user_seconds > 0
    assert json.loads((tmp_path / "request.json").read_text()) == {"deed": "finish", "tick": 0}
    assert len((tmp_path / "progress.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "log.txt").read_text() == "all counted\n"


def test_progress_is_limited_to_ten_lines_a_second(start: Start) -> None:
    seen: list[Progress] = []
    start(WORKER, "finish", request={"steps": 5000, "tick": 1 / 64}, on_progress=seen.append)
    assert [line.done for line in seen] == [*range(1, 5000, 7), 5000]  # 6 ticks are less than a tenth of a second


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        ("exception", "exception"),
        ("unusable", "unusable-data"),
        ("memory_error", "out-of-memory"),
        pytest.param("disk_full", "disk-full", marks=pytest.mark.linux("/dev/full")),
        ("segfault", "segmentation-fault"),
        ("abort", "aborted"),
        ("leave", "no-result"),
    ],
)
def test_workers_that_fail(start: Start, deed: str, expected: str) -> None:
    ended = start(WORKER, deed)
    assert kind(ended) == expected
    assert ended.result is None


def test_an_exception_comes_with_the_last_step_and_the_traceback(start: Start) -> None:
    seen: list[Progress] = []
    ended = start(WORKER, "exception", request={"tick": 0}, on_progress=seen.append)
    assert [line.done for line in seen] == [7, 8]
    failure = classify(ended)
    assert failure is not None
    assert failure.evidence.progress == "count 8 of 10"
    assert failure.evidence.exception == "ValueError: eight is too many"
    assert any("eight is too many" in line for line in failure.evidence.log_tail)
    assert "in exception" in (ended.error or {})["traceback"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SIGKILL", "killed"),
        ("SIGSEGV", "segmentation-fault"),
        ("SIGILL", "illegal-instruction"),
        ("SIGABRT", "aborted"),
        ("SIGBUS", "bus-error"),
        ("SIGTERM", "terminated"),
        ("SIGXCPU", "cpu-time-limit"),
    ],
)
def test_signals(start: Start, name: str, expected: str) -> None:
    ended = start(WORKER, "kill", request={"signal": name})
    assert ended.returncode == -signal.Signals[name]
    failure = classify(ended)
    assert failure is not None
    assert (failure.kind, failure.evidence.signal, failure.evidence.progress) == (expected, name, "count 5 of 10")


def test_a_segmentation_fault_shows_where_it_was(start: Start) -> None:
    ended = start(WORKER, "segfault")
    assert any("in segfault" in line for line in ended.log_tail)


@pytest.mark.parametrize("deed", ["no_result", "broken_result", "list_result"])
def test_without_a_valid_result_it_failed_whatever_the_exit_code(start: Start, deed: str) -> None:
    ended = start(BARE, deed)
    assert (ended.returncode, ended.result, kind(ended)) == (0, None, "no-result")


def test_an_exit_code_is_a_failure_whatever_the_result(start: Start) -> None:
    ended = start(BARE, "exit_code")
    assert (ended.returncode, ended.result, kind(ended)) == (7, {"ok": True}, "unknown")


@pytest.mark.parametrize("command", [["/does/not/exist"], [str(SCRIPTS)], [sys.executable + "\0"]])
def test_a_command_that_cannot_be_started(start: Start, command: list[str]) -> None:
    ended = start(command, "none")
    assert (ended.returncode, ended.pid, ended.result) == (None, None, None)
    assert ended.error is not None
    assert classify(ended) is not None


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    ended = supervise(BARE, folder=tmp_path / "gone", request={})
    assert (ended.error or {})["type"] == "FileNotFoundError"


@pytest.mark.long
def test_silence_ends_in_a_dump_of_the_stacks(start: Start, tmp_path: Path) -> None:
    seen: list[Progress] = []
    said = (tmp_path / "log.txt").read_text
    # Time stands until the child hangs, until its stacks are there, and before it would be killed.
    clock = GatedClock((0, lambda: seen), (1.2, lambda: "in wait_for_ever" in said()), (3, never))
    ended = start(WORKER, "hang", Limits(silence=1), on_progress=seen.append, clock=clock)
    assert (ended.stopped, ended.limit, kind(ended)) == ("silence", 1, "hang")
    assert any("in wait_for_ever" in line for line in ended.log_tail)
    assert ended.returncode == -signal.SIGTERM


def test_a_deadline(start: Start) -> None:
    ended = start(BARE, "hang", Limits(deadline=0.5))
    assert (ended.stopped, ended.limit, kind(ended)) == ("deadline", 0.5, "deadline")


def fast_clock(folder: Path) -> GatedClock:
    """A clock that stands until the child is ready.

    Four readings come before a limit of 1 s is seen to be over, so that the child is told to end before 3 s, and
    killed between 4 and 8 s. The guardian would be killed after 9 s: that time never comes.
    """
    return GatedClock((0, (folder / "ready").exists), (8.5, never), speed=10, step=0.5)


@pytest.mark.long
@pytest.mark.parametrize("deed", ["hang_stubbornly", "stop"])
def test_one_that_ignores_sigterm_or_is_stopped_dies_too(start: Start, tmp_path: Path, deed: str) -> None:
    ended = start(BARE, deed, Limits(silence=1), clock=fast_clock(tmp_path))
    assert ended.stopped == "silence"
    assert ended.returncode in (-signal.SIGKILL, -signal.SIGTERM)


def test_a_memory_limit(start: Start) -> None:
    limit = 200_000_000
    ended = start(WORKER, "hog", Limits(memory_bytes=limit), request={"bytes": limit + 100_000_000})
    assert (ended.stopped, ended.limit, kind(ended)) == ("memory-limit", limit, "memory-limit")
    assert ended.returncode == -signal.SIGKILL
    assert ended.peak_bytes > limit
    assert ended.peak_bytes < 1_900_000_000, "the child's own, and nothing else's"
    assert max(sample.bytes for sample in ended.memory) > limit
    assert [sample.seconds for sample in ended.memory] == sorted(sample.seconds for sample in ended.memory)


def test_a_family_is_ended_whole(start: Start, tmp_path: Path) -> None:
    ended = start(BARE, "family", Limits(silence=1), clock=fast_clock(tmp_path))
    assert ended.stopped == "silence"
    assert ended.phase == "ready"


def test_grandchildren_that_hold_the_pipes_do_not_outlive_a_good_end(start: Start) -> None:
    ended = start(BARE, "leave_family")
    assert (ended.returncode, ended.result) == (0, {"ok": True})
    assert classify(ended) is None


def test_a_flood_of_output_is_kept_in_bounds(start: Start, tmp_path: Path) -> None:
    ended = start(BARE, "flood")
    assert ended.result == {"ok": True}
    assert len(ended.log_tail) == 200
    assert max(map(len, ended.log_tail)) == 2000
    assert ended.log_tail[-1] == "the last line, ünfinished"
    assert (tmp_path / "log.txt").stat().st_size == 400 * 50_101 + len("the last line, ünfinished".encode())


def test_output_that_is_not_text(start: Start) -> None:
    ended = start(BARE, "odd_output")
    assert ended.log_tail == ("\ufffd\ufffd not UTF-8", "progress bar 1", "progress bar 2", "tail without end")


def test_a_child_that_closes_its_output_is_still_waited_for(start: Start) -> None:
    assert start(BARE, "close_output").result == {"ok": True}


def test_progress_that_is_not_valid_is_left_out_and_noted(start: Start) -> None:
    seen: list[Progress] = []
    ended = start(BARE, "odd_progress", on_progress=seen.append)
    assert [each.phase for each in seen] == ["good", "better"]
    assert ended.notes == ("5 progress lines of the worker were not valid and are left out.",)


@pytest.mark.linux("/dev/full")
def test_a_full_disk_under_the_log_does_not_end_the_supervision(start: Start, tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    ended = start(WORKER, "finish")
    assert classify(ended) is None
    assert ended.log_tail == ("all counted",)
    assert len(ended.notes) == 1
    assert "log.txt ends early: No space left on device" in ended.notes[0]


def test_temporary_files_of_the_child_are_removed(start: Start, tmp_path: Path) -> None:
    ended = start(WORKER, "litter")
    assert ended.result is not None
    assert Path(ended.result["temporary"]).parent == tmp_path / "scratch"
    assert ended.result["turicreate_log"] == str(tmp_path / "scratch")  # it goes to /tmp whatever TMPDIR says
    assert not Path(ended.result["temporary"]).exists()


def test_an_error_of_the_callback_ends_the_child_and_comes_through(tmp_path: Path, token: str) -> None:
    def fail(progress: Progress) -> None:
        raise RuntimeError(progress.phase)

    with pytest.raises(RuntimeError, match="ready"):
        supervise(BARE, folder=tmp_path, request={"deed": "family"}, on_progress=fail, environment={TOKEN: token})
    assert not alive(token)


def test_it_works_outside_the_main_thread(start: Start) -> None:
    ends: list[Exit] = []
    thread = threading.Thread(target=lambda: ends.append(start(WORKER, "finish")))
    thread.start()
    thread.join()
    assert [classify(ended) for ended in ends] == [None]


# --- a supervising parent that is itself signalled, killed, or oddly started -----------------------------------


Parent = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def parent(tmp_path: Path, token: str) -> Any:
    started = []

    def run(deed: str, *arguments: str, shell: str = "", ignore: str = "") -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(SCRIPTS / "parent.py"), str(tmp_path), deed, *arguments]
        if shell or ignore:
            trap = f"trap '' {ignore}; " if ignore else ""
            command = ["sh", "-c", f'{trap}exec "$@" {shell}', "sh", *command]
        process = subprocess.Popen(command, env={**os.environ, TOKEN: token}, start_new_session=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def read_exit(tmp_path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((tmp_path / "exit.json").read_text())
    return content


@pytest.mark.parametrize("deed", ["hang", "family", "hang_stubbornly", "stop"])
def test_nothing_outlives_a_parent_killed_with_sigkill(parent: Parent, tmp_path: Path, token: str, deed: str) -> None:
    process = parent(deed)
    assert wait_until((tmp_path / "ready").exists)
    assert len(alive(token)) >= 3
    process.kill()
    process.wait()
    assert wait_until(lambda: not alive(token))


def guardian_of(process: "subprocess.Popen[bytes]") -> psutil.Process:
    return psutil.Process(process.pid).children()[0]


@pytest.mark.parametrize("deed", ["hang", "family"])
def test_nothing_outlives_a_guardian_killed_with_sigkill(parent: Parent, tmp_path: Path, token: str, deed: str) -> None:
    process = parent(deed)
    assert wait_until((tmp_path / "ready").exists)
    guardian_of(process).kill()
    assert process.wait() == 0
    assert not alive(token)
    ended = read_exit(tmp_path)
    assert ended["returncode"] is None
    assert "guardian" in ended["notes"][0]


def test_nothing_outlives_a_guardian_killed_while_it_starts_the_child(
    parent: Parent, tmp_path: Path, token: str
) -> None:
    for delay in (0.0, 0.01, 0.02, 0.03, 0.04, 0.06):
        process = parent("hang_stubbornly")
        assert wait_until(psutil.Process(process.pid).children)
        time.sleep(delay)
        guardian_of(process).kill()
        assert process.wait() == 0
        assert not alive(token)
        assert read_exit(tmp_path)["result"] is None


@pytest.mark.long
def test_a_stopped_guardian_does_not_keep_the_parent(parent: Parent, tmp_path: Path, token: str) -> None:
    process = parent("family", "speed=10")
    assert wait_until((tmp_path / "ready").exists)
    guardian_of(process).suspend()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert not alive(token)
    assert read_exit(tmp_path)["stopped"] == "interrupted"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_the_parent_ends_the_child(parent: Parent, tmp_path: Path, token: str, name: str) -> None:
    process = parent("hang")
    assert wait_until((tmp_path / "ready").exists)
    process.send_signal(signal.Signals[name])
    assert process.wait() == 0
    assert not alive(token)
    ended = read_exit(tmp_path)
    assert (ended["stopped"], ended["stop_signal"], ended["restored"]) == ("interrupted", name, True)


def test_a_second_signal_kills_at_once(parent: Parent, tmp_path: Path, token: str) -> None:
    process = parent("hang_stubbornly", "speed=0")  # time, which would kill it too, stands still
    assert wait_until((tmp_path / "ready").exists)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # two of a kind could become one
    assert process.wait() == 0
    ended = read_exit(tmp_path)
    assert (ended["stopped"], ended["returncode"]) == ("interrupted", -signal.SIGKILL)


def test_an_ignored_sighup_stays_ignored(parent: Parent, tmp_path: Path) -> None:
    process = parent("hang", ignore="HUP")
    assert wait_until((tmp_path / "ready").exists)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert read_exit(tmp_path)["stop_signal"] == "SIGTERM"


@pytest.mark.parametrize(
    ("arguments", "shell"),
    [(("descriptors=1100",), ""), ((), "<&-"), ((), "<&- >&- 2>&-")],
    ids=["many descriptors", "no standard input", "no standard descriptors"],
)
def test_a_parent_with_odd_descriptors(parent: Parent, tmp_path: Path, arguments: tuple[str, ...], shell: str) -> None:
    assert parent("finish", *arguments, shell=shell).wait() == 0
    ended = read_exit(tmp_path)
    assert (ended["returncode"], ended["result"]) == (0, {"ok": True})


def test_the_guardian_is_valid_python_3_8() -> None:
    source = (Path(supervise.__code__.co_filename).with_name("guardian.py")).read_text()
    assert ast.parse(source, feature_version=(3, 8)).body


SCARCE = """
import os, resource, sys
from pathlib import Path
from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
command, folder = [sys.executable, "-c", "pass"], Path(sys.argv[1])
supervise(command, folder=folder, request={})  # what is imported on the way is imported now
there = sorted(map(int, os.listdir("/dev/fd")))[:-1]  # the last is the one that lists them
assert there == list(range(len(there)))
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for spare in range(24):
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(there) + spare, hard))
    ended = supervise(command, folder=folder, request={})
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    left = sorted(map(int, os.listdir("/dev/fd")))[:-1] == there
    print(spare, classify(ended).kind, left)
"""


def test_too_few_descriptors_end_in_a_failure_and_leave_none_open(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCARCE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found = [line.split() for line in done.stdout.splitlines()]
    assert [spare for spare, _, _ in found] == [str(spare) for spare in range(24)]
    assert all(left == "True" for _, _, left in found), found
    assert found[2][1] == found[9][1] == "too-many-files"
    assert found[23][1] == "no-result", "with enough of them the child runs, and has no result as it writes none"
