"""Retries of failed runs: when there are any, their remedies, and the notes in their records."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.createml.options import CreateMLOptions
from coremlbench.experiments.catalogue import select
from coremlbench.failures.retry import RETRY_BY_KIND, Retry
from coremlbench.failures.training_checks import CHECKS
from coremlbench.runs import resume_data, store
from coremlbench.runs.retries import apply_remedy, run_with_retries
from coremlbench.training.job import Overrides, resolve_options, train_with_ladder
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import Trained, TrainingRecord
from tests.runs.test_resume_data import broken_run
from tests.runs.test_store import RECORD
from tests.small_datasets import fashion_folder
from tests.standing_worker import point, stand_at

LENET = resolve_options(select(["lenet"])[0], Overrides())


def failing(kinds: list[str], seen: list[Any]) -> Any:
    """Return an attempt function that fails with the kinds in turn, and then trains."""

    def once(options: Any, extra_fields: Mapping[str, Any]) -> tuple[TrainingRecord, Path]:
        seen.append(options)
        number = len(seen)
        outcome: Any = Trained(test_accuracy=1.0)
        if number <= len(kinds):
            outcome = Failure(kinds[number - 1], "It failed.", "Try again.")
        return replace(RECORD, id=f"run {number}", outcome=outcome, **extra_fields), Path("nowhere")

    return once


def test_attempts_end_with_the_first_that_trains() -> None:
    seen: list[Any] = []
    runs = [record for record, _ in run_with_retries(failing(["out-of-memory", "memory-limit"], seen), LENET, 5)]
    assert [options.batch for options in seen] == [32, 16, 8]
    assert [(record.attempt, record.retry_of) for record in runs] == [(1, ""), (2, "run 1"), (3, "run 1")]
    assert runs[1].notes == ("Attempt 2 of at most 6, after out-of-memory in run 1; with batch 16 in place of 32.",)
    assert isinstance(runs[-1].outcome, Trained)


@pytest.mark.parametrize(("retries", "made"), [(0, 1), (1, 2), (2, 3)])
def test_attempts_end_when_there_were_enough(retries: int, made: int) -> None:
    assert len(run_with_retries(failing(["hang"] * 9, []), LENET, retries)) == made


@pytest.mark.parametrize("kind", sorted(kind for kind, retry in RETRY_BY_KIND.items() if retry is Retry.NEVER))
def test_what_would_fail_again_or_was_stopped_on_purpose_is_not_tried_again(kind: str) -> None:
    assert len(run_with_retries(failing([kind], []), LENET, 3)) == 1


def test_each_check_of_a_finished_training_has_a_remedy() -> None:
    assert {check.retry for check in CHECKS} <= {Retry.ON_CPU, Retry.ON_CPU_WITH_NEW_SEED}


def test_a_remedy_is_applied_where_there_is_one() -> None:
    assert apply_remedy("missing-kernel", LENET) == (replace(LENET, device="cpu"), "on the CPU")
    assert apply_remedy("of-a-later-release", LENET) == (LENET, "with the same settings")
    assert apply_remedy("gpu-fault", LENET) == (replace(LENET, device="cpu"), "on the CPU")
    assert apply_remedy("gpu-fault", replace(LENET, device="cpu"))[1] == "with the same settings"
    assert apply_remedy("killed", replace(LENET, batch=1))[0].batch == 1
    assert apply_remedy("loss-exploded", LENET) == (replace(LENET, device="cpu"), "on the CPU")
    another, words = apply_remedy("at-chance", replace(LENET, seed=4))
    assert (another, words) == (replace(LENET, device="cpu", seed=5), "on the CPU and with seed 5 in place of 4")
    assert apply_remedy("at-chance", CreateMLOptions()) == (CreateMLOptions(seed=1), "with seed 1 in place of 0")
    assert apply_remedy("segmentation-fault", LENET) == (LENET, "with the same settings")
    fewer, words = apply_remedy("out-of-memory", CreateMLOptions(processes=4))
    assert (fewer.processes, words) == (2, "with 2 extracting side by side in place of 4")
    assert "fewer than one" in apply_remedy("killed", CreateMLOptions(processes=1))[1]


def keeping(results: Path, outcomes: list[Any]) -> Any:
    """Return an attempt function that writes resume data and has the outcomes in turn, or raises them."""

    def once(options: Any, extra_fields: Mapping[str, Any]) -> tuple[TrainingRecord, Path]:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        folder = broken_run(results, f"run {len(outcomes)}")
        record = resume_data.note_resume_data(
            replace(RECORD, id=folder.name, options={}, outcome=outcome, **extra_fields), folder
        )
        store.save(record, folder)
        return record, folder

    return once


HANG = Failure("hang", "It hung.", "Run it again.")


def test_what_a_broken_attempt_keeps_stays_until_another_trained(tmp_path: Path) -> None:
    (first, folder), (second, _) = run_with_retries(keeping(tmp_path, [HANG, HANG]), CreateMLOptions(), 1)
    for record in (first, second):
        assert (
            resume_data.find_resumable_run(tmp_path, ["createml"], record.id)[0]
            .notes[-1]
            .startswith("Kept of this run: ")
        )
    shutil.rmtree(tmp_path)
    (first, folder), (last, _) = run_with_retries(keeping(tmp_path, [HANG, Trained(1.0)]), CreateMLOptions(), 5)
    assert first.notes == (f"Nothing is kept of this run any more, as {last.id} trained in its place.",)
    assert store.load(folder) == first
    assert not list(tmp_path.glob("*/kept"))


def test_an_attempt_that_cannot_be_made_ends_the_attempts_and_is_told(tmp_path: Path) -> None:
    full = InputError("The disk of the results folder has 150 MB left.")
    ((record, folder),) = run_with_retries(keeping(tmp_path, [HANG, full]), CreateMLOptions(), 2)
    assert record.outcome == HANG
    assert record.notes[-1] == f"Attempt 2 of at most 3 could not be made: {full}"
    assert store.load(folder) == record
    assert resume_data.find_resumable_run(tmp_path, ["createml"], record.id)[0] == record
    with pytest.raises(InputError, match="150 MB"):
        run_with_retries(keeping(tmp_path, [full]), CreateMLOptions(), 2)


RAISE = """
import resource, sys
from coremlbench.runs.retries import apply_remedy
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, min(hard, 2048)))
print(apply_remedy("too-many-files", None)[1], resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(apply_remedy("too-many-files", None)[1])
"""


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    done = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "with 2,048 open files allowed in place of 64 2048"
    assert second == "with the same settings, as the system allows no more than 2,048 open files"


@pytest.mark.tensorflow
@pytest.mark.slow  # two trainings; the retries' rules are tested one by one
def test_a_killed_training_trains_at_the_second_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))
    source = str(fashion_folder(tmp_path / "fashion", 200, 50))
    changes = Overrides(sources={"fashion-mnist": source}, train=100, test=50, epochs=2, device="cpu")
    stand_at(monkeypatch, tmp_path / "standing", point("tensorflow", "epoch 2 "))
    pids: list[int] = []

    def kill_the_first(progress: Progress) -> None:
        if "pid" in progress.figures:
            pids.append(progress.figures["pid"])
        if progress.phase.startswith("epoch 2 ") and len(pids) == 1:
            os.kill(pids[0], signal.SIGKILL)
            pids.append(0)

    runs = train_with_ladder(
        resolve_options(select(["fashion-mnist"])[0], changes),
        (),
        retries=2,
        results=tmp_path / "results",
        command=["coremlbench", "train", "--retries", "2"],
        on_progress=kill_the_first,
    )
    first, second = (record for record, _ in runs)
    assert isinstance(first.outcome, Failure)
    assert first.outcome.kind == "killed"
    assert isinstance(second.outcome, Trained)
    assert (second.attempt, second.retry_of, second.options["batch"]) == (2, first.id, first.options["batch"] // 2)
    assert "batch 16" in second.deviations
    assert [record.id for record in store.load_trainings(tmp_path / "results")[0]] == [first.id, second.id]
    assert not list((tmp_path / "results").glob("*/kept"))
