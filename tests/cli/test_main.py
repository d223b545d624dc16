import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coremlbench.cli.commands.parameters import Bytes, Duration
from coremlbench.cli.main import COMMANDS, Commands, cli
from tests.conftest import Run

HEAVY = (
    "tensorflow",
    "keras",
    "coremltools",
    "onnxruntime",
    "onnx",
    "numpy",
    "PIL",
    "scipy",
    "rich",
    "pydantic",
    "h5py",
)


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


class Waiting(Commands):
    """The command line with one command, which Ctrl-C ends as it does between two runs."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        def wait() -> None:
            raise KeyboardInterrupt

        return click.Command(cmd_name, callback=wait)


def test_ctrl_c_outside_of_a_run_has_the_exit_code_that_help_promises() -> None:
    done = CliRunner().invoke(Waiting(), ["wait"])
    assert done.exit_code == 130
    assert done.output == "Error: Interrupted; `coremlbench results` lists what was recorded before.\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom coremlbench.cli.main import cli\n"
        "try:\n    cli(['--help'], prog_name='coremlbench')\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"
    assert "createml" in ended.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    command = commands()[name]
    assert command.short_help
    assert command.help
    assert len(command.help.split()) > 10
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name: str) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"coremlbench {name}" in readme


def test_every_option_of_createml_stands_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for parameter in commands()["createml"].params:
        assert f"`{parameter.opts[0]}" in readme, parameter.opts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["createml", "--dataset", "drwan-food"], "There is no dataset or folder 'drwan-food'"),
        (["createml", "--augment", "shear"], "There is no augmentation called 'shear'"),
        (["createml", "--memory-limit", "lots"], "write it as 300MiB or 2GiB"),
        (["createml", "--timeout", "soon"], "write it as 90s, 15m or 2h"),
        (["createml", "--scale", "0"], "Invalid value for '--scale'"),
        (["createml", "--scale", "1.5"], "Invalid value for '--scale'"),
        (["createml", "--train", "many"], "Invalid value for '--train'"),
        (["createml", "--iterations", "0"], "Invalid value for '--iterations'"),
        (["createml", "--extractor", "alexnet"], "Invalid value for '--extractor'"),
        (["createml", "--source", "nowhere.zip"], "does not exist"),
        (["createml", "--dataset", ".", "--scale", "0.1"], "for a folder, use --train and --test"),
        (["createml", "--nonsense"], "No such option"),
        (["createmll"], "No such command"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(arguments: list[str], message: str, coremlbench: Run) -> None:
    ended = coremlbench(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_results_folder_that_cannot_be_written_is_told_before_the_work(coremlbench: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = coremlbench("createml", "--results", "file/results")
    assert ended.returncode == 2
    assert "name another with --results" in ended.stderr


def test_results_of_nothing_say_how_to_get_some(coremlbench: Run) -> None:
    assert "No runs under results yet" in coremlbench("results").stdout
    assert json.loads(coremlbench("results", "--json").stdout) == []


def test_a_record_that_cannot_be_read_is_named_and_stops_nothing(coremlbench: Run, tmp_path: Path) -> None:
    for name, text in (("broken", "{"), ("newer", '{"schema": 99, "kind": "training"}')):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "run.json").write_text(text)
    ended = coremlbench("results", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == []
    assert "broken" in ended.stderr
    assert "newer" in ended.stderr


@pytest.mark.tensorflow
def test_the_doctor_looks_at_everything(coremlbench: Run) -> None:
    checks = {check["name"]: check for check in json.loads(coremlbench("doctor", "--json").stdout)}
    assert {"machine", "conditions", "Turi Create", "feature extractor", "TensorFlow", "Core ML", "open files"} <= set(
        checks
    )
    assert all(check["state"] in ("ok", "later", "warn", "no") for check in checks.values())
    assert all(check["advice"] for check in checks.values() if check["state"] in ("warn", "no"))
    if sys.platform == "linux":
        assert checks["Core ML"]["state"] == "no"
        assert "macOS only" in checks["Core ML"]["found"]
    shown = coremlbench("doctor")
    assert shown.returncode == 0
    assert "Turi Create" in shown.stdout


def test_the_datasets_are_listed(coremlbench: Run) -> None:
    listed = {each["name"]: each for each in json.loads(coremlbench("datasets", "--json").stdout)}
    assert {"drawn-food", "food101-10"} <= set(listed)
    assert listed["drawn-food"]["download_bytes"] == 0
    assert "drawn-food" in coremlbench("datasets").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_back(shell: str, coremlbench: Run) -> None:
    assert "_COREMLBENCH_COMPLETE" in coremlbench("completion", shell).stdout


def test_completion_offers_commands_datasets_and_augmentations(coremlbench: Run) -> None:
    def complete(words: str, index: int) -> str:
        return coremlbench(_COREMLBENCH_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(index)).stdout

    assert "createml" in complete("coremlbench cre", 1)
    assert "drawn-food" in complete("coremlbench createml --dataset dr", 3)
    assert "flip,rotation" in complete("coremlbench createml --augment flip,ro", 3)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2 * 2**30), ("300MiB", 300 * 2**20), ("1.5G", 3 * 2**29), ("1GB", 10**9), ("5000000", 5 * 10**6)],
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert Bytes().convert(text, None, None) == size


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400)])
def test_times(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["0", "-1GiB", "GiB", "1 lot"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not an amount of memory"):
        Bytes().convert(text, None, None)


def test_version_is_the_package_s() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "coremlbench", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"coremlbench, version \d+\.\d+\.\d+", ended.stdout.strip())
