"""Try the timing method on matrices whose true ratio is known: does the interval cover it, and does drift bend it?

    python benchmarks/method.py [--matrices 4000] [--seed 0]

A matrix is simulated as it is timed: rounds, in each of them a process for each cell, in each process 200 calls whose
median counts. The noise has four layers: calls that resemble the one before (AR(1)), with spikes (a Pareto tail); a
process's own level (memory layout, clock, placement); a round's level, common to its cells; and a drift over the
whole matrix. Orders come from ``statistics.orders``, medians from the calls, the interval from ``stats.ratio``: what is
tried is what is used. The other intervals are there to show what the choice was between.

It ends with 1 when the chosen interval covers less than 93 or more than 97 of 100, calls equal units different in
more than 5 of 100, or the shuffled order is off by 1% or more: in each case by more than chance explains with so
many matrices, two standard errors. The rows marked (beyond) are noise that the method does not promise to bear; they
show what happens then.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri, stdtrit

from coremlbench.timing import statistics

Array = NDArray[np.float64]
CALLS = 200
UNITS = 4
RATIO = 0.5
DRIFT = 0.2
RESAMPLES = 600
CHUNK = 250
ROUNDS = (2, 3, 5, 10)
"""2 are ``--quick``, 5 the default."""


@dataclass(frozen=True)
class Noise:
    """How much times differ, as standard deviations of their logarithm; a process's level has the named shape."""

    name: str
    correlation: float = 0.7
    call: float = 0.05
    process: float = 0.02
    shape: str = "normal"
    round: float = 0.02
    spikes: float = 0.01
    drift: float = 0.0
    packages: int = 1
    promised: bool = True


NOISES = (
    Noise("calls correlated 0.7"),
    Noise("calls correlated 0.95", correlation=0.95),
    Noise("0.95, processes alike", correlation=0.95, process=0.003),
    Noise("spikes in 5 of 100 calls", spikes=0.05),
    Noise("drift 20%", drift=DRIFT),
    Noise("drift 20%, 6 packages", drift=DRIFT, packages=6),
    Noise("drift 20%, little noise", drift=DRIFT, packages=6, process=0.005, round=0.005, call=0.01),
    Noise("heavy tails (t, 3 degrees)", shape="heavy"),
    Noise("1 process in 5 is 5% slower", shape="two modes", promised=False),
    Noise("one unit skewed, other quiet", shape="one-sided", promised=False),
)


# --- a matrix -----------------------------------------------------------------------------------------------


Schedule = Callable[[int, int, int], Array]
"""Cells, rounds and a seed become the starts of the two compared cells: (rounds, 2), counted in processes."""


def shuffled(cells: int, rounds: int, seed: int) -> Array:
    return starts(statistics.orders(cells, rounds, seed))


def shuffled_in_blocks(cells: int, rounds: int, seed: int) -> Array:
    blocks = [range(first, first + UNITS) for first in range(0, cells, UNITS)]
    return starts(statistics.orders(cells, rounds, seed, blocks=blocks))


def fixed(cells: int, rounds: int, seed: int) -> Array:  # noqa: ARG001 - a Schedule without chance
    """Return the same order in every round, the two compared at its ends."""
    order = (0, *range(2, cells), 1)
    return starts((order,) * rounds)


def mirrored(cells: int, rounds: int, seed: int) -> Array:
    """Return a shuffled order, backwards in every second round, so that places balance."""
    orders: list[tuple[int, ...]] = []
    for order in statistics.orders(cells, rounds, seed):
        orders.append(orders[-1][::-1] if len(orders) % 2 else order)
    return starts(tuple(orders))


def one_after_another(cells: int, rounds: int, seed: int) -> Array:  # noqa: ARG001 - a Schedule without chance
    """Return all rounds of a unit before those of the next, as tools do that time one unit at a time."""
    return np.asarray(np.arange(2) * rounds + np.arange(rounds)[:, None], np.float64)


