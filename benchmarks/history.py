"""Whether a step in a history is named, by simulation: histories of 20 runs without one, and with one of 10%.

``python benchmarks/history.py --histories 1000`` prints the table of ``docs/history.md``. A run has five rounds with
the noise of ``benchmarks/method.py``; whole runs differ besides, by 0, 1 or 2%. Steps are found by
``timing.history.find_steps``: what is tried is what is used.

It ends with 1 when, with a noise that the method promises to bear and runs that differ by at most 1%, more than 5 of
100 histories without a step have one named in any of the looks after each run, or a step of 10% is named within five
runs in fewer than 90 of 100; in each case by more than chance explains with so many histories, two standard errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))  # `benchmarks` is found from any folder

from benchmarks.method import NOISES, Noise, shuffled, shuffled_in_blocks, simulate
from coremlbench.timing.history import MIN_RUNS, find_steps

Array = NDArray[np.float64]
RUNS = 20
ROUNDS = 5
STEP = 0.1
WITHIN = 5
FIRST_AFTER = (5, 10, 15)
"""The numbers of runs before the step."""
RUN_LEVELS = (0.0, 0.01, 0.02)
PROMISED_LEVEL = 0.01
NEAR = 1
"""A step is found when it is named at most so many runs away from where it is."""


def histories(noise: Noise, number: int, seed: int) -> Array:
    """Return the seconds of a call in each run, without differences of whole runs: (histories, runs)."""
    schedule = shuffled_in_blocks if noise.packages > 1 else shuffled
    levels = simulate(noise, schedule, ROUNDS, number * RUNS, seed).median[..., 0].mean(axis=1)
    return np.asarray(np.exp(levels).reshape(number, RUNS) * 1e-3)


def named_at_any_look(history: list[float]) -> bool:
    return any(find_steps(history[:runs]) for runs in range(MIN_RUNS, len(history) + 1))


def found_within(history: list[float], first: int) -> tuple[bool, bool]:
    """Return whether the step before the run ``first`` is named within five runs, and whether its interval holds it."""
    for runs in range(first + 1, min(first + WITHIN, len(history)) + 1):
        steps = [step for step in find_steps(history[:runs]) if abs(step.index - first) <= NEAR and step.change > 0]
        if steps:
            last = find_steps(history)
            return True, any(step.low <= STEP <= step.high for step in last)
    return False, False


def measure(noise: Noise, level: float, number: int, seed: int) -> tuple[float, float, list[float], float]:
    """Return percentages: named without a step at the last look and at any, found for each place, and covered."""
    rng = np.random.default_rng(seed)
    quiet, stepped = (
        histories(noise, number, 2 * seed + place) * np.exp(level * rng.standard_normal((number, RUNS)))
        for place in (0, 1)
    )
    last = 100 * np.mean([bool(find_steps(history)) for history in quiet.tolist()])
    any_look = 100 * np.mean([named_at_any_look(history) for history in quiet.tolist()])
    found, covered = [], []
    for first in FIRST_AFTER:
        changed = stepped.copy()
        changed[:, first:] *= 1 + STEP
        results = [found_within(history, first) for history in changed.tolist()]
        found.append(float(100 * np.mean([result[0] for result in results])))
        covered += [result[1] for result in results if result[0]]
    return float(last), float(any_look), found, float(100 * np.mean(covered)) if covered else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    number = options.histories
    print(f"{number} histories of {RUNS} runs a figure; figures are of 100 histories\n")
    places = " | ".join(f"+10% after {first} runs: named within {WITHIN}" for first in FIRST_AFTER)
    print(f"| noise | runs differ by | no step: named in the end | in any look | {places} | interval holds it |")
    print("|---|" + "--:|" * (len(FIRST_AFTER) + 4))
    wrong = []
    for index, noise in enumerate(NOISES):
        for level in RUN_LEVELS if index == 0 else (PROMISED_LEVEL,):
            last, any_look, found, covered = measure(noise, level, number, options.seed + 10 * index)
            name = noise.name + ("" if noise.promised else " (beyond)")
            figures = " | ".join(f"{value:.1f}" for value in (last, any_look, *found, covered))
            print(f"| {name} | {level:.0%} | {figures} |", flush=True)
            if noise.promised and level <= PROMISED_LEVEL:
                if any_look > 5 + 200 * np.sqrt(0.05 * 0.95 / number):
                    wrong.append(f"{name}: {any_look:.1f} of 100 histories without a step have one.")
                if min(found) < 90 - 200 * np.sqrt(0.1 * 0.9 / number):
                    wrong.append(f"{name}: a step of {STEP:.0%} is named in {min(found):.1f} of 100.")
    print(f"\n{time.monotonic() - began:.0f} s. " + (" ".join(wrong) or "The history holds what it promises."))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
