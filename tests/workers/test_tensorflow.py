import json
import math
from pathlib import Path
from typing import Any

import pytest

from coremlbench.types.training_records import EpochRow
from coremlbench.workers.tensorflow import EpochLog, LossNotFiniteError

LOGS = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7}


def epoch_log(folder: Path, finished: list[EpochRow]) -> tuple[EpochLog, list[tuple[Any, ...]]]:
    reports: list[tuple[Any, ...]] = []

    def report(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        reports.append((phase, done, total, message, figures))

    return EpochLog(folder / "epochs.jsonl", finished, report, epochs=3, steps=4), reports


def test_an_epoch_is_timed_reported_and_appended_to_the_finished_ones(tmp_path: Path) -> None:
    log, reports = epoch_log(tmp_path, [EpochRow(1, 2.0, 4, 0.9)])
    log.begin_epoch(2)
    for step in range(4):
        log.end_step(step, LOGS)
    log.begin_validation()
    log.end_epoch(LOGS)
    log.write_last()
    first, second = [json.loads(line) for line in (tmp_path / "epochs.jsonl").read_text().splitlines()]
    assert (first["epoch"], second["epoch"], second["steps"], second["validation_loss"]) == (1, 2, 4, 0.6)
    assert 0 < second["training_seconds"] <= second["seconds"]
    assert [row.epoch for row in log.rows] == [1, 2]
    assert reports[0][:3] == ("epoch 2 of 3", 0, 4)
    phase, done, total, message, figures = reports[-1]
    assert (phase, done, total) == ("epoch 2 of 3", 4, 4)
    assert message.startswith("loss 0.5000, ")
    assert figures["steps_per_second"] > 0
    assert figures["seconds_left"] >= 0


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path, loss: float) -> None:
    log, _ = epoch_log(tmp_path, [])
    log.begin_epoch(1)
    log.end_step(0, LOGS)
    with pytest.raises(LossNotFiniteError, match="in epoch 1, by step 4 of 4"):
        log.end_step(3, LOGS | {"loss": loss})
    with pytest.raises(LossNotFiniteError, match="in epoch 1, by its end"):
        log.end_epoch(LOGS | {"loss": loss})
    assert log.rows == []
