"""The Swift program under supervision: what it reports, how each kind of failure is told, and that it resumes."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from coremlbench.failures.classify import classify
from coremlbench.types.process import Exit, Limits, Progress
from tests.createml.create_ml_stand_in import Driver, digest
from tests.gated_clock import GatedClock

pytestmark = pytest.mark.long  # the stand-in and the program are compiled first, for all tests here


def result_of(ended: Exit) -> dict[str, Any]:
    assert classify(ended) is None, (ended.error, ended.log_tail)
    assert ended.result is not None
    return ended.result


def test_no_iteration_is_missed_and_phases_come_in_order(driver: Driver) -> None:
    result = result_of(driver.run(iterations=40))
    assert [row["iteration"] for row in result["iterations"]] == list(range(1, 41))
    assert all(0 <= row["training_accuracy"] <= 1 for row in result["iterations"])
    assert all(0 <= row["validation_accuracy"] <= 1 for row in result["iterations"])
    seconds = [row["seconds"] for row in result["iterations"]]
    assert seconds == sorted(seconds)
    assert result["iterations"][-1]["training_accuracy"] == result["training_accuracy"] > 0.9
    assert set(result["seconds"]) == {"extract", "train", "evaluate", "export"}
    phases = [line["phase"] for line in driver.progress()]
    assert list(dict.fromkeys(phases)) == ["start", "extract", "train", "evaluate", "export"]
    shown = [line["done"] for line in driver.progress() if line["phase"] == "train"]
    assert shown[:40] == list(range(1, 41))  # the terminal misses none either


def test_what_is_no_macos_says_that_it_is_a_stand_in(driver: Driver) -> None:
    assert result_of(driver.run(iterations=1))["stand_in"] is True


def test_percentages_become_shares(driver: Driver) -> None:
    shares = [row["training_accuracy"] for row in result_of(driver.run())["iterations"]]
    result = result_of(driver.run("percent", session=str(driver.folder / "other")))
    assert [row["training_accuracy"] for row in result["iterations"]] == pytest.approx(shares)
    figures = [line["figures"] for line in driver.progress() if line["figures"]]
    assert all(0 <= value <= 1 for line in figures for value in line.values())


def test_without_validation_images_there_is_no_validation_accuracy(driver: Driver) -> None:
    result = result_of(driver.run(validation=None, iterations=3))
    assert result["validation_accuracy"] is None
    assert {row["validation_accuracy"] for row in result["iterations"]} == {None}


def accuracies(row: dict[str, Any]) -> tuple[int, float, float]:
    return row["iteration"], row["training_accuracy"], row["validation_accuracy"]


FAILURES = {
    "train:3:cancelled": "createml-cancelled",
    "make:0:parameters": "createml-parameters",
    "make:0:modified": "createml-images",
    "extract:7:io": "createml-files",
    "train:4:type": "createml-type",
    "train:2:generic": "createml-error",
    "train:1:vector": "createml-feature-length",
    "predict:0:generic": "createml-error",
    "write:0:full": "disk-full",
    "extract:9:full": "disk-full",
    "train:3:crash": "createml-crash",
    "extract:3:kill": "killed",
    "train:3:quit": "no-result",
    "overlook": "unusable-data",
}


@pytest.mark.parametrize("behaviour", FAILURES)
def test_each_kind_of_failure_is_told(behaviour: str, driver: Driver) -> None:
    ended = driver.run(behaviour)
    failure = classify(ended)
    assert failure is not None
    assert failure.kind == FAILURES[behaviour], (failure, ended.log_tail)
    assert "{" not in failure.reason


def test_a_hang_is_stopped(driver: Driver) -> None:
    reached: list[int] = []
    clock = GatedClock((0, lambda: 3 in reached))
    ended = driver.run("train:3:hang", Limits(silence=1), lambda progress: reached.append(iteration(progress)), clock)
    failure = classify(ended)
    assert failure is not None
    assert (failure.kind, failure.evidence.phase) == ("hang", "train")


def iteration(progress: Progress) -> int:
    return progress.done if progress.phase == "train" else 0


def test_too_much_memory_is_stopped(driver: Driver) -> None:
    failure = classify(driver.run("train:3:memory", Limits(memory_bytes=200 << 20)))
    assert failure is not None
    assert failure.kind == "memory-limit"


def test_bad_requests_are_told(driver: Driver) -> None:
    for changes, said in (
        ({"augmentation": ["shear"]}, "Create ML has no augmentation shear."),
        ({"classes": ["grün"]}, "Create ML predicted the class red plates, which no training image has."),
        ({"test": [{"path": "/nowhere.bmp", "label": 0}]}, "nowhere.bmp"),
    ):
        ended = driver.run(**changes)
        assert ended.returncode == 1
        assert said in str(ended.error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_training(number: signal.Signals, driver: Driver) -> None:
    sent: list[psutil.Process] = []

    def send(progress: Progress) -> None:
        if iteration(progress) == 4 and not sent:
            (program,) = (
                process
                for process in psutil.Process().children(recursive=True)
                if process.name().startswith("createml_work")
            )
            sent.append(program)
            program.send_signal(number)

    ended = driver.run("slow", on_progress=send, iterations=2000)
    assert sent, (ended.error, ended.log_tail)
    failure = classify(ended)
    assert failure is not None
    assert failure.kind == "createml-cancelled"
    assert (ended.error or {})["type"] == "MLCreateError.cancelled"


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_again_and_again_comes_to_the_same(seed: int, driver: Driver) -> None:
    """Killed at seeded moments of any phase, and started again each time with the same session."""
    expected = result_of(driver.run(session=str(driver.folder / "whole")))
    model = digest(Path(driver.request()["model"]))
    moments = random.Random(seed)
    points = [
        *(f"extract:{count}:kill" for count in sorted(moments.sample(range(1, 54), 2))),
        *(f"train:{count}:kill" for count in sorted(moments.sample(range(1, 26), 2))),
        *moments.sample(("predict:0:kill", "write:0:kill"), 1),
    ]
    for point in points:
        failure = classify(driver.run(point))
        assert failure is not None
        assert failure.kind == "killed", point
    resumed = result_of(driver.run())
    assert resumed["resumed_phase"] == "train"
    assert "extract" not in resumed["seconds"]
    for name in ("predicted", "training_accuracy", "validation_accuracy"):
        assert resumed[name] == expected[name]
    assert set(map(accuracies, resumed["iterations"])) <= set(map(accuracies, expected["iterations"]))
    assert digest(Path(driver.request()["model"])) == model


def test_a_session_of_other_images_or_parameters_is_refused(driver: Driver) -> None:
    assert driver.run("train:12:kill").returncode == -signal.SIGKILL
    for changes, kind in (
        ({"augmentation": ["flip"]}, "createml-parameters"),
        ({"feature_revision": 2}, "createml-parameters"),
        ({"training": driver.request()["validation"]}, "createml-images"),
    ):
        failure = classify(driver.run(**changes))
        assert failure is not None
        assert failure.kind == kind
        assert "without --resume" in failure.hint


def test_the_features_of_a_finished_session_are_reused(driver: Driver) -> None:
    first = result_of(driver.run())
    second = result_of(
        driver.run(session=str(driver.folder / "other"), reused_session=str(driver.folder / "session"), iterations=9)
    )
    assert (first["reused_features"], second["reused_features"]) == (False, True)
    assert "extract" not in second["seconds"]
    assert list(map(accuracies, second["iterations"])) == list(map(accuracies, first["iterations"][:9]))
