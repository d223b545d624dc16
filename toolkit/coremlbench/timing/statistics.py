"""Statistics of timed calls: the summary of a round, the ratio of two cells, and the shuffled orders of a matrix.

Calls of one process are not independent samples: they share memory layout, CPU placement and temperature, and each
correlates with the one before. So each process gives one median, the rounds are the sample, and cells are compared
within a round. ``docs/method.md`` gives the reasons and the simulation by which the interval was chosen;
``benchmarks/method.py`` runs it.
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
"""The number of quantiles that are saved of a round: at 0, 2.5, 5 … 100 percent."""
CALLS_FOR_P99 = 662
"""The smallest number of calls for which the 99th percentile is given.

With this many it is 99% certain that at least two calls are slower than the true percentile; source: MLPerf's early
stopping (github.com/mlcommons/inference_policies, inference_rules.adoc). For p90 MLPerf requires 64 calls.
"""
OUTLIER_FENCE = 3.0
"""A call is an outlier above the upper quartile plus so many interquartile ranges: Tukey's outer fence."""
CONFIDENCE_LEVEL = 0.96
"""The level of Student's t interval, with which the interval is shown.

An interval of 95% covers the true value in 95% of cases with normal noise, but in as few as 94% with drift or
one-sided noise. At 96% it covers 95% to 97% in the simulation, so equal units are called different in at most 5%.
"""
CLOCK_TICK = 1 / 24e6
"""The resolution of Apple silicon's clock in seconds; other clocks have a higher one."""


