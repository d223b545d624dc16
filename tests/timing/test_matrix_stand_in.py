"""A matrix through all of coremltools' Python code, with a stand-in that fails as Core ML has been seen to fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.timing.matrix import time_models
from coremlbench.timing.plan import TimingOptions
from coremlbench.timing.rounds import SILENCE
from coremlbench.timing.statistics import ratio_of_rounds
from coremlbench.types.timing import Measurement, Timed, TimingRecord
from tests.coreml_stand_in import Behaviour, Failing
from tests.timed_packages import TINY, UNITS, make_package, quiet, stand_in, timing_input_of

COMMAND = ["coremlbench", "convert-and-time"]


def timed(folder: Path, options: TimingOptions, behaviour: Behaviour, *names: str, units: Any = UNITS) -> TimingRecord:
    timing_input = timing_input_of([make_package(folder, name) for name in names])
    machine = stand_in(folder, behaviour, units)
    record, _ = time_models(
        timing_input, options, results=folder / "results", command=COMMAND, on_progress=quiet, capabilities=machine
    )
    return record


def row_of(record: TimingRecord, unit: str, model: str = "small") -> Measurement:
    (row,) = [
        measurement for measurement in record.measurements if (measurement.model, measurement.unit) == (model, unit)
    ]
    return row


def test_all_that_loads_a_model_is_given_the_time_of_a_first_load() -> None:
    """A plan is made for the Neural Engine too, and before the first load."""
    assert SILENCE["plan"] == SILENCE["timing"] == SILENCE["compile"]


@pytest.mark.tensorflow
def test_each_misbehaviour_of_core_ml_is_a_cells_own(tmp_path: Path) -> None:
    behaviour = Behaviour(
        seconds={"CPU": 0.001},
        first_load_seconds={"CPU_ONLY": 0.5},
        played_time=True,
        fallback=("CPU_AND_GPU",),
        failing=(
            Failing("plan", "SIGABRT", "CPU_ONLY"),
            Failing("predict", "SIGKILL", "CPU_AND_NE"),
            Failing("load", "raise", "ALL"),
        ),
    )
    record = timed(tmp_path, replace(TINY, rounds=1), behaviour, "small", units={"coreml": UNITS["coreml"]})
    assert record.outcome == Timed(cells=2, failed=2)
    assert all(row.stand_in for row in record.measurements), "also those that gave no figure"

    cpu = row_of(record, "CPU_ONLY")
    assert cpu.plan is not None
    assert cpu.plan.failure.startswith("Core ML gave no plan: ")
    assert (cpu.failure, cpu.ran_on) == (None, "CPU")
    assert (cpu.rounds[0].p50 or 0) >= 0.001
    assert cpu.rounds[0].first_load_seconds == pytest.approx(0.5, abs=1e-3)
    assert cpu.rounds[0].second_load_seconds == pytest.approx(0, abs=1e-3)
    assert cpu.rounds[0].own_p50 is not None
    assert row_of(record, "CPU_AND_GPU").ran_on == "asked for the GPU, planned on CPU"

    killed, refused = row_of(record, "CPU_AND_NE"), row_of(record, "ALL")
    assert killed.failure is not None
    assert (killed.failure.kind, killed.failure.evidence.phase) == ("killed", "first predict")
    assert killed.ran_on == "Neural Engine", "the plan is what Core ML meant to do"
    assert refused.failure is not None
    assert refused.failure.kind.startswith("coreml")


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_whole_matrix_with_hangs_drift_and_a_known_ratio(tmp_path: Path) -> None:
    behaviour = Behaviour(
        seconds={"CPU": 0.008, "GPU": 0.004, "NE": 0.002},
        jitter=0.05,
        drift=0.5,
        first_load_seconds={"CPU_AND_NE": 0.5},
        played_time=True,
        failing=(
            Failing("predict", "hang", "CPU_AND_NE", model="wild"),
            Failing("load", "SIGSEGV", "CPU_AND_GPU", model="wild"),
            Failing("compile", "SIGKILL", model="lost"),
        ),
    )
    options = replace(TINY, rounds=5, calls=100, silence=8)
    record = timed(tmp_path, options, behaviour, "calm", "wild", "lost")
    kinds = {(row.model, row.unit): row.failure.kind for row in record.measurements if row.failure is not None}
    wild = {("wild", "CPU_AND_NE"): "hang", ("wild", "CPU_AND_GPU"): "coreml-crash"}
    assert kinds == wild | {("lost", unit): "killed" for unit in UNITS["coreml"]}
    assert record.outcome == Timed(cells=9, failed=6)
    assert {row.stand_in for row in record.measurements if row.runtime == "coreml"} == {True}
    assert len(set(record.orders)) == 5
    neural_engine, gpu = row_of(record, "CPU_AND_NE", "calm"), row_of(record, "CPU_AND_GPU", "calm")
    ratio = ratio_of_rounds(neural_engine.rounds, gpu.rounds)
    assert ratio is not None
    assert ratio.different
    assert 0.4 < ratio.ratio < 0.7
    assert all((timed_round.drift or 0) > 0 for timed_round in neural_engine.rounds)
