"""TensorFlow is an extra: whatever needs it says so in one sentence, with the command that installs it."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coremlbench.cli.main import cli
from coremlbench.conversion.sources import random_weights_source
from coremlbench.conversion.tensorflow_sources import without_unopenable
from coremlbench.diagnostics.doctor import run_checks
from coremlbench.system import tensorflow_extra
from coremlbench.system.machine import describe_machine
from coremlbench.types.conversion import ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from docs.make_architecture import project_settings

MAC: dict[str, str] = {"sys_platform": "darwin", "python_version": "3.12", "platform_machine": "arm64"}
PACKAGE = ModelSource(name="ready", kind="file", format="mlpackage", path="/ready.mlpackage", sha256="0")


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TensorFlow cannot be found, and the extra is that of pyproject.toml, whatever was installed when.

    Returns the folder with the metadata of coremlbench.
    """
    folder = tmp_path_factory.mktemp("site-packages")
    write_metadata(folder, metadata_lines())
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    return folder


def write_metadata(folder: Path, requirements: list[str]) -> None:
    information = folder / "coremlbench-0.dist-info"
    information.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.4", "Name: coremlbench", "Version: 0", *(f"Requires-Dist: {r}" for r in requirements)]
    (information / "METADATA").write_text("\n".join(lines) + "\n")


def metadata_lines() -> list[str]:
    """Return the requirements as the metadata of an installed coremlbench has them."""
    project = project_settings()["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"]]
    for extra, requirements in extras.items():
        for requirement in requirements:
            name, _, marker = requirement.partition(";")
            both = f"({marker.strip()}) and extra == '{extra}'" if marker else f"extra == '{extra}'"
            lines.append(f"{name}; {both}")
    return lines


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["tensorflow==2.18.1", "tensorflow-metal==1.2.0", "tf_keras==2.18.*"]),
        ({"python_version": "3.13"}, ["tensorflow==2.21.*", "tf_keras==2.21.*"]),
        ({"platform_machine": "x86_64"}, ["tensorflow==2.16.2", "tf_keras==2.16.*"]),
        ({"platform_machine": "x86_64", "python_version": "3.13"}, []),
        ({"platform_machine": "x86_64", "sys_platform": "linux"}, ["tensorflow==2.21.*", "tf_keras==2.21.*"]),
    ],
)
def test_the_extra_is_that_of_the_system(changes: dict[str, str], expected: list[str]) -> None:
    assert tensorflow_extra.extra_requirements(metadata_lines(), {**MAC, **changes}) == expected


@pytest.mark.parametrize(
    ("python", "advice"),
    [
        ("3.12", " tensorflow-metal==1.2.0`"),
        ("3.13", "install coremlbench with Python 3.10 to 3.12, which tensorflow-metal needs"),
    ],
)
def test_the_gpu_of_a_mac_takes_a_package_or_another_python(python: str, advice: str) -> None:
    said = tensorflow_extra.metal_advice(metadata_lines(), {**MAC, "python_version": python})
    assert said.endswith(advice)


def test_no_tensorflow_for_a_python_is_said(installed: Path) -> None:
    write_metadata(installed, ["numpy"])
    assert "there is none for Python" in tensorflow_extra.missing_message("Training")
    assert "with Python 3.10 to 3.12" in tensorflow_extra.missing_message("Training")


@pytest.mark.parametrize(
    ("command", "start"),
    [
        (["train", "lenet", "--scale", "0.01"], "Training needs TensorFlow"),
        (["train", "--resume"], "Training needs TensorFlow"),
        (["convert", "--random-weights", "lenet"], "Opening lenet needs TensorFlow"),
        (["convert", "mine.keras"], "Opening mine needs TensorFlow"),
        (["convert-and-time", "--quick"], "Opening tinyvgg, efficientnetb0, lenet"),
        (["convert-and-time", "mine.keras", "--kit", "kit"], "Opening mine needs TensorFlow"),
    ],
    ids=" ".join,
)
def test_what_needs_tensorflow_says_so_and_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], start: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_keras_file(tmp_path / "mine.keras")
    ended = CliRunner().invoke(cli, command, prog_name="coremlbench")
    assert ended.exit_code == 2, ended.output
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("warning: ", "estimate: "))]
    (sentence,) = lines
    assert sentence.startswith(f"Error: {start}")
    assert "is not installed here; install it with `" in sentence
    assert f"{sys.executable} -m " in sentence
    assert not list(tmp_path.glob("results/*/run.json")), "nothing was measured"


def write_keras_file(path: Path) -> None:
    """Write what is a Keras file to the checks that do without Keras."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": []}}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.12.0"}))
        archive.writestr("model.weights.h5", b"")


def test_among_several_models_only_those_of_tensorflow_fail() -> None:
    lenet: Any = random_weights_source("lenet", 0)
    kept, failed = without_unopenable([PACKAGE, lenet])
    assert kept is PACKAGE
    assert isinstance(failed, UnopenedModel)
    assert failed.failure.reason.startswith("Opening lenet needs TensorFlow")
    with pytest.raises(InputError, match="Opening lenet needs"):
        without_unopenable([lenet])


def test_the_doctor_says_what_it_is_needed_for(tmp_path: Path) -> None:
    checks = {check.name: check for check in run_checks(tmp_path, tmp_path, describe_machine())}
    assert checks["TensorFlow"].state == "no"
    assert "only training, Keras models and SavedModels need it" in checks["TensorFlow"].found
    assert "pip install" in checks["TensorFlow"].advice
    assert "device to train on" not in checks


def test_with_tensorflow_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow")
    tensorflow_extra.require_tensorflow("Training")
    lenet = random_weights_source("lenet", 0)
    assert without_unopenable([lenet]) == (lenet,)