@dataclass(frozen=True)
class Summary:
    """The statistics of one round, with the field names of ``Round``; ``None`` where there are too few calls."""

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
    """The ratio of the times of two cells, with its interval over the rounds.

    Below 1 the numerator is faster. ``numerator`` and ``denominator`` are the rounds' medians that it is of.
    ``low`` and ``high`` are ``None`` for a single round, which has no interval. ``different`` is false when the
    interval contains 1 or there is none.
    """

    ratio: float
    low: float | None
    high: float | None
    rounds: int
    different: bool
    method: str
    numerator: tuple[float, ...] = ()
    denominator: tuple[float, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """The typical seconds of a cell: the geometric mean of its rounds' medians, with the interval over the rounds.

    ``low`` and ``high`` are ``None`` for a single round, which has no interval.
    """

    seconds: float
    low: float | None
    high: float | None
    rounds: int


def summarise(wall: NDArray[np.float64]) -> Summary:
    """Return the statistics of a round from the seconds of its calls, in order, of shape (calls,).

    Quantiles are interpolated linearly at position q·(n - 1) of the sorted samples (type 7 of Hyndman & Fan 1996,
    NumPy's default). Outliers are counted but not removed from any statistic.

    Raises:
        ValueError: ``wall`` has another number of axes.
    """
    import numpy as np

    samples = np.asarray(wall, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"Samples must have one axis, the calls in order; these have the shape {samples.shape}.")
    if not samples.size:
        return Summary(calls=0)
    quantiles = np.quantile(samples, np.linspace(0, 1, QUANTILES))
    p50, p90, p95, p99 = (float(quantile) for quantile in np.quantile(samples, (0.5, 0.9, 0.95, 0.99)))
    return Summary(
        calls=samples.size,
        mean=float(samples.mean()),
        quantiles=tuple(float(quantile) for quantile in quantiles),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99 if samples.size >= CALLS_FOR_P99 else None,
        drift=drift(samples),
        autocorrelation=autocorrelation(samples),
        outliers=int(outliers(samples).sum()),
    )


def drift(samples: NDArray[np.float64]) -> float | None:
    """Return the median of the last third of the calls over that of the first third, minus 1.

    ``None`` below three calls, or when the first third took no time.
    """
    import numpy as np

    third = len(samples) // 3
    first = float(np.median(samples[:third])) if third else 0.0
    return float(np.median(samples[-third:])) / first - 1 if first else None


def autocorrelation(samples: NDArray[np.float64]) -> float | None:
    """Return the rank correlation of each call with the next one; ``None`` when the calls do not vary.

    Ranks are used because a single spike of a thousand times the median would hide the correlation of all others.
    """
    import numpy as np

    _, inverse, counts = np.unique(samples, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    before, after = ranks[:-1], ranks[1:]
    if len(before) < 2 or not before.std() or not after.std():
        return None
    return float(np.corrcoef(before, after)[0, 1])


def outliers(samples: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which calls are more than three interquartile ranges above the upper quartile, of shape (calls,)."""
    import numpy as np

    lower, upper = np.quantile(samples, (0.25, 0.75))
    fence = upper + max(OUTLIER_FENCE * (upper - lower), CLOCK_TICK)
    return np.asarray(samples > fence, dtype=np.bool_)


# --- comparing ----------------------------------------------------------------------------------------------


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Return the ratio of two cells from their medians in seconds, one for each round, paired by position.

    It is the geometric mean of the ratios of the rounds. Its interval is Student's t interval of their logarithms.

    Raises:
        ValueError: the two differ in length or are empty, or a median is not a positive number.
    """
    rounds = len(numerator)
    if rounds == 0 or rounds != len(denominator):
        raise ValueError(
            f"Rounds are compared in pairs, but there are {rounds} of one cell and {len(denominator)} of the other."
        )
    logs = [above - below for above, below in zip(_logs(numerator), _logs(denominator), strict=True)]
    tick = CLOCK_TICK / 2 * (1 / min(numerator) + 1 / min(denominator))  # rounding by the clock
    middle, half = _student(logs, tick)
    if half is None:
        return Ratio(
            math.exp(middle), None, None, 1, False, "one round: no interval", tuple(numerator), tuple(denominator)
        )
    return Ratio(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        rounds=rounds,
        different=not middle - half <= 0 <= middle + half,
        method="Student's t on the logarithms of the rounds' ratios",
        numerator=tuple(numerator),
        denominator=tuple(denominator),
    )


def estimate(medians: Sequence[float]) -> Estimate:
    """Return the typical seconds of a cell from its medians in seconds, one for each round.

    To compare cells, use ``ratio``: unlike this estimate it cancels drift and what slowed a whole round.

    Raises:
        ValueError: there is no median, or one is not a positive number.
    """
    if len(medians) == 0:
        raise ValueError("A cell without a round that finished has no figure.")
    middle, half = _student(_logs(medians), CLOCK_TICK / 2 / min(medians))
    if half is None:
        return Estimate(math.exp(middle), None, None, 1)
    return Estimate(math.exp(middle), math.exp(middle - half), math.exp(middle + half), len(medians))


def _logs(medians: Sequence[float]) -> list[float]:
    """Return the logarithms; ``ValueError`` when a median is not a positive number."""
    if not all(math.isfinite(median) and median > 0 for median in medians):
        raise ValueError("A round's median must be a positive number of seconds.")
    return [math.log(median) for median in medians]


def _student(values: Sequence[float], tick: float) -> tuple[float, float | None]:
    """Return the mean and half the width of Student's t interval plus ``tick``; the width is ``None`` for one value."""
    from scipy.special import stdtrit

    number = len(values)
    middle = math.fsum(values) / number
    if number == 1:
        return middle, None
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (number - 1))
    return middle, float(stdtrit(number - 1, (1 + CONFIDENCE_LEVEL) / 2)) * spread / math.sqrt(number) + tick


def ratio_of_rounds(
    numerator: Sequence[Round], denominator: Sequence[Round], *, runtime_clock: bool = False
) -> Ratio | None:
    """Return the ratio of two cells over the rounds in which both succeeded; ``None`` when there is no such round.

    With ``runtime_clock``, Core ML's own durations are compared instead of the wall time of ``predict``.
    """
    above, below = _medians(numerator, runtime_clock), _medians(denominator, runtime_clock)
    common = sorted(above.keys() & below.keys())
    return ratio([above[number] for number in common], [below[number] for number in common]) if common else None


def _medians(rounds: Sequence[Round], runtime_clock: bool) -> dict[int, float]:
    """Return the median seconds of the rounds that succeeded, by the number of the round."""
    medians = {timed.round: timed.own_p50 if runtime_clock else timed.p50 for timed in rounds if timed.failure is None}
    return {number: median for number, median in medians.items() if median}


# --- the schedule -------------------------------------------------------------------------------------------


def orders(cells: int, rounds: int, seed: int, *, blocks: Sequence[Sequence[int]] = ()) -> tuple[tuple[int, ...], ...]:
    """Return the order of the cells 0 … ``cells`` - 1 for each round, shuffled for each round by the seed.

    ``blocks`` lists cells that will be compared with each other, such as the units of one package. The cells of a
    block stay adjacent, so that they run minutes apart and not hours; they are shuffled within the block, and the
    blocks are shuffled too. A cell of no block is a block of its own. The first orders do not depend on ``rounds``.

    Raises:
        ValueError: a block lists a cell that does not exist, or a cell is listed twice.
    """
    listed = [cell for block in blocks for cell in block]
    if len(listed) != len(set(listed)) or not set(listed) <= set(range(cells)):
        raise ValueError(f"Blocks must name cells from 0 to {cells - 1}, each once at most.")
    all_blocks = [*(list(block) for block in blocks), *([cell] for cell in range(cells) if cell not in set(listed))]
    generator = random.Random(f"coremlbench orders {seed}")
    result = []
    for _ in range(rounds):
        sequence = [generator.sample(block, len(block)) for block in generator.sample(all_blocks, len(all_blocks))]
        result.append(tuple(cell for block in sequence for cell in block))
    return tuple(result)
