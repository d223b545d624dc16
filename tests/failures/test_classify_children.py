"""Failures of real processes: each is caused for real, supervised, and judged."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.failures.classify import classify, invalidates_run
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.supervision.streams import TAIL_LINES
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.process import Exit

SCRIPTS = Path(__file__).parents[1] / "crash_scripts"
FAULT = "error: Ignored (for causing prior/excessive GPU errors) (IOAF code 4)"


def child(folder: Path, deed: str, script: str = "failing.py", **request: Any) -> Exit:
    command = [sys.executable, "-I", str(SCRIPTS / script)]
    return supervise(command, folder=folder, request={"deed": deed, **request}, keep=invalidates_run)


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        ("too_many_files", "too-many-files"),
        pytest.param("too_many_threads", "too-many-threads", marks=pytest.mark.linux("an enforced RLIMIT_AS")),
        pytest.param("out_of_memory", "out-of-memory", marks=pytest.mark.linux("an enforced RLIMIT_AS")),
        ("file_too_large", "file-size-limit"),
        ("cpu_time", "cpu-time-limit"),
        ("bus_error", "bus-error"),
        ("missing_module", "module-missing"),
        ("refused_connection", "network"),
        ("wrong_architecture", "wrong-architecture"),
        ("damaged_weights", "unreadable-model"),
        pytest.param("no_room", "disk-full", marks=pytest.mark.linux("/dev/full")),
        ("nan_loss", "loss-nan"),
        ("damaged_archive", "exception"),  # a cause that no rule knows: nothing is guessed
        ("SIGILL", "illegal-instruction"),
        ("SIGTRAP", "trap"),
        ("SIGFPE", "arithmetic"),
        ("SIGSYS", "forbidden-call"),
        ("SIGHUP", "terminated"),
        ("SIGUSR2", "signal"),
    ],
)
def test_a_real_failure_is_known_for_what_it_is(tmp_path: Path, deed: str, kind: str) -> None:
    failure = classify(child(tmp_path, deed))
    assert failure is not None
    assert failure.kind == kind, failure
    assert failure.reason.endswith((".", "'")) or failure.kind == "exception"
    assert failure.evidence.surroundings is not None
    assert failure.evidence.surroundings.free_disk_bytes


def test_what_native_libraries_wrote_is_evidence(tmp_path: Path) -> None:
    lines = ["E cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.", "goodbye"]
    failure = classify(child(tmp_path, "say", lines=lines))
    assert failure is not None
    assert (failure.kind, failure.evidence.matched, failure.evidence.returncode) == ("gpu-library", (lines[0],), 1)


def test_a_crash_of_native_code_leaves_the_stack_of_the_thread_that_crashed(tmp_path: Path) -> None:
    failure = classify(child(tmp_path, "segfault", script="worker.py"))
    assert failure is not None
    assert failure.kind == "segmentation-fault"
    assert failure.evidence.stack[0].startswith("Current thread ")
    assert "string_at" in failure.evidence.stack[1]
    assert all(line.startswith("  File ") for line in failure.evidence.stack[1:])


@pytest.mark.parametrize(("name", "kind"), [("SIGKILL", "killed"), ("SIGSEGV", "segmentation-fault")])
def test_the_end_of_a_process_that_shares_the_work_is_known_for_what_it_is(
    tmp_path: Path, name: str, kind: str
) -> None:
    failure = classify(replace(child(tmp_path, f"one {name}"), oom_kills=0))
    assert failure is not None
    assert (failure.kind, failure.evidence.signal, failure.evidence.returncode) == (kind, name, 1)
    assert failure.evidence.exception == (
        f"PoolProcessDiedError: One of 2 processes that work side by side was ended by {name}."
    )
    if name == "SIGSEGV":
        assert failure.evidence.stack[0].startswith("Current thread ")
        assert any("end_of_one" in line for line in failure.evidence.stack)


def test_a_fault_of_the_gpu_is_not_forgotten_over_a_long_log_and_a_good_end(tmp_path: Path) -> None:
    ended = child(tmp_path, "early_fault", script="bare.py")
    assert (ended.returncode, ended.result) == (0, {"ok": True})
    assert len(ended.log_tail) == TAIL_LINES
    assert FAULT not in ended.log_tail
    failure = classify(ended)
    assert failure is not None
    assert (failure.kind, failure.evidence.matched) == ("gpu-fault", (FAULT,))


def test_what_a_process_says_that_succeeds_is_its_own_affair(tmp_path: Path) -> None:
    lines = ["Killed: 9", "OSError: [Errno 24] Too many open files", "std::bad_alloc", "ANECCompile() FAILED"]
    assert classify(child(tmp_path, "say_and_succeed", lines=lines)) is None


def test_an_end_of_exit_code_0_without_a_result_is_a_failure(tmp_path: Path) -> None:
    failure = classify(child(tmp_path, "no_result", script="bare.py"))
    assert failure is not None
    assert failure.kind == "no-result"


def test_a_run_that_took_too_long_is_told_the_limit_that_was_asked_for(tmp_path: Path) -> None:
    stages = Stages(tmp_path, lambda _: None, timeout=1800)
    stages.started -= 1799.5
    with pytest.raises(StageFailedError) as failed:
        stages.run("train", [sys.executable, "-I", str(SCRIPTS / "worker.py")], {"deed": "hang"}, silence=60)
    assert failed.value.failure.reason.startswith("The run was not done after 30 min 00 s")
    assert failed.value.ended.limit == 1800


def test_the_stages_of_a_run_look_at_the_whole_log_and_keep_it(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "work", lambda _: None)
    command = [sys.executable, "-I", str(SCRIPTS / "bare.py")]
    with pytest.raises(StageFailedError) as caught:
        stages.run("train", command, {"deed": "early_fault"}, silence=60)
    assert caught.value.failure.kind == "gpu-fault"
    assert "step 999 of 1000: all is well" in (tmp_path / "work" / "train" / "log.txt").read_text()
