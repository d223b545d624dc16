"""The record that every end of a run leaves, also of errors in this process, between two child processes."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.createml.options import CreateMLOptions
from coremlbench.runs import store
from coremlbench.runs.lifecycle import Run, exit_code_of, run_and_record
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import Phase, Trained, TrainingRecord
from tests.simulated_mac import SimulatedMac

Work = Callable[[TrainingRecord, Path, Any, Any], TrainingRecord]


def run(work: Work, results: Path, experiment: str = "tinyvgg") -> tuple[TrainingRecord, Path]:
    what = Run(TrainingRecord, experiment, "tensorflow", {}, (), ["coremlbench", "train"], limits=CreateMLOptions())
    return run_and_record(what, work, results=results, on_progress=lambda _: None)


def failure_of(record: TrainingRecord) -> Failure:
    assert isinstance(record.outcome, Failure)
    return record.outcome


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


def disk_full(record: TrainingRecord, folder: Path, stages: Any, save: Any) -> TrainingRecord:
    save(replace(record, phases=(Phase("data", 1.0, 10),)))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def folder_gone(record: TrainingRecord, folder: Path, stages: Any, save: Any) -> TrainingRecord:
    shutil.rmtree(folder)
    (folder / "model").rename(folder / "elsewhere")
    return record


def disk_locked(record: TrainingRecord, folder: Path, stages: Any, save: Any) -> TrainingRecord:
    raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(folder))


def file_in_its_place(record: TrainingRecord, folder: Path, stages: Any, save: Any) -> TrainingRecord:
    shutil.rmtree(folder)
    folder.write_text("not a folder any more")
    return replace(record, outcome=Trained(test_accuracy=0.9))


def test_what_the_system_refuses_this_process_is_a_failure_with_a_record(tmp_path: Path) -> None:
    record, folder = run(disk_full, tmp_path)
    failure = failure_of(record)
    assert (failure.kind, exit_code_of(record)) == ("disk-full", 3)
    assert failure.evidence.exception == "OSError: [Errno 28] No space left on device"
    assert any("disk_full" in line for line in failure.evidence.log_tail)
    assert failure.evidence.surroundings is not None
    assert [phase.name for phase in record.phases] == ["data"]
    assert store.load(folder).outcome == failure
    assert sorted(path.name for path in folder.iterdir()) == ["run.json"]


def test_a_run_that_gets_no_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"No folder for the run can be made in .* \(File name too long\); name another"
    ):
        run(disk_full, tmp_path, experiment="x" * 400)
    assert list(tmp_path.iterdir()) == []


def test_what_this_process_met_is_not_said_of_a_worker(tmp_path: Path) -> None:
    failure = failure_of(run(disk_locked, tmp_path)[0])
    assert failure.kind == "permission"
    assert failure.reason.startswith(
        "coremlbench itself was not allowed to use a file: [Errno 30] Read-only file system"
    )


def test_a_folder_that_vanished_is_told_and_the_record_is_saved_elsewhere(tmp_path: Path, home: Path) -> None:
    record, folder = run(folder_gone, tmp_path / "results")
    assert failure_of(record).kind == "folder-vanished"
    assert "No such file or directory" in failure_of(record).reason
    assert folder.is_relative_to(home)
    assert store.load(folder).outcome == record.outcome


def test_a_result_is_told_also_when_its_folder_takes_nothing_any_more(tmp_path: Path, home: Path) -> None:
    record, folder = run(file_in_its_place, tmp_path / "results")
    assert isinstance(record.outcome, Trained)
    assert folder.is_relative_to(home)
    assert store.load(folder).outcome == record.outcome


LIMITED = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from coremlbench.types.training_records import Trained
from tests.runs.test_lifecycle import run
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
def work(record, folder, stages, save):
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return replace(record, outcome=Trained(test_accuracy=0.9))
run(work, Path(sys.argv[1]))
"""


def test_a_run_raises_the_limit_of_open_files(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4096"]


def test_a_mac_is_kept_awake_while_a_run_works(simulated_mac: Callable[..., SimulatedMac], tmp_path: Path) -> None:
    mac = simulated_mac()
    mac.add_tool(
        "caffeinate", '*) echo "$*" >"$0.started.part"; mv "$0.started.part" "$0.started"; exec sleep 600 ;;\n'
    )

    def work(record: TrainingRecord, folder: Path, stages: Any, save: Any) -> TrainingRecord:
        while not (mac.folder / "caffeinate.started").exists():
            time.sleep(0.001)
        return replace(record, outcome=Trained(test_accuracy=0.9))

    run(work, tmp_path / "results")
    assert (mac.folder / "caffeinate.started").read_text() == f"-i -m -s -w {os.getpid()}\n"


INTERRUPTED = """
import sys, time
from pathlib import Path
from coremlbench.runs.lifecycle import exit_code_of
from tests.runs.test_lifecycle import run

def work(record, folder, stages, save):
    print("at work", flush=True)
    time.sleep(60)
    return record

record, folder = run(work, Path(sys.argv[1]))
print(record.outcome.reason)
sys.exit(exit_code_of(record))
"""


@pytest.mark.long
def test_ctrl_c_between_two_children_is_recorded_as_what_it_is(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "The run was interrupted by SIGINT.\n"
    assert process.returncode == 130
    (record,), problems = store.load_trainings(tmp_path)
    assert (failure_of(record).kind, problems) == ("interrupted", [])


LATE = """
import os, signal
from coremlbench.system.signals import deferred_signals
done = []
try:
    with deferred_signals():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("to the end")
except KeyboardInterrupt:
    done.append("and then stopped")
with deferred_signals() as seen:
    os.kill(os.getpid(), signal.SIGINT)
    seen.clear()
print(*done)
"""


def test_a_signal_waits_for_the_end_of_what_must_not_be_interrupted() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    assert done.stdout == "to the end and then stopped\n"
