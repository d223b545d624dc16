"""Estimates follow the machine's own past runs, phase by phase, and a probe where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.runs import store
from coremlbench.runs.estimates import (
    CREATE_ML,
    REFERENCE_GIGAFLOPS,
    comparable_trainings,
    estimate_matrix,
    estimate_training,
    past_runs,
    tensorflow_costs,
)
from coremlbench.runs.speed_probe import MAX_AGE, note_probe, probe, probes_before
from coremlbench.types.training_records import Phase, TrainingRecord
from tests import record_samples as samples

FULL = {"data": 0, "extract": 88_375, "train": 85_500, "export": 2_500}
TENTH = {"data": 0, "extract": 8_843, "train": 8_556, "export": 250}


def past(number: int, expected: dict[str, int], factor: float) -> TrainingRecord:
    """A finished Create ML run of a machine that is slower than the reference by a factor."""
    names = ("setup", "extract", "train", "evaluate", "export")
    phases = tuple(
        Phase(name, factor * CREATE_ML[name].seconds(expected.get(name, 0)), expected.get(name, 0)) for name in names
    )
    return replace(samples.training(number, "createml"), phases=(Phase("data", 900.0, 10_000), *phases))


def cost(expected: dict[str, int]) -> float:
    return sum(CREATE_ML[name].seconds(expected.get(name, 0)) for name in CREATE_ML)


@pytest.mark.parametrize("factor", [0.3, 1.0, 6.0])
@pytest.mark.parametrize(("done", "asked"), [(FULL, TENTH), (TENTH, FULL), (FULL, FULL)])
def test_a_run_of_another_size_tells_the_time(factor: float, done: dict[str, int], asked: dict[str, int]) -> None:
    estimate = estimate_training(asked, CREATE_ML, [past(1, done, factor)])
    assert estimate is not None
    assert estimate.runs == 1
    assert estimate.seconds == pytest.approx(factor * cost(asked), rel=0.02)


def test_the_nearest_runs_count_and_of_equal_ones_the_newest() -> None:
    history = [past(number, FULL, 9.0) for number in range(3)]
    history += [past(number, TENTH, 1.0 + number / 10) for number in range(10, 14)]
    estimate = estimate_training(TENTH, CREATE_ML, history)
    assert estimate is not None
    assert estimate.seconds == pytest.approx(2.2 * cost(TENTH), rel=0.05)  # of 2.1, 2.2 and 2.3
    assert estimate.runs == 3


def test_one_slow_run_of_three_does_not_decide() -> None:
    history = [past(1, FULL, 1.0), past(2, FULL, 30.0), past(3, FULL, 1.1)]
    estimate = estimate_training(FULL, CREATE_ML, history)
    assert estimate is not None
    assert estimate.seconds == pytest.approx(1.1 * cost(FULL), rel=0.05)


def test_without_runs_the_probe_decides_and_without_both_nothing() -> None:
    fast = estimate_training(FULL, CREATE_ML, [], REFERENCE_GIGAFLOPS)
    slow = estimate_training(FULL, CREATE_ML, [], REFERENCE_GIGAFLOPS / 10)
    assert fast is not None
    assert slow is not None
    assert fast.seconds == pytest.approx(cost(FULL))
    assert 5 < slow.seconds / fast.seconds < 10
    assert "a short probe" in slow.sentence
    assert estimate_training(FULL, CREATE_ML, []) is None


def test_more_work_takes_longer_and_epochs_count() -> None:
    costs = tensorflow_costs("tinyvgg")
    one, five = (estimate_training({"train": 7500 * epochs, "evaluate": 2500}, costs, [], 50.0) for epochs in (1, 5))
    assert one is not None
    assert five is not None
    assert 3 < five.seconds / one.seconds < 5


@pytest.mark.parametrize(
    ("seconds", "begins"),
    [(12.0, "about 10 s, by"), (94.0, "about 95 s, by"), (430.0, "about 7 min, by"), (9000.0, "about 2 h 30 min, by")],
)
def test_the_sentence_rounds(seconds: float, begins: str) -> None:
    expected = estimate_training(FULL, CREATE_ML, [past(1, FULL, 1.0), past(2, FULL, 1.0)])
    assert expected is not None
    sentence = replace(expected, seconds=seconds).sentence
    assert sentence.startswith(f"{begins} 2 earlier runs of this machine; ")


def test_a_matrix_is_its_conversions_and_processes() -> None:
    converted, timed = samples.conversion(60), samples.timing(73, samples.BOX)
    estimate = estimate_matrix({"efficientnetb0": 2, "own": 2}, 6, 5, 6.0, [converted, timed])
    assert estimate is not None
    overheads = [
        each.seconds - each.warmup_seconds - each.calls * (each.mean or 0.0)
        for cell in timed.measurements
        for each in cell.rounds
    ]
    per_package = converted.seconds / 4
    low, high = (4 * per_package + 30 * (6.0 + bound) for bound in (min(overheads), max(overheads)))
    assert low <= estimate.seconds <= high
    assert estimate_matrix({"own": 1}, 2, 5, 6.0, []) is None
    assert estimate_matrix({"own": 1}, 2, 5, 6.0, [], 60.0) is not None


def test_past_runs_are_this_machines_whole_finished_ones(tmp_path: Path) -> None:
    records = (
        samples.training(1, "lenet"),
        samples.training(2, "lenet", samples.AIR),
        samples.training(3, "lenet", failure=samples.OUT_OF_MEMORY),
        samples.training(4, "tinyvgg"),
        replace(samples.training(5, "lenet"), resumed_from="x"),
        replace(samples.training(6, "lenet"), options={"batch": 7}),
    )
    for record in records:
        (tmp_path / record.id).mkdir()
        store.save(record, tmp_path / record.id)
    runs = past_runs(tmp_path, TrainingRecord, samples.BOX.id, ("lenet",))
    assert [record.id for record in runs] == [records[index].id for index in (0, 4, 5)]
    assert [record.id for record in comparable_trainings(runs, {"batch": 7})] == [records[5].id]
    assert [record.id for record in comparable_trainings(runs, {"batch": 8})] == [records[0].id, records[5].id]
    assert past_runs(tmp_path / "absent", TrainingRecord, samples.BOX.id) == []


def test_the_probe_measures_something() -> None:
    assert 0.01 < probe() < 1e6


def test_a_run_on_a_busier_machine_is_related_to_now() -> None:
    busy = past(1, FULL, 6.0)
    for gigaflops in (20.0, 120.0):
        estimate = estimate_training(FULL, CREATE_ML, [busy], gigaflops, {busy.id: 20.0})
        assert estimate is not None
        extraction = 6.0 * CREATE_ML["extract"].seconds(88_375) * 20.0 / gigaflops
        rest = cost(FULL) - CREATE_ML["extract"].seconds(88_375)
        assert extraction + rest <= estimate.seconds <= extraction + 6.0 * rest * 1.001
    plain = estimate_training(FULL, CREATE_ML, [busy], 120.0, {})
    assert plain is not None
    assert plain.seconds == pytest.approx(6.0 * cost(FULL), rel=0.02)


def test_probes_are_noted_and_found_by_the_start_of_runs(tmp_path: Path) -> None:
    file = tmp_path / "cache/probes.json"
    record = replace(samples.training(1), started="2026-01-01T00:10:00+00:00")
    start = 1767226200.0
    assert probes_before(file, [record]) == {}
    for seconds, gigaflops in ((-MAX_AGE - 1, 1.0), (-20.0, 2.0), (-3.0, 3.0), (5.0, 4.0)):
        note_probe(file, gigaflops, start + seconds)
    assert probes_before(file, [record, replace(record, id="later", started="2026-01-02T00:00:00+00:00")]) == {
        record.id: 3.0
    }
    file.write_text("[[1")
    assert probes_before(file, [record, replace(record, started="never")]) == {}
    note_probe(tmp_path / "cache/probes.json/x", 1.0, start)  # cannot be written
