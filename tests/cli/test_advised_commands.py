"""Commands that messages advise, pasted into a shell: they are read as they were meant, also with spaces in paths."""

import ast
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import coremlbench
from coremlbench.cli.commands.report import save_run_report
from coremlbench.cli.main import Commands, cli
from coremlbench.cli.terminal.listings import print_results
from coremlbench.cli.terminal.tables import print_text
from coremlbench.cli.terminal.training import print_comparison
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import named_sources, resolve_model
from coremlbench.experiments.catalogue import select
from coremlbench.failures.classify import classify
from coremlbench.model_files.foreign_formats import PYTORCH_MAGIC
from coremlbench.report.files import read_report
from coremlbench.runs import resume_data, store
from coremlbench.system.advised_commands import advised_command
from coremlbench.timing.resume import find_unfinished
from coremlbench.timing.rounds import resume_hint
from coremlbench.training.job import Overrides, resolve_options
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit
from tests import record_samples as samples
from tests.failure_exits import error
from tests.runs.test_resume_data import broken_run
from tests.runs.test_store import RECORD

COMMAND = re.compile(r"`(coremlbench(?: [^`]*)?)`")
ARGUMENTS = "coremlbench() { for word; do printf '%s\\0' \"$word\"; done; }; "
NEURAL_NETWORK = b"\x08\x04\xa2\x1f\x00"
"""A ``Model`` of the specification version 4 whose field 500, ``neuralNetwork``, is empty."""


