"""The native runner in a matrix: the real program and supervision, with a stand-in for Core ML."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.cli.main import cli
from coremlbench.system import serialization
from coremlbench.timing.matrix import time_models
from coremlbench.timing.native_inputs import write_raw_inputs
from coremlbench.timing.native_program import COMPILER_VARIABLE, ensure_native_runner
from coremlbench.timing.plan import TimingOptions
from coremlbench.timing.statistics import summarise
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Measurement, Timed, TimingRecord
from tests.simulated_mac import SimulatedMac
from tests.timed_packages import TINY, quick_machine, quiet
from tests.timing.native_stand_in import BEHAVIOUR, ONLY, native_input, save_arrays

NATIVE = replace(TINY, runner="native", calls=20)
UNITS = {"coreml": ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")}


def timed(folder: Path, options: TimingOptions = NATIVE, units: Any = UNITS, **changes: Any) -> TimingRecord:
    record, run = time_models(
        native_input(folder / "models", "small", **changes),
        options,
        results=folder / "results",
        command=["coremlbench", "convert-and-time"],
        on_progress=quiet,
        capabilities=quick_machine(folder / "behaviour.json", units),
    )
    assert run.parent == folder / "results"
    return record


def row_of(record: TimingRecord, unit: str) -> Measurement:
    (row,) = [row for row in record.measurements if row.unit == unit]
    return row


@pytest.mark.tensorflow
@pytest.mark.usefixtures("native_runner")
def test_a_matrix_of_the_native_runner(tmp_path: Path) -> None:
    record = timed(tmp_path)
    assert record.outcome == Timed(cells=4, failed=0)
    for row in record.measurements:
        assert (row.runner, row.stand_in) == ("native", True)
        assert row.output_error == pytest.approx(0, abs=1e-7)
        assert "native runner" in row.runtime_version
        assert [timed.round for timed in row.rounds] == [0, 1]
        (folder,) = (tmp_path / "results").iterdir()
        for number, timed_round in enumerate(row.rounds):
            with np.load(folder / timed_round.samples) as stored:
                wall = stored["wall"]
            assert len(wall) == timed_round.calls >= 20
            assert timed_round.p50 == summarise(wall).p50
            assert wall.min() >= 200e-6, "each call took the time of the model"
            assert timed_round.first_load_seconds
            assert (timed_round.compile_seconds is not None) == (number == 0)
    assert row_of(record, "CPU_ONLY").plan is not None
    assert row_of(record, "CPU_AND_NE").ran_on == "Neural Engine"
    assert row_of(record, "CPU_AND_GPU").ran_on == "asked for the GPU, planned on CPU"
    assert serialization.from_json(TimingRecord, serialization.to_json(record)) == record


@pytest.mark.tensorflow
@pytest.mark.usefixtures("native_runner")
@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ("fail-load", "model-load", "could not load '000-small.mlmodelc' for ALL: The stub says: failed-load."),
        ("fail", "coreml-prediction", "could not predict on ALL: The stub says: failed."),
        ("crash", "aborted", "SIGABRT"),
        ("wrong", None, ""),
    ],
)
def test_each_misbehaviour_of_core_ml_is_a_cells_own(
    behaviour: str, kind: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BEHAVIOUR, behaviour)
    monkeypatch.setenv(ONLY, "_ALL")
    record = timed(tmp_path, replace(NATIVE, rounds=1), {"coreml": ("CPU_ONLY", "ALL")})
    assert row_of(record, "CPU_ONLY").failure is None
    row = row_of(record, "ALL")
    if kind is None:
        assert row.failure is None
        assert row.output_error is not None
        assert row.output_error > 0.01
        return
    assert row.failure is not None
    assert words in row.failure.reason + row.failure.evidence.exception + row.failure.evidence.signal
    assert row.failure.kind == kind


@pytest.mark.tensorflow
@pytest.mark.usefixtures("native_runner")
def test_a_hang_ends_at_the_limit_of_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BEHAVIOUR, "hang")
    record = timed(tmp_path, replace(NATIVE, rounds=1, silence=1.5), {"coreml": ("ALL",)})
    assert record.measurements[0].failure is not None
    assert record.measurements[0].failure.kind == "hang"


@pytest.mark.tensorflow
@pytest.mark.usefixtures("native_runner")
def test_a_machine_without_a_neural_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BEHAVIOUR, "no-engine")
    record = timed(tmp_path, replace(NATIVE, rounds=1), {"coreml": ("CPU_ONLY", "CPU_AND_NE")})
    assert row_of(record, "CPU_ONLY").failure is None
    failure = row_of(record, "CPU_AND_NE").failure
    assert failure is not None
    assert "lists no Neural Engine" in failure.reason


@pytest.mark.tensorflow
@pytest.mark.usefixtures("native_runner")
def test_a_sustained_run(tmp_path: Path) -> None:
    options = replace(NATIVE, rounds=1, sustain=1.2)
    row = timed(tmp_path, options, {"coreml": ("ALL",)}).measurements[0]
    assert row.sustained[-1].seconds >= 1.2
    assert all(point.p95 >= point.p50 >= 200e-6 for point in row.sustained)
    assert row.sustained[0].thermal_state == "nominal"


def test_raw_inputs_have_the_types_that_core_ml_takes(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "image": np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3),
        "half": np.ones((2, 4), np.float16),
        "long": np.array([[1], [-2]], np.int64),
        "scalar": np.array([1.5, 2.5]),
    }
    save_arrays(tmp_path / "inputs.npz", arrays)
    entries, samples = write_raw_inputs(tmp_path / "inputs.npz", tmp_path, "one")
    assert samples == 2
    assert [(entry["kind"], entry["dtype"], entry["shape"]) for entry in entries] == [
        ("image", "uint8", [2, 3, 3]),
        ("array", "float16", [4]),
        ("array", "int32", [1]),
        ("array", "float64", [1]),
    ]
    for entry in entries:
        stored = np.frombuffer((tmp_path / entry["file"]).read_bytes(), entry["dtype"])
        assert np.array_equal(stored, arrays[entry["name"]].ravel())


@pytest.mark.parametrize(
    "values",
    [np.array([[1 << 40]]), np.array([["text"]]), np.ones((1, 2), np.complex64)],
    ids=["long", "text", "complex"],
)
def test_an_input_that_core_ml_does_not_take_is_one_sentence(values: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", x=values)
    with pytest.raises(InputError, match=r"^The input 'x' .*does not take\.$"):
        write_raw_inputs(tmp_path / "inputs.npz", tmp_path, "one")


def test_without_macos_there_is_no_native_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    ended = CliRunner().invoke(cli, ["convert-and-time", "lenet", "--runner", "native"])
    assert ended.exit_code == 2
    assert "needs Core ML, which is part of macOS, and this is Linux; leave out --runner native" in ended.output
    assert "`coremlbench convert-and-time --kit kit --native`" in ended.output


def test_a_mac_without_a_compiler_is_told_what_to_install(
    simulated_mac: Callable[..., SimulatedMac], monkeypatch: pytest.MonkeyPatch
) -> None:
    mac = simulated_mac()
    (mac.folder / "xcrun").unlink()
    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(mac.folder))
    with pytest.raises(
        InputError, match=r"^The native runner needs a Swift compiler \(.*xcrun\); .*`xcode-select --install`"
    ):
        ensure_native_runner()


def test_records_without_a_runner_are_of_python() -> None:
    cell = {"model": "a", "variant": "fp16", "batch": 1, "runtime": "coreml", "unit": "ALL"}
    assert serialization.from_json(Measurement, json.loads(json.dumps(cell))).runner == "python"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet", "--native"], "--native is for a kit without Python; name its folder with --kit."),
        (["lenet", "--collect", "results"], "--collect records what was measured; give no models"),
        (["--collect", "results", "--rounds", "2"], "--collect records what was measured; give no models"),
        (["--collect", "results"], "There are no results at results; give the results-….tar.gz"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(cli, ["convert-and-time", *arguments])
    assert ended.exit_code == 2
    assert message in ended.output
