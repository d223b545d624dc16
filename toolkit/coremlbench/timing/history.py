"""Steps in a history: since which run the same cell has been slower or faster, and by how much.

A split of the runs into those before and those from it on is judged by Student's t of the two means. The best of all
splits is taken, so its probability is multiplied by their number (Bonferroni); and as a history is looked at again
after each run, and a report has many, the level is low. ``docs/history.md`` has the simulation;
``benchmarks/history.py`` runs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from coremlbench.timing.statistics import CONFIDENCE_LEVEL

MIN_RUNS = 5
"""Shorter histories are not searched."""
MIN_BEFORE, MIN_SINCE = 3, 2
"""The least runs on each side of a step: a single odd run at the end is not a step yet."""
FALSE_ALARM = 0.005
"""The probability that one look at one history without a step names one."""
MIN_CHANGE = 0.005
"""Smaller steps are not named, however sure they are: half a percent matters to nobody, and clocks have ticks."""


@dataclass(frozen=True)
class Step:
    """A step before the run at ``index``: the relative change of the time, with its interval."""

    index: int
    change: float
    low: float
    high: float


def find_steps(seconds: Sequence[float], *, histories: int = 1) -> tuple[Step, ...]:
    """Return the steps in a history, oldest first, from the seconds of a call in each run, oldest first.

    ``histories`` is the number of histories that are searched together: a step must be the surer the more there are.

    Raises:
        ValueError: a time is not a positive number.
    """
    if not all(math.isfinite(value) and value > 0 for value in seconds):
        raise ValueError("The time of a run must be a positive number of seconds.")
    logs = [math.log(value) for value in seconds]
    bounds = [0, *sorted(_splits(logs, 0, FALSE_ALARM / max(1, histories))), len(logs)]
    return tuple(
        _step(middle, logs[start:middle], logs[middle:end])
        for start, middle, end in zip(bounds, bounds[1:], bounds[2:], strict=False)
    )


def _splits(logs: Sequence[float], offset: int, level: float) -> list[int]:
    """Return the indices of the first runs after each step: the surest first, then those in its two parts."""
    best = _best_split(logs, level)
    if best is None:
        return []
    return [
        *_splits(logs[:best], offset, level),
        offset + best,
        *_splits(logs[best:], offset + best, level),
    ]


def _best_split(logs: Sequence[float], level: float) -> int | None:
    """Return the surest split, ``None`` where none is sure enough."""
    splits = range(MIN_BEFORE, len(logs) - MIN_SINCE + 1)
    if len(logs) < MIN_RUNS:
        return None
    from scipy.special import stdtr

    def probability(split: int) -> float:
        """Return how likely so large a difference would be without a step."""
        difference, error, degrees = _difference(logs[:split], logs[split:])
        if error == 0:
            return 0.0 if difference else 1.0
        return float(2 * stdtr(degrees, -abs(difference) / error))

    best = min(splits, key=probability)
    change = math.expm1(abs(_difference(logs[:best], logs[best:])[0]))
    return best if probability(best) * len(splits) <= level and change >= MIN_CHANGE else None


def _difference(before: Sequence[float], since: Sequence[float]) -> tuple[float, float, int]:
    """Return the difference of the means, its standard error from the common spread, and the degrees of freedom."""
    means = fmean(before), fmean(since)
    squares = math.fsum(
        (value - mean) ** 2 for side, mean in zip((before, since), means, strict=True) for value in side
    )
    degrees = len(before) + len(since) - 2
    return means[1] - means[0], math.sqrt(squares / degrees * (1 / len(before) + 1 / len(since))), degrees


def _step(index: int, before: Sequence[float], since: Sequence[float]) -> Step:
    from scipy.special import stdtrit

    difference, error, degrees = _difference(before, since)
    half = float(stdtrit(degrees, (1 + CONFIDENCE_LEVEL) / 2)) * error
    return Step(index, math.expm1(difference), math.expm1(difference - half), math.expm1(difference + half))
