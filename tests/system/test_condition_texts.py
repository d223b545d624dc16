"""Conditions in words, before a run and in its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.report.warnings import warning_rows
from coremlbench.system.condition_texts import condition_problems, describe_conditions, start_problems
from coremlbench.types.conditions import Conditions
from coremlbench.types.timing import TimingRecord
from tests.timed_packages import behave, quick_machine, time_one_round

GOOD = Conditions(
    thermal_state="nominal",
    power_source="AC",
    low_power_mode=False,
    power_mode="automatic",
    load_average=0.4,
    free_memory_bytes=8 << 30,
    memory_pressure="normal",
    swap_used_bytes=1 << 20,
    nice=0,
    gpu_use_percent=3,
    display_asleep=False,
    lid_closed=False,
)


def test_all_that_is_known_is_in_one_line() -> None:
    assert describe_conditions(GOOD) == (
        "AC power, automatic power mode, thermal state nominal, load 0.4, GPU in use 3%, 8.00 GiB of memory free, "
        "memory pressure normal, 1.0 MiB swapped out, nice 0"
    )
    assert describe_conditions(Conditions()) == ""
    linux = Conditions(load_average=1.0, memory_stall_percent=0.0, nice=5, cpu_governor="powersave")
    assert describe_conditions(linux) == "governor powersave, load 1.0, waiting for memory 0%, nice 5"
    assert describe_conditions(replace(GOOD, power_source="battery", display_asleep=True, lid_closed=True)).endswith(
        "nice 0, display off, lid closed"
    )


def test_good_and_unknown_conditions_have_no_problems() -> None:
    assert start_problems(GOOD, 8) == ()
    assert start_problems(Conditions(), 8) == ()
    assert condition_problems(replace(GOOD, nice=-5)) == ()


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({"power_source": "battery"}, "runs on battery, which may make it slower: plug it in", "ran on battery"),
        ({"low_power_mode": True}, "Low power mode is on: turn it off", "Low power mode was on."),
        ({"power_mode": "high"}, "", "High power mode was on"),
        ({"thermal_state": "serious"}, "state serious): let it cool first", "called its thermal state serious"),
        ({"memory_pressure": "critical"}, "pressure on it critical): quit", "called the pressure on it critical"),
        ({"memory_stall_percent": 40.0}, "wait for it 40% of the time", "up to 40% of the time"),
        ({"nice": 5}, "nice value 5, so that others go first. zsh", "had the nice value 5: others went first"),
        ({"lid_closed": True}, "The lid is closed", "The lid was closed."),
        ({"display_asleep": True}, "", "The display was off."),
        ({"gpu_use_percent": 60}, "uses the GPU (60%): quit", "used the GPU before the start (60%)"),
        ({"load_average": 12.0}, "a load of 12.0 on 8 cores", ""),
    ],
)
def test_each_problem_is_told_before_a_run_and_in_its_report(
    changes: dict[str, object], before: str, after: str
) -> None:
    (problem,) = start_problems(replace(GOOD, **changes), 8)  # type: ignore[arg-type]  # one field of its type
    assert before in problem.before
    assert bool(before) == bool(problem.before)
    assert after in problem.after
    assert bool(after) == bool(problem.after)


def test_a_matrix_records_the_conditions_at_its_start_and_at_its_end(tmp_path: Path) -> None:
    record = time_one_round(tmp_path, quick_machine(behave(tmp_path), {"reference": ("host-cpu",)}))
    for conditions in (record.conditions_before, record.conditions_after):
        assert conditions.load_average is not None
        assert conditions.nice is not None
    assert isinstance(record, TimingRecord)
    busy = replace(record, conditions_before=replace(GOOD, gpu_use_percent=60, nice=5))
    texts = [row.text for row in warning_rows([busy])]
    assert "Something else used the GPU before the start (60%)." in texts
    assert "The processes had the nice value 5: others went first." in texts
