"""The options of opening a model file: the same in every command that opens one, and what wrong values are answered."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coremlbench.cli.commands.convert import convert
from coremlbench.cli.commands.convert_and_time import convert_and_time
from coremlbench.cli.commands.model_file_options import MODEL_FILE_OPTIONS
from coremlbench.cli.main import cli
from coremlbench.conversion.options import ConvertOptions


def test_both_commands_declare_them_alike_and_a_conversion_takes_them_all() -> None:
    declared = [
        {
            name: describe(parameter)
            for parameter in command.params
            if (name := parameter.name or "") in MODEL_FILE_OPTIONS
        }
        for command in (convert, convert_and_time)
    ]
    (one, several) = (options.pop("input_shape") for options in declared)
    assert declared[0] == declared[1]
    assert (one[0], several[0]) == (["--input-shape"], ["--input-shape"])
    assert (one[1], several[1]) == ("numbers", "shapes")  # a sweep is over several, a conversion has one
    assert {*declared[0], "input_shape"} == set(MODEL_FILE_OPTIONS)
    assert all(hasattr(ConvertOptions(), name) for name in MODEL_FILE_OPTIONS)


def describe(parameter: click.Parameter) -> tuple[object, ...]:
    assert isinstance(parameter, click.Option)
    return (parameter.opts, parameter.type.name, parameter.default, parameter.help, parameter.is_flag)


WRONG = [
    (
        ("--custom-objects", "mine.py"),
        "--custom-objects runs the code in mine.py on this machine; if you trust it, add",
    ),
    (("--custom-objects", "none.py", "--allow-code"), "'none.py' is no Python file (there is no such file)"),
    (("--custom-objects", "text", "--allow-code"), "'text' is no Python file (its name does not end in .py)"),
    (("--custom-objects", ".", "--allow-code"), "'.' is no Python file"),
    (("--signature", ""), "name a signature of the SavedModel: --signature serving_default."),
    (("--signature", " "), "name a signature of the SavedModel"),
    (("--input-shape", "224,224"), "write it as 224x224x3"),
    (("--input-shape", "0x3"), "write it as 224x224x3"),
    (("--classes", "cat,,dog"), "Each class has a name of its own"),
    (("--scale", "0"), "0 is not in the range"),
]


@pytest.mark.parametrize("command", ["convert", "convert-and-time"])
@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_a_wrong_value_is_one_sentence_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "text"):
        (tmp_path / name).write_text("x = 1")
    done = CliRunner().invoke(cli, [command, "missing.keras", *arguments])
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert not list(tmp_path.glob("results/*"))


@pytest.mark.parametrize("command", ["convert", "convert-and-time"])
@pytest.mark.parametrize("name", ["state.pt", "m.onnx", "m.tflite"])
def test_a_model_of_another_framework_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"\x08\x09xxTFL3")
    done = CliRunner().invoke(cli, [command, name])
    assert done.exit_code == 2
    assert f"Error: {name} " in done.output
    assert not list(tmp_path.glob("results/*"))