def starts(orders: tuple[tuple[int, ...], ...]) -> Array:
    places = np.array([[order.index(0), order.index(1)] for order in orders], dtype=np.float64)
    return places + len(orders[0]) * np.arange(len(orders))[:, None]


@dataclass(frozen=True)
class Simulated:
    """Of each matrix, round and compared cell: the logarithms' median, mean and variance over the calls."""

    median: Array
    mean: Array
    variance: Array

    @property
    def difference(self) -> Array:
        """Return the logarithms of the rounds' ratios: (matrices, rounds)."""
        return np.asarray(self.median[..., 0] - self.median[..., 1])


def simulate(
    noise: Noise, schedule: Schedule, rounds: int, matrices: int, seed: int, *, ratio: float = 1.0
) -> Simulated:
    """Return ``matrices`` matrices; the first of the two cells takes ``ratio`` times as long as the second."""
    rng = np.random.default_rng(seed)
    cells = UNITS * noise.packages
    begun = np.array([schedule(cells, rounds, seed * matrices + number) for number in range(matrices)])
    level = process_levels(noise, rng, begun.shape)
    level += noise.round * rng.standard_normal((matrices, rounds, 1))
    level += np.log1p(noise.drift * begun / (cells * rounds)) + np.log([ratio, 1.0])
    parts_by_chunk = []
    for first in range(0, matrices, CHUNK):
        calls = level[first : first + CHUNK, :, :, None] + call_noise(noise, rng, min(CHUNK, matrices - first), rounds)
        parts_by_chunk.append((np.median(calls, axis=-1), calls.mean(axis=-1), calls.var(axis=-1)))
    return Simulated(*(np.concatenate(parts) for parts in zip(*parts_by_chunk, strict=True)))


