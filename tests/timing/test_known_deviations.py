"""Measurements of packages with an op that Core ML is known to compute otherwise on some unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.cli.terminal.timing import print_timing
from coremlbench.conversion.known_deviations import BY_NAME
from coremlbench.report.warnings import warning_rows
from coremlbench.runs import store
from coremlbench.timing.kit import read_kit, write_kit
from coremlbench.timing.matrix import time_models
from coremlbench.timing.plan import TimingInput
from coremlbench.types.timing import TimingRecord
from tests.timed_packages import TINY, behave, plain_package, quick_machine, quiet, timing_input_of

NOTE = f"one fp16: {BY_NAME['softplus-float16'].caveat.text}"


def packages(folder: Path, *names: str) -> TimingInput:
    """Return two packages; of the first these deviations are known."""
    timing_input = timing_input_of([plain_package(folder, name) for name in ("one", "two")])
    first, second = timing_input.packages
    variant = replace(first.variant, known_deviations=names)
    models = (replace(timing_input.models[0], variants=(variant,)), timing_input.models[1])
    return replace(timing_input, models=models, packages=(replace(first, variant=variant), second))


def timed(folder: Path, timing_input: TimingInput) -> tuple[TimingRecord, Path]:
    return time_models(
        timing_input,
        replace(TINY, rounds=1),
        results=folder / "results",
        command=["coremlbench", "convert-and-time"],
        on_progress=quiet,
        capabilities=quick_machine(behave(folder)),
    )


def test_cells_on_a_unit_that_may_deviate_have_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, folder = timed(tmp_path, packages(tmp_path, "softplus-float16"))
    noted = [(row.model, row.unit) for row in record.measurements if NOTE in row.notes]
    assert noted == [("one", "CPU_AND_NE"), ("one", "ALL")]
    assert store.load(folder) == record
    assert [row.text for row in warning_rows([record])].count(NOTE) == 1
    print_timing(record, folder)
    assert capsys.readouterr().out.replace("\n", " ").count(f"note: {NOTE}") == 1


def test_a_name_of_a_later_release_is_no_note(tmp_path: Path) -> None:
    record, _ = timed(tmp_path, packages(tmp_path, "of-a-later-release"))
    assert not [note for row in record.measurements for note in row.notes if "known to deviate" in note]


def test_a_kit_carries_them_to_the_other_machine(tmp_path: Path) -> None:
    source = packages(tmp_path, "softplus-float16")
    for name in ("inputs", "expected"):
        (tmp_path / f"{name}.npz").write_bytes(b"numbers")
    files: dict[str, Any] = {"inputs": tmp_path / "inputs.npz", "expected": tmp_path / "expected.npz"}
    ready = replace(source, packages=tuple(replace(package, **files) for package in source.packages))
    write_kit(ready, TINY, tmp_path / "kit")
    kit = read_kit(tmp_path / "kit")
    assert [package.variant.known_deviations for package in kit.timing_input.packages] == [("softplus-float16",), ()]
