"""The command on a Mac that is simulated: captured texts of its tools, and the stand-in for Core ML."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from coremlbench.cli.main import cli
from coremlbench.timing import available_units
from coremlbench.timing.available_units import detect_units
from coremlbench.timing.matrix import time_models
from tests.simulated_mac import ON_BATTERY, SimulatedMac
from tests.timed_packages import TINY, make_package, quiet, stand_in_workers, timing_input_of

TIMED = ("--from-kit", "kit", "--units", "CPU_ONLY,CPU_AND_NE", "--rounds=1", "--calls=5", "--seconds=0.01")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit of one tiny package, with the inputs that this machine made for it."""
    folder = tmp_path_factory.mktemp("kit")
    time_models(
        timing_input_of([make_package(folder, "small")]),
        replace(TINY, rounds=1),
        results=folder / "results",
        command=["coremlbench", "convert-and-time"],
        on_progress=quiet,
        capabilities=replace(detect_units(), units={"reference": ("host-cpu",)}),
        kit=folder / "kit",
    )
    return folder / "kit"


@pytest.mark.tensorflow
def test_warnings_come_before_the_work_and_conditions_with_the_figures(
    kit: Path, simulated_mac: Callable[..., SimulatedMac], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated_mac(
        sysctl={"kern.memorystatus_vm_pressure_level": "2"},
        outputs={"pmset -g batt": ON_BATTERY, "pmset -g": " lowpowermode         1\n"},
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kit").symlink_to(kit)
    workers = stand_in_workers(tmp_path)
    monkeypatch.setattr(available_units, "detect_units", lambda: detect_units(workers))
    done = CliRunner().invoke(cli, ["convert-and-time", *TIMED], prog_name="coremlbench", env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    before, _, after = done.output.partition("small fp16, Core ML on CPU: ")
    for sentence in (
        "warning: The machine runs on battery, which may make it slower: plug it in.",
        "warning: Low power mode is on: turn it off in System Settings, under Battery or Energy.",
        "warning: Memory is short (macOS calls the pressure on it warning): quit other programs.",
    ):
        assert sentence in before
    assert "conditions before: on battery, low power mode, " in after
    assert "note: The machine ran on battery." in " ".join(after.split())
    (record,) = [json.loads(file.read_text()) for file in tmp_path.glob("results/*/run.json")]
    assert (record["machine"]["model"], record["machine"]["system_version"]) == ("Mac14,2", "26.1 (25B78)")
    for name in ("conditions_before", "conditions_after"):
        assert record[name]["power_mode"] == "low"
        assert record[name]["memory_pressure"] == "warning"


def test_errors_come_after_the_warnings(
    simulated_mac: Callable[..., SimulatedMac], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated_mac(architecture="x86_64", version="26.4")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["convert-and-time", "--resume"])
    assert done.exit_code == 2
    assert done.stderr.startswith("warning: ")
    assert (
        "warning: This Python runs under Rosetta: install a native arm64 one. macOS 27 is the last with the whole of "
        "Rosetta, and macOS warns of it.\n"
    ) in done.stderr
