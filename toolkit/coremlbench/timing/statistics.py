"""Turn raw seconds into figures: the summary of one round, the order of a matrix, and the ratio of two units.

Calls of one process are no independent samples: they share its memory layout, its placement and its heat, and each
resembles the one before. So nothing here treats them as such. One process gives one median, the rounds are what is
sampled, and units are compared within a round. ``docs/method.md`` gives the reasons and the simulation that chose
among the intervals; ``benchmarks/method.py`` runs it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coremlbench.types.timing import Round

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUANTILES = 41
"""Quantiles kept of a round: at 0, 2.5, 5 … 100 percent."""
CALLS_FOR_P99 = 662
"""The least calls that a 99th percentile is given for.

So many are needed to be 99% sure that at least two calls in the sample are slower than the true percentile; source:
MLPerf's early stopping (github.com/mlcommons/inference_policies, inference_rules.adoc). For p90 it asks 64 calls.
"""
OUTLIER_FENCE = 3.0
"""Interquartile ranges above the upper quartile from which on a call is called an outlier: Tukey's outer fence."""
LEVEL = 0.96
"""The confidence level that an interval is computed at to be called a 95% interval.

A 95% interval of Student's covers 95 of 100 when everything is normal and as little as 94 when a drift or a one-sided
noise is not. At 96% it covers 95 to 97 of 100 in the simulation, so that equal units are called different in at most
5 of 100.
"""
CLOCK_TICK = 1 / 24e6
"""Seconds between two readings that Apple silicon's clock can tell apart; other clocks are finer."""


@dataclass(frozen=True)
class Summary:
    """The figures of one round, under the names that ``Round`` has for them; ``None`` where the calls are too few."""

    calls: int
    mean: float | None = None
    quantiles: tuple[float, ...] = ()
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    drift: float | None = None
    autocorrelation: float | None = None
    outliers: int = 0


@dataclass(frozen=True)
class Ratio:
    """How many times as long the one takes as the other, with the 95% interval over the rounds.

    Below 1 the numerator is the faster one. ``low`` and ``high`` are ``None`` when a single round gives no interval.
    ``different`` is false when the interval holds 1 or there is none: no difference is shown.
    """

    ratio: float
    low: float | None
    high: float | None
    rounds: int
    different: bool
    method: str


@dataclass(frozen=True)
class Estimate:
    """What a cell typically takes: the geometric mean of its rounds' medians, with the 95% interval over the rounds.

    ``low`` and ``high`` are ``None`` when a single round gives no interval.
    """

    seconds: float
    low: float | None
    high: float | None
    rounds: int


def summarise(wall: NDArray[np.float64]) -> Summary:
    """Return the figures of a round from the seconds of its calls in the order they were made.

    A quantile lies between the two samples around position q·(n - 1) of the sorted ones, linearly (number 7 of
    Hyndman & Fan 1996, NumPy's default). No call is left out of any figure; outliers are counted beside them.
    """
    import numpy as np

    samples = np.asarray(wall, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"Samples must have one axis, the calls in order; these have the shape {samples.shape}.")
    if not samples.size:
        return Summary(calls=0)
    quantiles = np.quantile(samples, np.linspace(0, 1, QUANTILES))
    p50, p90, p95, p99 = (float(each) for each in np.quantile(samples, (0.5, 0.9, 0.95, 0.99)))
    return Summary(
        calls=samples.size,
        mean=float(samples.mean()),
        quantiles=tuple(float(each) for each in quantiles),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99 if samples.size >= CALLS_FOR_P99 else None,
        drift=drift(samples),
        autocorrelation=autocorrelation(samples),
        outliers=int(outliers(samples).sum()),
    )


def drift(samples: NDArray[np.float64]) -> float | None:
    """Return the median of the last third of the calls over that of the first, less 1; ``None`` below three calls."""
    import numpy as np

    third = len(samples) // 3
    first = float(np.median(samples[:third])) if third else 0.0
    return float(np.median(samples[-third:])) / first - 1 if first else None


