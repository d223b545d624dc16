"""Compiled models that macOS 27 runs on the CPU alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.timing import large_models
from coremlbench.timing.large_models import large_model_note
from coremlbench.timing.matrix import time_models
from tests.simulated_mac import SimulatedMac
from tests.timed_packages import TINY, behave, plain_package, quick_machine, quiet, timing_input_of


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
    record, _ = time_models(
        timing_input_of([plain_package(tmp_path, "one")]),
        replace(TINY, rounds=1),
        results=tmp_path / "results",
        command=["coremlbench", "convert-and-time"],
        on_progress=quiet,
        capabilities=quick_machine(
            behave(tmp_path), {"coreml": ("CPU_ONLY", "CPU_AND_NE"), "reference": ("host-cpu",)}
        ),
    )
    noted = [row.unit for row in record.measurements if any("wholly on the CPU" in note for note in row.notes)]
    assert noted == ["CPU_AND_NE"]
