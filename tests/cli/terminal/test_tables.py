"""What a person reads of a run that failed, whatever the command."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from coremlbench.cli.terminal.conversion import print_conversions
from coremlbench.cli.terminal.createml import print_createml_run
from coremlbench.cli.terminal.tables import print_text
from coremlbench.cli.terminal.training import print_run
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.training_records import TrainingRecord
from tests.failing_records import CONVERSION, training

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
        print_createml_run(replace(record, experiment="createml"), folder)
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


def test_a_terminal_gets_texts_broken_between_words_and_paths_whole() -> None:
    path = "results/" + "a-long-name/" * 8 + "run.json"
    text = f"  saved: {path} and 青い then words that go on and on until the line would be full, which it is not to be"
    for terminal in (True, False):
        out = io.StringIO()
        print_text(Console(file=out, width=40, force_terminal=terminal, color_system=None), text)
        lines = out.getvalue().splitlines()
        assert " ".join(" ".join(lines).split()) == " ".join(text.split())
        assert path in out.getvalue()
        if terminal:
            assert [line for line in lines if len(line) > 40] == [f"  {path}"]
            assert all(line.startswith("  ") for line in lines)
        else:
            assert lines == [text]
