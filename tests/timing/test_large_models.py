"""Compiled models that macOS 27 runs on the CPU alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coremlbench.timing import large_models
from coremlbench.timing.large_models import large_model_note
from tests.simulated_mac import SimulatedMac
from tests.timed_packages import behave, quick_machine, time_one_round


@pytest.mark.parametrize(
    ("size", "version", "noted"),
    [
        ((1 << 30) + 1, (27, 0, 1), True),
        ((1 << 30) + 1, (28,), True),
        (1 << 30, (27, 0), False),
        (5 << 30, (26, 4), False),
        (5 << 30, (), False),
    ],
)
def test_the_limit_is_that_of_macos_27(size: int, version: tuple[int, ...], noted: bool) -> None:
    assert bool(large_model_note(size, version)) == noted


def test_the_note_stands_beside_the_cells_that_it_is_about(
    simulated_mac: Callable[..., SimulatedMac], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated_mac(version="27.0.1")
    monkeypatch.setattr(large_models, "CPU_ONLY_BYTES", 2)  # the quick workers' compiled model has three bytes
    units = {"coreml": ("CPU_ONLY", "CPU_AND_NE"), "reference": ("host-cpu",)}
    record = time_one_round(tmp_path, quick_machine(behave(tmp_path), units))
    noted = [row.unit for row in record.measurements if any("wholly on the CPU" in note for note in row.notes)]
    assert noted == ["CPU_AND_NE"]
