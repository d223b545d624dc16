"""What options are turned into before a command sees them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from coremlbench.cli.commands.createml import createml
from coremlbench.cli.commands.parameters import LIMITS, ComputeUnits, DatasetName
from coremlbench.cli.commands.train import train


def test_a_folder_of_pictures_is_known_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pets").mkdir()
    (tmp_path / "drawn-food").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ("pets", "~/pets", str(tmp_path / "pets"), "drawn-food", "nowhere", "")
    full = str(tmp_path / "pets")
    assert [DatasetName().convert(word, None, None) for word in words] == [
        full,
        full,
        full,
        "drawn-food",
        "nowhere",
        "",
    ]


def test_both_trainings_take_the_same_options_for_their_runs() -> None:
    shared = {"memory_limit", "timeout", "silence", "resume", "retries", "results", "as_json"}
    options = [
        {parameter.name: parameter.opts for parameter in command.params if parameter.name in shared}
        for command in (createml, train)
    ]
    assert set(options[0]) == shared
    assert options[0] == options[1]
    assert shared > LIMITS


def test_compute_units_have_short_names_and_those_of_records() -> None:
    words = ("cpu", "GPU", "ne", "all", "CPU_AND_NE", "cpu_only")
    names = [ComputeUnits().convert(word, None, None) for word in words]
    assert names == ["CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL", "CPU_AND_NE", "CPU_ONLY"]
    with pytest.raises(click.BadParameter, match="'host-cpu' are no compute units; choose from cpu, gpu, ne, all"):
        ComputeUnits().convert("host-cpu", None, None)
    completions = ComputeUnits().shell_complete(click.Context(createml), createml.params[0], "c")
    assert [item.value for item in completions] == ["cpu"]
