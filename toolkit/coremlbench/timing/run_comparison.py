"""Statistics of the gate: the ratio of two runs, whether it is beyond a limit, and how many rounds would tell.

Two runs share no round, so nothing cancels between them: both have noise of their own, and each may have warmed up
while it ran. ``docs/gate.md`` gives the reasons and the simulation; ``benchmarks/gate.py`` runs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from coremlbench.timing.statistics import CLOCK_TICK, CONFIDENCE_LEVEL

Decision = Literal["passed", "failed", "cannot tell"]
Runs = Sequence[Sequence[float]]
"""The runs of one side: for each, the medians in seconds of its rounds, in order."""

MIN_ROUNDS_FOR_SLOPE = 4
"""From so many rounds on, a straight line is fitted to a run, so that a drift within it is not taken for noise."""
MIN_DEGREES_BETWEEN_RUNS = 3
"""From so many runs more than sides on, the spread between runs of one side is estimated, too."""
POWER = 0.95
"""The share of comparisons that are to be decided after the advised number of rounds."""
SPREAD_BOUND = 0.2
"""The advised rounds are for the spread that is exceeded with this probability: a spread of few rounds is uncertain."""
MAX_ADVISED_ROUNDS = 200
FIRST_ADVICE = 10
"""Rounds that are advised where there is no interval."""


@dataclass(frozen=True)
class Comparison:
    """The time of one side divided by that of the other, with the interval that decisions are made by.

    ``low`` and ``high`` are ``None`` where too few rounds give no interval. ``rounds`` is the smaller number of rounds
    of a run. ``spread`` is the standard deviation of a round's logarithm (of the ratio's, if ``paired``), with
    ``degrees`` degrees of freedom. ``between_runs`` tells that the spread between runs decides the interval, which more
    rounds then do not narrow. ``tick`` is what rounding to the clock's ticks can do to the logarithm.
    """

    ratio: float
    low: float | None
    high: float | None
    rounds: int
    spread: float = 0.0
    degrees: int = 0
    tick: float = 0.0
    paired: bool = False
    between_runs: bool = False


def compare_runs(before: Runs, after: Runs) -> Comparison:
    """Return the ratio of the time after to the time before, from runs that share no round.

    The level of a run is the mean logarithm of its rounds, that of a side the mean of its runs. The interval is
    Student's t, from the spread of the rounds around a straight line through each run. Where there are enough runs, an
    interval from the spread of the runs is made too, and the wider one counts.

    Raises:
        ValueError: a side has no run, a run has no round, or a median is not a positive number.
    """
    sides = [_logs(runs) for runs in (before, after)]
    levels = [[fmean(run) for run in runs] for runs in sides]
    middle = fmean(levels[1]) - fmean(levels[0])
    rounds = min(len(run) for runs in sides for run in runs)
    tick = CLOCK_TICK / 2 * sum(1 / min(min(run) for run in runs) for runs in (before, after))
    fits = [_residuals(run) for runs in sides for run in runs]
    degrees = sum(fit[1] for fit in fits)
    if not degrees:
        return Comparison(math.exp(middle), None, None, rounds)
    spread = math.sqrt(math.fsum(fit[0] for fit in fits) / degrees)
    error = spread * math.sqrt(sum(sum(1 / len(run) for run in runs) / len(runs) ** 2 for runs in sides))
    half = _quantile(degrees, (1 + CONFIDENCE_LEVEL) / 2) * error
    half_between = _half_between(levels)
    half_width = max(half, half_between) + tick
    return Comparison(
        ratio=math.exp(middle),
        low=math.exp(middle - half_width),
        high=math.exp(middle + half_width),
        rounds=rounds,
        spread=spread,
        degrees=degrees,
        tick=tick,
        between_runs=half_between > half,
    )


def compare_paired(before: Sequence[float], after: Sequence[float]) -> Comparison:
    """Return the ratio of two cells of one run, from their medians in seconds, paired by round.

    Raises:
        ValueError: the two differ in length or are empty, or a median is not a positive number.
    """
    from coremlbench.timing.statistics import ratio

    result = ratio(after, before)
    logs = [math.log(second / first) for first, second in zip(before, after, strict=True)]
    degrees = len(logs) - 1
    middle = fmean(logs)
    return Comparison(
        ratio=result.ratio,
        low=result.low,
        high=result.high,
        rounds=len(logs),
        spread=math.sqrt(math.fsum((log - middle) ** 2 for log in logs) / degrees) if degrees else 0.0,
        degrees=degrees,
        tick=CLOCK_TICK / 2 * (1 / min(before) + 1 / min(after)),
        paired=True,
    )


def decide(comparison: Comparison, limit: float) -> Decision:
    """Return whether the time grew by more than ``limit``, 0.05 for 5%: only an interval wholly on one side tells."""
    if comparison.low is None or comparison.high is None:
        return "cannot tell"
    if comparison.low > 1 + limit:
        return "failed"
    return "passed" if comparison.high < 1 + limit else "cannot tell"


def advised_rounds(comparison: Comparison, limit: float) -> int | None:
    """Return how many rounds each run should have, so that ``decide`` tells; ``None`` where rounds do not help.

    With so many, a time that grew by twice the limit is failed, and one that did not grow is passed, in 95 of 100
    comparisons. No number of rounds distinguishes a growth next to the limit from the limit; at least twice as many as
    there were are advised.
    """
    if comparison.low is None:
        return max(FIRST_ADVICE, comparison.rounds + 1)
    distance = math.log((1 + 2 * limit) / (1 + limit)) - comparison.tick
    if comparison.between_runs or distance <= 0:
        return None
    spread = comparison.spread * math.sqrt(comparison.degrees / _chi_square(comparison.degrees, SPREAD_BOUND))
    first = max(2 * comparison.rounds, MIN_ROUNDS_FOR_SLOPE)
    enough = (
        rounds for rounds in range(first, MAX_ADVISED_ROUNDS + 1) if _reach(rounds, comparison) * spread <= distance
    )
    return next(enough, None)


def _reach(rounds: int, comparison: Comparison) -> float:
    """Return the distance from the limit that is told with ``POWER``, in spreads of a round."""
    degrees = rounds - 1 if comparison.paired else 2 * (rounds - 2)
    quantiles = _quantile(degrees, (1 + CONFIDENCE_LEVEL) / 2) + _quantile(degrees, POWER)
    return quantiles * math.sqrt((1 if comparison.paired else 2) / rounds)


def _half_between(levels: Sequence[Sequence[float]]) -> float:
    """Return half the interval's width from the spread of the runs' levels, 0 where there are too few runs."""
    degrees = sum(len(side) - 1 for side in levels)
    if degrees < MIN_DEGREES_BETWEEN_RUNS:
        return 0.0
    squares = math.fsum((level - fmean(side)) ** 2 for side in levels for level in side)
    error = math.sqrt(squares / degrees * sum(1 / len(side) for side in levels))
    return _quantile(degrees, (1 + CONFIDENCE_LEVEL) / 2) * error


def _residuals(run: Sequence[float]) -> tuple[float, int]:
    """Return the sum of squares around a run's straight line, or its mean if it is short, and degrees of freedom."""
    middle = fmean(run)
    deviations = [value - middle for value in run]
    if len(run) < MIN_ROUNDS_FOR_SLOPE:
        return math.fsum(deviation**2 for deviation in deviations), len(run) - 1
    places = [index - (len(run) - 1) / 2 for index in range(len(run))]
    slope = math.fsum(place * deviation for place, deviation in zip(places, deviations, strict=True)) / math.fsum(
        place**2 for place in places
    )
    squares = math.fsum((deviation - slope * place) ** 2 for place, deviation in zip(places, deviations, strict=True))
    return squares, len(run) - 2


def _logs(runs: Runs) -> list[list[float]]:
    if not runs or not all(runs):
        raise ValueError("A side without a round that finished has no figure.")
    if not all(math.isfinite(median) and median > 0 for run in runs for median in run):
        raise ValueError("A round's median must be a positive number of seconds.")
    return [[math.log(median) for median in run] for run in runs]


def _quantile(degrees: int, probability: float) -> float:
    """Return the quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def _chi_square(degrees: int, probability: float) -> float:
    """Return the quantile of the chi-square distribution."""
    from scipy.special import chdtri

    return float(chdtri(degrees, 1 - probability))