def pasted(command: str) -> click.Context:
    """Return the context of a command as a shell and click read it; nothing is run."""
    ended = subprocess.run(["/bin/sh", "-c", ARGUMENTS + command], capture_output=True, text=True, check=True)
    name, *arguments = ended.stdout.split("\0")[:-1]
    group = click.Context(cli)
    known = cli.get_command(group, name)
    assert known is not None, command
    return known.make_context(name, arguments, parent=group)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder with spaces and a quotation mark in its path, below the working directory."""
    here = tmp_path / "here it is"
    (here / "a b's").mkdir(parents=True)
    monkeypatch.chdir(here)
    return here / "a b's"


# --- the texts that name a command ---------------------------------------------------------------------------


def untrained(results: Path) -> None:
    resolve_model("createml", results=results)


def untrained_network(results: Path) -> None:
    resolve_model("lenet", results=results)


def nothing_trained(results: Path) -> None:
    named_sources((), results=results)


def check_of_two(results: Path) -> None:
    named_sources(("one", "two"), results=results, check=results / "it.mlpackage")


def random_createml(results: Path) -> None:
    named_sources(("createml",), results=results, random_seed=0)


def neural_network(results: Path) -> None:
    path = results.parent / "its model.mlmodel"
    path.write_bytes(NEURAL_NETWORK)
    resolve_model(str(path), results=results)


def neural_network_to_check(results: Path) -> None:
    path = results.parent / "its model.mlmodel"
    path.write_bytes(NEURAL_NETWORK)
    named_sources(("lenet",), results=results, check=path, options=ConvertOptions(check=str(path)))


def no_run_to_resume(results: Path) -> None:
    resume_data.find_resumable_run(results, ("createml",), "x")


def no_matrix(results: Path) -> None:
    find_unfinished("x", results)


def no_unfinished_matrix(results: Path) -> None:
    find_unfinished("", results)


def wrong_command(results: Path) -> None:
    resolve_options(select(["createml"])[0], Overrides(), results)


def no_results_folder(results: Path) -> None:
    results.rmdir()
    read_report([results], results)


def resume_note(results: Path) -> str:
    record = replace(RECORD, id="x", outcome=Failure("killed", "It was killed.", ""))
    return resume_data.note_resume_data(record, broken_run(results, "x")).notes[-1]


def hint_of_a_killed_run(results: Path) -> str:
    outcome = store.load(broken_run(results, "x")).outcome
    assert isinstance(outcome, Failure)
    return outcome.hint


def hint_of_a_matrix(results: Path) -> str:
    return resume_hint(results / "x")


def hint_of_a_killed_matrix(results: Path) -> str:
    unfinished = Failure("unfinished", "It has not ended.", "Wait.")
    (results / "x").mkdir()
    store.save(replace(samples.timing(1), id="x", outcome=unfinished, orders=((0,),)), results / "x")
    outcome = store.load(results / "x").outcome
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("The run was killed from outside")
    return outcome.hint


def hint_of_rule(results: Path, error_type: str) -> str:
    failure = classify(error(error_type, "It failed."), results)
    assert failure is not None
    return failure.hint


def hint_of_a_cancelled_training(results: Path) -> str:
    return hint_of_rule(results, "MLCreateError.cancelled")


def hint_of_missing_weights(results: Path) -> str:
    return hint_of_rule(results, "MissingWeightsError")


def foreign_file(results: Path) -> None:
    path = results.parent / "its network.pt"
    path.write_bytes(PYTORCH_MAGIC)
    resolve_model(str(path), results=results)


def foreign_file_to_check(results: Path) -> None:
    path = results.parent / "its network.pt"
    path.write_bytes(PYTORCH_MAGIC)
    named_sources(("lenet",), results=results, check=path, options=ConvertOptions(check=str(path)))


def hint_to_report(results: Path) -> str:
    failure = classify(Exit(returncode=1, seconds=1.0, error={"type": "E", "message": "It failed."}), results)
    assert failure is not None
    return failure.hint


def no_runs(results: Path) -> None:
    print_results([], results)


def runs_with_caveats(results: Path) -> None:
    print_results([samples.conversion(1)], results)


def nothing_compared(results: Path) -> None:
    print_comparison([], results)


def failed_report(results: Path) -> None:
    save_run_report(results, results / "no folder has this name\0", quiet=True)


def no_such_failure(results: Path) -> str:
    return CliRunner().invoke(cli, ["failures", "x", "--results", str(results)]).output


def interrupted(results: Path) -> str:
    class Interrupting(Commands):
        """The command line, of which each command is interrupted."""

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            command = super().get_command(ctx, cmd_name)
            assert command is not None
            return click.Command(cmd_name, params=command.params, callback=interrupt)

    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    return CliRunner().invoke(Interrupting(), ["compare", "--results", str(results)]).output


SAYS: dict[Callable[[Path], str | None], dict[str, object]] = {
    untrained: {},
    untrained_network: {},
    nothing_trained: {"scale": 0.02},
    check_of_two: {"check": Path("PACKAGE"), "models": ("MODEL",)},
    random_createml: {},
    neural_network: {"models": ("its model.mlmodel",), "kit": Path("kit")},
    neural_network_to_check: {"models": ("its model.mlmodel",), "kit": Path("kit")},
    no_run_to_resume: {},
    no_matrix: {},
    no_unfinished_matrix: {},
    wrong_command: {},
    no_results_folder: {"scale": 0.1},
    resume_note: {"resume": "x"},
    hint_of_a_killed_run: {"resume": "x"},
    hint_of_a_matrix: {"resume": "x"},
    hint_of_a_killed_matrix: {"resume": "x"},
    hint_of_a_cancelled_training: {"resume": ""},
    hint_of_missing_weights: {},
    foreign_file: {"check": Path("PACKAGE"), "models": ("io.npz",)},
    foreign_file_to_check: {"check": Path("PACKAGE"), "models": ("io.npz",)},
    hint_to_report: {"bundle": Path("failures.zip")},
    no_runs: {"scale": 0.1},
    runs_with_caveats: {},
    nothing_compared: {},
    failed_report: {},
    no_such_failure: {},
    interrupted: {},
}
"""Functions that return, print or raise a text with a command, and the values of its parameters."""


@pytest.mark.parametrize("say", SAYS, ids=lambda say: say.__name__)
def test_an_advised_command_is_for_the_same_results_and_paths(
    results: Path,
    say: Callable[[Path], str | None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    try:
        text = say(results) or ""
    except InputError as error:
        text = str(error)
    printed = capsys.readouterr()
    commands = COMMAND.findall(text + printed.out + printed.err)
    assert len(commands) == 1
    expected = {"results": Path("a b's"), **SAYS[say]}
    parameters = pasted(commands[0]).params
    for name, value in expected.items():
        assert parameters[name] == value


# --- the helper and its use ----------------------------------------------------------------------------------


def test_the_default_results_are_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COREMLBENCH_RESULTS", raising=False)
    assert advised_command("results", results=tmp_path / "results") == "coremlbench results"
    assert advised_command("results", results=Path("results")) == "coremlbench results"
    assert advised_command("results", results=tmp_path) == "coremlbench results --results ."
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(tmp_path))
    assert advised_command("results", results=tmp_path) == "coremlbench results"


def test_paths_are_no_options_and_no_folders_of_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    context = pasted(advised_command("convert", tmp_path / "-x.keras", Path("~y"), Path("/a b/$HOME`z`")))
    assert context.params["models"] == ("./-x.keras", "~y", "/a b/$HOME`z`")


class Terminal:
    """A console of 40 columns that keeps the lines."""

    is_terminal, width = True, 40

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, line: str, **_: Any) -> None:
        self.lines.append(line)


def test_a_terminal_has_a_command_on_one_line() -> None:
    terminal = Terminal()
    print_text(terminal, "Nothing is here yet; `coremlbench train --results 'a b'` fills it as well.")  # type: ignore[arg-type]
    assert terminal.lines == [
        "Nothing is here yet;",
        "`coremlbench train --results 'a b'`",
        "fills it as well.",
    ]


SOURCES = sorted(Path(coremlbench.__file__).parent.rglob("*.py"))


def test_constant_texts_name_commands_that_exist_and_others_are_made_by_the_helper() -> None:
    commands = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                assert not re.search(r"`coremlbench[^`]*\0", text), f"{path.name}: {text!r}: use advised_command"
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                commands |= set(COMMAND.findall(node.value))
    assert len(commands) > 5
    for command in commands:
        pasted(command)