def autocorrelation(samples: NDArray[np.float64]) -> float | None:
    """Return the correlation of each call's rank with the next one's; ``None`` where nothing varies.

    Ranks, because a single spike of a thousand times the median would hide what the other calls do.
    """
    import numpy as np

    _, place, counts = np.unique(samples, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    before, after = ranks[:-1], ranks[1:]
    if len(before) < 2 or not before.std() or not after.std():
        return None
    return float(np.corrcoef(before, after)[0, 1])


def outliers(samples: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which calls lie far above the rest: more than three interquartile ranges above the upper quartile."""
    import numpy as np

    lower, upper = np.quantile(samples, (0.25, 0.75))
    fence = upper + max(OUTLIER_FENCE * (upper - lower), CLOCK_TICK)
    return np.asarray(samples > fence, dtype=np.bool_)


# --- comparing ----------------------------------------------------------------------------------------------


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Return how the medians of one cell compare with those of another, round by round.

    Both hold one median a round, in seconds; the same place is the same round. The ratio is the geometric mean of
    the rounds' own; its interval is Student's on their logarithms, with the rounds as the sample.

    Raises:
        ValueError: the two differ in length, hold no round, or a median is not a positive number.
    """
    rounds = len(numerator)
    if rounds == 0 or rounds != len(denominator):
        raise ValueError(f"Rounds go in pairs, and here are {rounds} of one and {len(denominator)} of another.")
    logs = [above - below for above, below in zip(_logs(numerator), _logs(denominator), strict=True)]
    tick = CLOCK_TICK / 2 * (1 / min(numerator) + 1 / min(denominator))  # what the clock rounded off
    middle, half = _student(logs, tick)
    if half is None:
        return Ratio(math.exp(middle), None, None, 1, different=False, method="one round: no interval")
    return Ratio(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        rounds=rounds,
        different=not middle - half <= 0 <= middle + half,
        method="Student's t on the logarithms of the rounds' ratios",
    )


def estimate(medians: Sequence[float]) -> Estimate:
    """Return what a cell takes, from one median a round in seconds.

    Unlike the ratio it is not freed from a drift or from what slowed a whole round: compare cells by their ratio.

    Raises:
        ValueError: there is no round, or a median is not a positive number.
    """
    if len(medians) == 0:
        raise ValueError("A cell without a round that finished has no figure.")
    middle, half = _student(_logs(medians), CLOCK_TICK / 2 / min(medians))
    if half is None:
        return Estimate(math.exp(middle), None, None, 1)
    return Estimate(math.exp(middle), math.exp(middle - half), math.exp(middle + half), len(medians))


def _logs(medians: Sequence[float]) -> list[float]:
    if not all(math.isfinite(each) and each > 0 for each in medians):
        raise ValueError("A round's median must be a positive number of seconds.")
    return [math.log(each) for each in medians]


def _student(values: Sequence[float], tick: float) -> tuple[float, float | None]:
    """Return the mean and half the width of Student's interval, ``tick`` wider; no width for a single value."""
    from scipy.special import stdtrit

    number = len(values)
    middle = math.fsum(values) / number
    if number == 1:
        return middle, None
    spread = math.sqrt(math.fsum((each - middle) ** 2 for each in values) / (number - 1))
    return middle, float(stdtrit(number - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(number) + tick


def ratio_of_rounds(numerator: Sequence[Round], denominator: Sequence[Round], *, own: bool = False) -> Ratio | None:
    """Return how two cells compare over the rounds that both finished; ``None`` when there is no such round.

    With ``own`` Core ML's own durations are compared in place of the wall time of ``predict``.
    """
    above, below = _medians(numerator, own), _medians(denominator, own)
    both = sorted(above.keys() & below.keys())
    return ratio([above[each] for each in both], [below[each] for each in both]) if both else None


def _medians(rounds: Sequence[Round], own: bool) -> dict[int, float]:
    medians = {each.round: each.own_p50 if own else each.p50 for each in rounds if each.failure is None}
    return {number: median for number, median in medians.items() if median}


# --- the schedule -------------------------------------------------------------------------------------------


def orders(cells: int, rounds: int, seed: int, *, blocks: Sequence[Sequence[int]] = ()) -> tuple[tuple[int, ...], ...]:
    """Return the order in which each round runs the cells 0 … ``cells`` - 1, shuffled anew each round by the seed.

    ``blocks`` names cells that will be compared with each other, such as the units of one package. They stay next to
    each other, shuffled among themselves, and the blocks are shuffled too: so a drift of hours falls on a pair as
    that of minutes. A cell of no block is a block of its own. More rounds leave the order of the first ones as it is.

    Raises:
        ValueError: a block names a cell that is not there, or one cell stands in two.
    """
    named = [cell for block in blocks for cell in block]
    if len(named) != len(set(named)) or not set(named) <= set(range(cells)):
        raise ValueError(f"Blocks must name cells from 0 to {cells - 1}, each once at most.")
    whole = [*(list(block) for block in blocks), *([cell] for cell in range(cells) if cell not in set(named))]
    shuffled = random.Random(f"coremlbench orders {seed}")
    result = []
    for _ in range(rounds):
        sequence = [shuffled.sample(block, len(block)) for block in shuffled.sample(whole, len(whole))]
        result.append(tuple(cell for block in sequence for cell in block))
    return tuple(result)
