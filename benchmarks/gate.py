"""What the gate decides, by simulation: equal runs, and runs that are slower by 5, 10 and 15%, with a limit of 5%.

``python benchmarks/gate.py --pairs 1000`` prints the tables of ``docs/gate.md``. The noise is that of
``benchmarks/method.py``; BEFORE and AFTER are separate runs, so that neither a round nor a process is common to both.
The decisions are those of ``timing.run_comparison``: what is tried is what is used.

It ends with 1 when one of these is broken by more than chance explains with so many pairs, two standard errors: of
equal runs and of runs slower by exactly the limit at most 5 in 100 fail, of runs slower by 15% at least 95 fail, of
runs slower by 10% at most 5 pass, and of those without a decision at least 95 fail when both are repeated with the
advised rounds. This is promised for 10 rounds with every noise that the method promises to bear, and for 5 rounds with
its first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))  # `benchmarks` is found from any folder

from benchmarks.method import NOISES, Noise, shuffled, shuffled_in_blocks, simulate
from coremlbench.timing.run_comparison import Comparison, advised_rounds, compare_paired, compare_runs, decide

Array = NDArray[np.float64]
LIMIT = 0.05
ROUNDS = (5, 10)
"""The default of ``convert-and-time``, and that of a gate's own run."""
RUN_LEVELS = (0.0, 0.01, 0.02)
"""Standard deviations of the logarithm of a whole run's level, which no noise of the method has."""
RUNS = ((1, 1), (5, 1), (5, 5))
"""Numbers of runs before and after."""
Comparisons = Callable[[Noise, int, int, int, float], list[Comparison]]
"""Noise, rounds, pairs, seed and the true ratio become the comparisons of so many pairs of runs."""


def medians(noise: Noise, rounds: int, runs: int, seed: int, ratio: float = 1.0) -> Array:
    """Return the medians in seconds of one cell in many runs: (runs, rounds)."""
    schedule = shuffled_in_blocks if noise.packages > 1 else shuffled
    return np.asarray(np.exp(simulate(noise, schedule, rounds, runs, seed, ratio=ratio).median[..., 0]) * 1e-3)


def separate(noise: Noise, rounds: int, pairs: int, seed: int, ratio: float) -> list[Comparison]:
    before = medians(noise, rounds, pairs, 2 * seed)
    after = medians(noise, rounds, pairs, 2 * seed + 1, ratio)
    return [compare_runs([old.tolist()], [new.tolist()]) for old, new in zip(before, after, strict=True)]


def one_run(noise: Noise, rounds: int, pairs: int, seed: int, ratio: float) -> list[Comparison]:
    schedule = shuffled_in_blocks if noise.packages > 1 else shuffled
    both = np.exp(simulate(noise, schedule, rounds, pairs, seed, ratio=ratio).median) * 1e-3
    return [compare_paired(pair[:, 1].tolist(), pair[:, 0].tolist()) for pair in both]


@dataclass(frozen=True)
class Row:
    """Percentages of the pairs; ``rounds`` is the median of the advised rounds."""

    equal_failed: float
    equal_passed: float
    limit_failed: float
    fifteen_failed: float
    ten_passed: float
    ten_failed: float
    repeats_failed: float
    rounds: float

    @property
    def advice(self) -> str:
        """Return the median of the advised rounds, a dash where no pair needed any."""
        return "–" if np.isnan(self.rounds) else f"{self.rounds:.0f}"

    def broken(self, pairs: int) -> list[str]:
        """Return what is not as promised."""
        slack = 200 * np.sqrt(0.95 * 0.05 / pairs)
        repeats = max(1.0, pairs * (100 - self.ten_failed - self.ten_passed) / 100)
        checks = {
            f"equal runs: {self.equal_failed:.1f} failed": self.equal_failed <= 5 + slack,
            f"slower by 5%: {self.limit_failed:.1f} failed": self.limit_failed <= 5 + slack,
            f"slower by 15%: {self.fifteen_failed:.1f} failed": self.fifteen_failed >= 95 - slack,
            f"slower by 10%: {self.ten_passed:.1f} passed": self.ten_passed <= 5 + slack,
            f"repeated: {self.repeats_failed:.1f} failed": self.repeats_failed
            >= 95 - 200 * np.sqrt(0.95 * 0.05 / repeats),
        }
        return [name for name, holds in checks.items() if not holds]


def share(comparisons: Sequence[Comparison], decision: str) -> float:
    return 100 * sum(decide(comparison, LIMIT) == decision for comparison in comparisons) / len(comparisons)


