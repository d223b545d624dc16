from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coremlbench.supervision.supervisor import supervise
from coremlbench.training.device_check import probe_device
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit, Limits
from coremlbench.workers.device import compare_losses


def check(folder: Path, **request: object) -> Exit:
    return supervise(
        [sys.executable, "-I", "-m", "coremlbench.workers.device"],
        folder=folder,
        request={"device": "cpu", "compare": True, "seed": 0, **request},
        limits=Limits(silence=120),
    )


def falling(steps: int = 60, start: float = 2.3) -> list[float]:
    return [start * 0.95**step for step in range(steps)]


@pytest.mark.tensorflow
def test_two_devices_that_learn_the_same_are_trusted(tmp_path: Path) -> None:
    ended = check(tmp_path, cpus=2, against="CPU:1")
    assert ended.result is not None, ended.error
    assert ended.result["compared"] == ["CPU:0", "CPU:1"]
    first, second = ended.result["losses"]
    assert first[-1] < 0.5 * first[0]
    assert first[0] == pytest.approx(second[0], rel=1e-5)
    assert (ended.result["device"], ended.result["reason"]) == ("CPU:0", "the CPU was requested")
    assert "tensorflow" in ended.result["versions"]


@pytest.mark.tensorflow
def test_a_gpu_that_is_not_there_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # Hidden by the environment where there is one, so that the test says the same everywhere.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    failure = probe_device("gpu")
    assert isinstance(failure, Failure)
    assert failure.kind == "input"
    assert failure.reason.startswith("There is no GPU to train on: TensorFlow ")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ([2.3, float("nan"), 2.0], "its loss is nan in step 2"),
        (falling(start=2.4), "its first loss is 2.4000 where the CPU has 2.3000"),
        ([2.3 * 1.02**step for step in range(60)], "after 60 steps its loss is"),
        ([2.3] * 60, "after 60 steps its loss is 2.3000 where the CPU has 0.1"),
    ],
)
def test_a_loss_that_goes_elsewhere_is_found(other: list[float], says: str) -> None:
    difference = compare_losses(falling(), other)
    assert difference is not None
    assert says in difference


def test_rounding_is_not_taken_for_a_fault() -> None:
    slightly = [loss * (1 + 0.001 * (-1) ** step) for step, loss in enumerate(falling())]
    assert compare_losses(falling(), slightly) is None
    assert compare_losses(falling(), falling()) is None
