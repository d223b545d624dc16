"""What a person reads of a run that failed, whatever the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.console import print_training
from coremlbench.console_coreml import print_conversions
from coremlbench.console_tensorflow import print_run
from coremlbench.types import Evidence, Failure, TrainingRecord
from failing_records import CONVERSION, training

FAILURE = Failure(
    kind="killed",
    reason="Something killed it.",
    hint="Look at dmesg.",
    evidence=Evidence(progress="train, 3 of 9", log_tail=tuple(f"line {number} [x]" for number in range(9))),
)


def shown(record: TrainingRecord, capsys: pytest.CaptureFixture[str], command: str) -> str:
    folder = Path("results") / record.id
    if command == "train":
        print_run(record, folder)
    elif command == "createml":
        print_training(replace(record, experiment="createml"), folder)
    else:
        print_conversions([(replace(CONVERSION, outcome=FAILURE), folder)])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "createml", "convert"])
def test_every_command_tells_a_failure_alike(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(training(1, FAILURE), capsys, command)
    assert ": failed – killed (train, 3 of 9)\nSomething killed it.\nlast lines of its log:\n  line 4 [x]\n" in said
    assert "line 8 [x]\nwhat to do: Look at dmesg.\n" in said


def test_an_attempt_that_was_resumed_says_both(capsys: pytest.CaptureFixture[str]) -> None:
    record = replace(training(1, FAILURE), attempt=2, resumed_from="another")
    for command in ("train", "createml"):
        assert ", attempt 2, resumed from another: failed" in shown(record, capsys, command)