def measure(compare: Comparisons, noise: Noise, rounds: int, pairs: int, seed: int) -> Row:
    equal, limit, ten, fifteen = (
        compare(noise, rounds, pairs, seed + 10 * place, ratio) for place, ratio in enumerate((1.0, 1.05, 1.1, 1.15))
    )
    unsure = [comparison for comparison in ten if decide(comparison, LIMIT) == "cannot tell"]
    advice = Counter(advised_rounds(comparison, LIMIT) for comparison in unsure)
    failed = 0.0
    for place, (number, count) in enumerate(advice.items()):
        if number is not None:
            failed += count / 100 * share(compare(noise, number, count, seed + 1000 + place, 1.1), "failed")
    known = [number for number in advice.elements() if number is not None]
    return Row(
        equal_failed=share(equal, "failed"),
        equal_passed=share(equal, "passed"),
        limit_failed=share(limit, "failed"),
        fifteen_failed=share(fifteen, "failed"),
        ten_passed=share(ten, "passed"),
        ten_failed=share(ten, "failed"),
        repeats_failed=100 * failed / len(unsure) if unsure else 100.0,
        rounds=float(np.median(known)) if known else float("nan"),
    )


def show_decisions(title: str, compare: Comparisons, pairs: int, seed: int) -> list[str]:
    print(f"\n{title}\n")
    headings = ("noise", "rounds", "equal: failed", "passed", "+5%: failed", "+15%: failed", "+10%: passed", "failed")
    print(f"| {' | '.join((*headings, 'cannot tell', 'advised rounds', 'with these: failed'))} |")
    print("|---|" + "--:|" * (len(headings) + 2))
    wrong = []
    for number, noise in enumerate(NOISES):
        for rounds in ROUNDS:
            row = measure(compare, noise, rounds, pairs, seed + 100_000 * number + 5000 * rounds)
            name = noise.name + ("" if noise.promised else " (beyond)")
            print(
                f"| {name} | {rounds} | {row.equal_failed:.1f} | {row.equal_passed:.1f} | {row.limit_failed:.1f} | "
                f"{row.fifteen_failed:.1f} | {row.ten_passed:.1f} | {row.ten_failed:.1f} | "
                f"{100 - row.ten_passed - row.ten_failed:.1f} | {row.advice} | {row.repeats_failed:.1f} |",
                flush=True,
            )
            if noise.promised and (rounds == max(ROUNDS) or noise == NOISES[0]):
                wrong += [f"{name}, {rounds} rounds: {problem}." for problem in row.broken(pairs)]
    return wrong


def show_run_levels(pairs: int, seed: int) -> None:
    """Print what happens when whole runs differ, which one run of each side cannot show."""
    print("\nRuns that differ as a whole, 10 rounds each: of 100 comparisons, those that fail\n")
    headings = " | ".join(f"{before} before, {after} after: +5% | +15%" for before, after in RUNS)
    print(f"| a run's level | {headings} |\n|---|" + "--:|" * 2 * len(RUNS))
    for level in RUN_LEVELS:
        cells = []
        for place, (before, after) in enumerate(RUNS):
            for ratio in (1.05, 1.15):
                own = seed + 1000 * place + int(100 * ratio)
                comparisons = several_runs(replace(NOISES[0]), level, (before, after), pairs, own, ratio)
                cells.append(f"{share(comparisons, 'failed'):.1f}")
        print(f"| {level:.0%} | {' | '.join(cells)} |", flush=True)


def several_runs(
    noise: Noise, level: float, runs: tuple[int, int], pairs: int, seed: int, ratio: float
) -> list[Comparison]:
    rng = np.random.default_rng(seed)
    sides = []
    for side, number in enumerate(runs):
        seconds = medians(noise, max(ROUNDS), pairs * number, 2 * seed + side, ratio if side else 1.0)
        seconds = seconds * np.exp(level * rng.standard_normal((len(seconds), 1)))
        sides.append(seconds.reshape(pairs, number, -1))
    return [compare_runs(old.tolist(), new.tolist()) for old, new in zip(*sides, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    print(f"{options.pairs} pairs a figure, limit {LIMIT:.0%}; figures are of 100 pairs")
    wrong = [
        *show_decisions("Two separate runs (records)", separate, options.pairs, options.seed),
        *show_decisions("Both packages in the rounds of one run", one_run, options.pairs, options.seed + 50),
    ]
    show_run_levels(options.pairs, options.seed)
    print(f"\n{time.monotonic() - began:.0f} s. " + (" ".join(wrong) or "The gate holds what it promises."))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
