"""Conditions in words: all that is known of them in a line, and those that make figures worse or unlike others'."""

from __future__ import annotations

from dataclasses import dataclass

from coremlbench.system.formatting import format_bytes
from coremlbench.types.conditions import Conditions

BUSY_GPU_PERCENT = 20
"""A GPU that is used more before a run is used by somebody else; a desktop that is drawn needs a few percent."""
STALLED_PERCENT = 10.0
"""Linux's processes that wait for memory in more of the time are short of it."""


@dataclass(frozen=True)
class ConditionProblem:
    """A condition that makes figures worse, or unlike those of the same machine at another time.

    ``before`` is for somebody who has not started yet, and says what to do; ``after`` is for a reader of figures. An
    empty text means that there is nothing to say then.
    """

    before: str
    after: str


def describe_conditions(conditions: Conditions) -> str:
    """Return what is known of the conditions in one line, such as "AC power, thermal state nominal, nice 0"."""
    known = [
        "on battery" if conditions.power_source == "battery" else conditions.power_source and "AC power",
        conditions.power_mode and f"{conditions.power_mode} power mode",
        conditions.thermal_state and f"thermal state {conditions.thermal_state}",
        conditions.cpu_governor and f"governor {conditions.cpu_governor}",
        conditions.load_average is not None and f"load {conditions.load_average:.1f}",
        conditions.gpu_use_percent is not None and f"GPU in use {conditions.gpu_use_percent}%",
        conditions.free_memory_bytes is not None and f"{format_bytes(conditions.free_memory_bytes)} of memory free",
        conditions.memory_pressure and f"memory pressure {conditions.memory_pressure}",
        conditions.memory_stall_percent is not None and f"waiting for memory {conditions.memory_stall_percent:g}%",
        conditions.swap_used_bytes is not None and f"{format_bytes(conditions.swap_used_bytes)} swapped out",
        conditions.nice is not None and f"nice {conditions.nice}",
        conditions.display_asleep and "display off",
        conditions.lid_closed and "lid closed",
    ]
    return ", ".join(text for text in known if text)


def condition_problems(conditions: Conditions) -> tuple[ConditionProblem, ...]:
    """Return what speaks against these conditions, in no order of importance."""
    return (*_power_problems(conditions), *_memory_problems(conditions), *_process_problems(conditions))


def start_problems(conditions: Conditions, logical_cores: int) -> tuple[ConditionProblem, ...]:
    """Return what speaks against starting in these conditions; a run itself is what busies a machine later."""
    problems = []
    load, gpu = conditions.load_average, conditions.gpu_use_percent
    if load is not None and load > logical_cores:
        text = (
            f"Something else keeps the machine busy: a load of {load:.1f} on {logical_cores} cores. Let it end first."
        )
        problems.append(ConditionProblem(text, ""))  # the report has its own sentence on the load
    if gpu is not None and gpu >= BUSY_GPU_PERCENT:
        problems.append(
            ConditionProblem(
                f"Something else uses the GPU ({gpu}%): quit games, videos and other models first.",
                f"Something else used the GPU before the start ({gpu}%).",
            )
        )
    return (*condition_problems(conditions), *problems)


def _power_problems(conditions: Conditions) -> list[ConditionProblem]:
    problems = []
    if conditions.thermal_state not in (None, "nominal"):
        problems.append(
            ConditionProblem(
                f"The machine is hot (macOS calls its thermal state {conditions.thermal_state}): let it cool first.",
                f"The machine was hot: macOS called its thermal state {conditions.thermal_state}.",
            )
        )
    if conditions.power_source == "battery":
        problems.append(
            ConditionProblem(
                "The machine runs on battery, which may make it slower: plug it in.", "The machine ran on battery."
            )
        )
    if conditions.low_power_mode:
        problems.append(
            ConditionProblem(
                "Low power mode is on: turn it off in System Settings, under Battery or Energy.",
                "Low power mode was on.",
            )
        )
    if conditions.power_mode == "high":
        problems.append(ConditionProblem("", "High power mode was on: in automatic mode the machine may be slower."))
    if conditions.lid_closed:
        problems.append(
            ConditionProblem(
                "The lid is closed: without mains and a display a Mac sleeps then, whatever runs. Open it.",
                "The lid was closed.",
            )
        )
    if conditions.display_asleep:
        problems.append(ConditionProblem("", "The display was off."))
    return problems


def _memory_problems(conditions: Conditions) -> list[ConditionProblem]:
    pressure, stalls = conditions.memory_pressure, conditions.memory_stall_percent
    if pressure not in (None, "normal"):
        return [
            ConditionProblem(
                f"Memory is short (macOS calls the pressure on it {pressure}): quit other programs.",
                f"Memory was short: macOS called the pressure on it {pressure}.",
            )
        ]
    if stalls is not None and stalls > STALLED_PERCENT:
        return [
            ConditionProblem(
                f"Memory is short: processes wait for it {stalls:g}% of the time. End other programs.",
                f"Memory was short: processes waited for it up to {stalls:g}% of the time.",
            )
        ]
    return []


def _process_problems(conditions: Conditions) -> list[ConditionProblem]:
    if conditions.nice is None or conditions.nice <= 0:
        return []
    return [
        ConditionProblem(
            f"This process has the nice value {conditions.nice}, so that others go first. zsh gives one to jobs that "
            "are started with &: start it without &, or after `unsetopt BG_NICE`.",
            f"The processes had the nice value {conditions.nice}: others went first.",
        )
    ]