def process_levels(noise: Noise, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    if noise.shape == "heavy":
        drawn = rng.standard_t(3, shape) / np.sqrt(3)
    elif noise.shape == "two modes":
        drawn = ((rng.random(shape) < 0.2) - 0.2) * 0.05 / noise.process
    elif noise.shape == "one-sided":
        drawn = rng.exponential(size=shape) - 1
        drawn[..., 1] = rng.standard_normal(shape[:-1]) / 3
    else:
        drawn = rng.standard_normal(shape)
    return np.asarray(drawn * noise.process)


def call_noise(noise: Noise, rng: np.random.Generator, matrices: int, rounds: int) -> Array:
    drawn = rng.standard_normal((matrices, rounds, 2, CALLS))
    drawn[..., 1:] *= np.sqrt(1 - noise.correlation**2)  # the first is drawn from where the series settles
    calls = noise.call * lfilter([1.0], [1.0, -noise.correlation], drawn, axis=-1)
    spikes = rng.random(calls.shape) < noise.spikes
    calls[spikes] += np.log(2) + rng.pareto(1.5, int(spikes.sum()))
    return np.asarray(calls)


# --- intervals ----------------------------------------------------------------------------------------------


Interval = Callable[[Simulated], tuple[Array, Array]]


def chosen(simulated: Simulated) -> tuple[Array, Array]:
    """Return what ``statistics.ratio`` says of each matrix."""
    seconds = np.exp(simulated.median)
    ratios = [statistics.ratio(pair[:, 0].tolist(), pair[:, 1].tolist()) for pair in seconds]
    return np.log([ratio.low or 0.0 for ratio in ratios]), np.log([ratio.high or 0.0 for ratio in ratios])


def student(simulated: Simulated) -> tuple[Array, Array]:
    difference = simulated.difference
    rounds = difference.shape[1]
    half = stdtrit(rounds - 1, 0.975) * difference.std(axis=1, ddof=1) / np.sqrt(rounds)
    return difference.mean(axis=1) - half, difference.mean(axis=1) + half


def every_call(simulated: Simulated) -> tuple[Array, Array]:
    """Return Welch's interval on all calls, as if each were a sample of its own."""
    calls = simulated.mean.shape[1] * CALLS
    variance = simulated.variance.mean(axis=1) + simulated.mean.var(axis=1)
    middle = simulated.mean.mean(axis=1)
    half = 1.96 * np.sqrt(variance.sum(axis=1) / calls)
    return middle[:, 0] - middle[:, 1] - half, middle[:, 0] - middle[:, 1] + half


def bootstrap(kind: str) -> Interval:
    """Return a bootstrap interval with the rounds as what is resampled; source: Efron & Tibshirani 1993."""

    def interval(simulated: Simulated) -> tuple[Array, Array]:
        difference = simulated.difference
        drawn = np.random.default_rng(1).integers(difference.shape[1], size=(RESAMPLES, difference.shape[1]))
        parts = [
            resampled(kind, difference[first : first + CHUNK], drawn) for first in range(0, len(difference), CHUNK)
        ]
        low, high = np.concatenate(parts, axis=1)
        return low, high

    return interval


def resampled(kind: str, difference: Array, drawn: NDArray[np.int64]) -> Array:
    rounds = difference.shape[1]
    middle = difference.mean(axis=1, keepdims=True)
    again = difference[:, drawn]
    means = again.mean(axis=-1)
    if kind == "percentile":
        return np.asarray(np.quantile(means, [0.025, 0.975], axis=1), np.float64)
    if kind == "bootstrap-t":
        error = again.std(axis=-1, ddof=1) / np.sqrt(rounds)
        with np.errstate(divide="ignore", invalid="ignore"):  # all rounds drawn alike: no spread to divide by
            scores = np.where(error > 1e-12, (means - middle) / error, np.nan)
        high, low = np.nanquantile(scores, [0.025, 0.975], axis=1)
        own = difference.std(axis=1, ddof=1) / np.sqrt(rounds)
        return np.stack([middle[:, 0] - low * own, middle[:, 0] - high * own])
    below = (means < middle).mean(axis=1) + (means == middle).mean(axis=1) / 2
    shift = ndtri(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    without = (difference.sum(axis=1, keepdims=True) - difference) / (rounds - 1)
    spread = without.mean(axis=1, keepdims=True) - without
    bend = (spread**3).sum(axis=1) / (6 * (spread**2).sum(axis=1) ** 1.5)
    ends = []
    for z in (ndtri(0.025), ndtri(0.975)):
        share = ndtr(shift + (shift + z) / (1 - bend * (shift + z)))
        index = np.clip((share * RESAMPLES).astype(int), 0, RESAMPLES - 1)
        ends.append(np.take_along_axis(np.sort(means, axis=1), index[:, None], axis=1)[:, 0])
    return np.stack(ends)


INTERVALS: dict[str, Interval] = {
    "all calls as if independent": every_call,
    "percentile bootstrap of rounds": bootstrap("percentile"),
    "BCa bootstrap of rounds": bootstrap("bca"),
    "bootstrap-t of rounds": bootstrap("bootstrap-t"),
    "Student's t of rounds, 95%": student,
    "chosen: Student's t, 96%": chosen,
}


def covers(interval: tuple[Array, Array], truth: float) -> float:
    low, high = interval
    return float(100 * ((low <= truth) & (truth <= high)).mean())


# --- the three tables ---------------------------------------------------------------------------------------


def heading(first: str, beside: str) -> str:
    columns = "".join(f" {rounds} rounds | {beside} |" for rounds in ROUNDS)
    return f"| {first} |{columns}\n|---|{'--:|' * 2 * len(ROUNDS)}"


def show_intervals(matrices: int, seed: int) -> None:
    print(f"\nWhich interval: of 100 matrices, those whose interval holds the true ratio ({NOISES[0].name}), and its")
    print("median width in % of the ratio\n")
    print(heading("interval", "width"))
    simulated = [simulate(NOISES[0], shuffled, rounds, matrices, seed, ratio=RATIO) for rounds in ROUNDS]
    for name, interval in INTERVALS.items():
        cells = []
        for medians in simulated:
            low, high = interval(medians)
            cells.append(f"{covers((low, high), np.log(RATIO)):.1f} | {100 * np.median(np.expm1(high - low)):.1f}")
        print(f"| {name} | {' | '.join(cells)} |")


def show_coverage(matrices: int, seed: int) -> list[str]:
    print(f"\nThe chosen interval: coverage of the true ratio {RATIO}, and equal units called different, of 100\n")
    print(heading("noise", "equal"))
    wrong = []
    for number, noise in enumerate(NOISES):
        schedule = shuffled_in_blocks if noise.packages > 1 else shuffled
        cells = []
        for rounds in ROUNDS:
            own = seed + 1000 * number + rounds
            covered = covers(chosen(simulate(noise, schedule, rounds, matrices, own, ratio=RATIO)), np.log(RATIO))
            different = 100 - covers(chosen(simulate(noise, schedule, rounds, matrices, own + 500)), 0.0)
            cells.append(f"{covered:.1f} | {different:.1f}")
            slack = 200 * np.sqrt(0.95 * 0.05 / matrices)
            if noise.promised and not 93 - slack <= covered <= 97 + slack:
                wrong.append(f"{noise.name}, {rounds} rounds: covers {covered:.1f} of 100.")
            if noise.promised and different > 5 + slack:
                wrong.append(f"{noise.name}, {rounds} rounds: equal units are different in {different:.1f} of 100.")
        print(f"| {noise.name}{'' if noise.promised else ' (beyond)'} | {' | '.join(cells)} |")
    return wrong


def show_orders(matrices: int, seed: int) -> list[str]:
    print(f"\nOrders under a linear drift of {DRIFT:.0%} over the matrix, 5 rounds, 24 cells (6 packages, 4 units):")
    print("how far the ratio is off on average, its spread over matrices, and what the interval covers, of 100\n")
    print("| order | off by | spread | covers |\n|---|--:|--:|--:|")
    noise = replace(NOISES[0], drift=DRIFT, packages=6, process=0.005, round=0.005, call=0.02)
    wrong = []
    orders = {
        "one unit after another": (one_after_another, 1),
        "the same order every round, 4 cells": (fixed, 1),
        "shuffled every round, 4 cells": (shuffled, 1),
        "shuffled every round": (shuffled, 6),
        "shuffled, units of a package together": (shuffled_in_blocks, 6),
        "shuffled, every second round mirrored": (mirrored, 6),
    }
    for name, (schedule, packages) in orders.items():
        simulated = simulate(replace(noise, packages=packages), schedule, 5, matrices, seed, ratio=RATIO)
        ratios = np.exp(simulated.difference.mean(axis=1)) / RATIO
        off = 100 * (ratios.mean() - 1)
        covered = covers(chosen(simulated), np.log(RATIO))
        print(f"| {name} | {round(off, 2) + 0.0:+.2f}% | {100 * ratios.std():.2f}% | {covered:.1f} |")
        if name.startswith("shuffled") and abs(off) >= 1:
            wrong.append(f"{name}: the ratio is off by {off:.2f}%.")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--matrices", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    chosen_options = parser.parse_args()
    began = time.monotonic()
    matrices, seed = chosen_options.matrices, chosen_options.seed
    error = 100 * np.sqrt(0.96 * 0.04 / matrices)
    print(f"{matrices} matrices a figure, {CALLS} calls a process; a coverage is known to ±{2 * error:.1f}")
    show_intervals(matrices, seed)
    wrong = [*show_coverage(matrices, seed), *show_orders(matrices, seed)]
    print(f"\n{time.monotonic() - began:.0f} s. " + (" ".join(wrong) or "The method holds what it promises."))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
