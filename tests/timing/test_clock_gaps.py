"""Rounds within which the machine slept, or its clock was set: they are repeated, and no figure is from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.cli.terminal.timing import round_line
from coremlbench.report.warnings import warning_rows
from coremlbench.system.clocks import ClockReading, clock_gap, read_clocks
from coremlbench.timing.matrix import time_models
from coremlbench.timing.plan import TimingOptions
from coremlbench.timing.records import total_seconds
from coremlbench.types.failure import Failure
from coremlbench.types.timing import Measurement, Round, TimingRecord
from tests.timed_packages import TINY, behave, plain_package, quick_machine, quiet, timing_input_of

HOST = {"reference": ("host-cpu",)}


class SleepyClocks:
    """Clocks of a machine that sleeps between some of their readings, given by their numbers from 0."""

    def __init__(self, asleep: dict[int, float]) -> None:
        self.asleep, self.readings, self.offset = asleep, 0, 0.0

    def __call__(self) -> ClockReading:
        self.offset += self.asleep.get(self.readings, 0.0)
        self.readings += 1
        now = read_clocks()
        return ClockReading(now.wall + self.offset, now.monotonic)


def timed(
    folder: Path, clocks: Callable[[], ClockReading], options: TimingOptions = TINY
) -> tuple[TimingRecord, list[tuple[Measurement, Round]]]:
    """Return a matrix of one cell and two rounds, whose clocks are read twice in each attempt at a round."""
    seen: list[tuple[Measurement, Round]] = []
    record, _ = time_models(
        timing_input_of([plain_package(folder, "one")]),
        options,
        results=folder / "results",
        command=["coremlbench", "convert-and-time"],
        on_progress=quiet,
        on_round=lambda row, timed_round: seen.append((row, timed_round)),
        capabilities=replace(quick_machine(behave(folder), HOST), read_clocks=clocks),
    )
    return record, seen


def texts(record: TimingRecord) -> str:
    return "\n".join(row.text for row in warning_rows([record]))


def test_a_round_with_sleep_in_it_is_marked_and_repeated(tmp_path: Path) -> None:
    record, seen = timed(tmp_path, SleepyClocks({1: 812.0}))
    (row,) = record.measurements
    assert [timed_round.round for timed_round in row.rounds] == [0, 1]
    assert {timed_round.clock_gap_seconds for timed_round in row.rounds} == {0.0}
    (slept,) = row.repeated
    assert slept.round == 0
    assert slept.clock_gap_seconds == pytest.approx(812, abs=0.5)
    assert slept.p50 is not None
    assert slept.samples == ""
    assert row.failure is None
    assert total_seconds(record) == sum(timed_round.seconds for timed_round in (*row.rounds, slept))
    assert (
        "Rounds were repeated (1): the machine slept within them, or its clock was set, by 13 min 32 s at most."
        in texts(record)
    )
    assert "to be repeated, the wall clock went 13 min 32 s forward against the monotonic clock" in round_line(*seen[0])
    assert "p95" in round_line(*seen[1])


def test_a_round_that_a_set_clock_spoils_each_time_fails(tmp_path: Path) -> None:
    record, _ = timed(tmp_path, SleepyClocks({1: -60.0, 3: 5.0, 5: 7.0}))
    (row,) = record.measurements
    failed, good = row.rounds
    assert failed.failure is not None
    assert failed.failure.kind == "clock-gap"
    assert "the wall clock went 7.00 s forward" in failed.failure.reason
    assert [round(timed_round.clock_gap_seconds) for timed_round in row.repeated] == [-60, 5, 7]
    assert (good.failure, good.clock_gap_seconds) == (None, 0.0)


def test_clocks_that_agree_repeat_nothing(tmp_path: Path) -> None:
    record, seen = timed(tmp_path, read_clocks)
    (row,) = record.measurements
    assert (len(row.rounds), row.repeated, len(seen)) == (2, (), 2)
    assert "repeated" not in texts(record)


def test_a_sustained_run_with_sleep_in_it_gives_no_points(tmp_path: Path) -> None:
    record, _ = timed(tmp_path, SleepyClocks({3: 30.0}), replace(TINY, rounds=1, sustain=1.0))
    (row,) = record.measurements
    assert row.sustained == ()
    assert any("The sustained run failed: The machine slept, or its clock was set" in note for note in row.notes)


@pytest.mark.parametrize(
    ("wall", "monotonic", "gap"),
    [(5.0, 5.0, 0.0), (5.4, 5.0, 0.0), (6.0, 5.0, 1.0), (-60.0, 5.0, -65.0), (3603.0, 3600.0, 0.0)],
)
def test_a_clock_that_is_only_corrected_is_no_gap(wall: float, monotonic: float, gap: float) -> None:
    assert clock_gap(ClockReading(100.0, 7.0), ClockReading(100.0 + wall, 7.0 + monotonic)) == pytest.approx(gap)


def test_the_failure_says_what_to_do(tmp_path: Path) -> None:
    record, _ = timed(tmp_path, SleepyClocks(dict.fromkeys((1, 3, 5), 60.0)), replace(TINY, rounds=1))
    (row,) = record.measurements
    assert isinstance(row.failure, Failure)
    assert row.failure.hint == "Keep the machine awake, its lid open and on mains, then run it again."
