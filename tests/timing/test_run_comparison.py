"""The ratio of two runs, the decision on a limit, and the advised number of rounds."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from coremlbench.timing.run_comparison import (
    MAX_ADVISED_ROUNDS,
    Comparison,
    advised_rounds,
    compare_paired,
    compare_runs,
    decide,
)
from coremlbench.timing.statistics import CONFIDENCE_LEVEL

SECONDS = st.lists(st.floats(1e-3, 1.0), min_size=4, max_size=12)


def run(rounds: int, *, ratio: float = 1.0, spread: float = 0.03, seed: int = 0, drift: float = 0.0) -> list[float]:
    """Return the medians of a run whose rounds have normal noise, and a drift over the whole run."""
    noise = np.random.default_rng(seed).normal(size=rounds)
    seconds: list[float] = (ratio * np.exp(spread * noise + drift * np.arange(rounds) / rounds)).tolist()
    return seconds


def test_short_runs_are_compared_by_students_t() -> None:
    before, after = run(3, seed=1), run(3, ratio=1.2, seed=2)
    interval = ttest_ind(np.log(after), np.log(before)).confidence_interval(CONFIDENCE_LEVEL)
    comparison = compare_runs([before], [after])
    assert comparison.low == pytest.approx(math.exp(interval.low), rel=1e-6)
    assert comparison.high == pytest.approx(math.exp(interval.high), rel=1e-6)


def test_a_drift_within_the_runs_is_not_taken_for_noise() -> None:
    widths = []
    for drift in (0.0, 0.5):
        comparison = compare_runs([run(8, seed=1, drift=drift)], [run(8, seed=2, drift=-drift)])
        assert comparison.low is not None
        assert comparison.high is not None
        widths.append(math.log(comparison.high / comparison.low))
    assert widths[1] == pytest.approx(widths[0], rel=1e-3)


def test_one_round_has_no_interval_and_decides_nothing() -> None:
    comparison = compare_runs([[1.0]], [[2.0]])
    assert (comparison.ratio, comparison.low, comparison.high) == (2.0, None, None)
    assert decide(comparison, 0.05) == "cannot tell"
    assert advised_rounds(comparison, 0.05) == 10
    assert decide(compare_paired([1.0], [2.0]), 0.05) == "cannot tell"


def test_only_an_interval_beyond_the_limit_fails_and_only_one_within_passes() -> None:
    assert decide(Comparison(1.1, 1.0501, 1.2, 5), 0.05) == "failed"
    assert decide(Comparison(1.1, 1.05, 1.2, 5), 0.05) == "cannot tell"
    assert decide(Comparison(1.0, 0.95, 1.05, 5), 0.05) == "cannot tell"
    assert decide(Comparison(0.5, 0.4, 1.0499, 5), 0.05) == "passed"


@given(SECONDS, SECONDS, st.floats(1e-3, 1e3))
def test_a_ratio_is_the_same_in_any_unit_and_its_inverse_the_other_way(
    before: list[float], after: list[float], factor: float
) -> None:
    forwards = compare_runs([before], [after])
    backwards = compare_runs([after], [before])
    scaled = compare_runs([[factor * value for value in before]], [[factor * value for value in after]])
    assert forwards.ratio * backwards.ratio == pytest.approx(1.0)
    assert scaled.ratio == pytest.approx(forwards.ratio)
    assert forwards.low is not None
    assert backwards.high is not None
    assert forwards.low * backwards.high == pytest.approx(1.0)


def test_runs_that_differ_as_a_whole_widen_the_interval() -> None:
    levels = (0.9, 1.0, 1.1, 0.95, 1.05)
    one = compare_runs([run(10, seed=1)], [run(10, seed=9)])
    several = compare_runs(
        [run(10, ratio=level, seed=number) for number, level in enumerate(levels)], [run(10, seed=9)]
    )
    assert one.high is not None
    assert several.high is not None
    assert not one.between_runs
    assert several.between_runs
    assert several.high > one.high
    assert advised_rounds(several, 0.05) is None


def test_what_is_no_time_is_refused() -> None:
    sides: list[list[list[float]]] = [[], [[]], [[1.0, 0.0]], [[1.0, math.nan]], [[1.0, math.inf]]]
    for wrong in sides:
        with pytest.raises(ValueError, match="round"):
            compare_runs([[1.0, 1.0]], wrong)


def decisions(rounds: int, ratio: float, *, paired: bool) -> list[Comparison]:
    """Return the comparisons of 300 pairs of runs; the spread of a paired ratio is that of two runs."""
    comparisons = []
    for number in range(300):
        before, after = run(rounds, seed=2 * number), run(rounds, ratio=ratio, seed=2 * number + 1)
        comparisons.append(compare_paired(before, after) if paired else compare_runs([before], [after]))
    return comparisons


@pytest.mark.parametrize("paired", [False, True])
def test_the_advised_rounds_find_twice_the_limit_and_pass_what_is_equal(paired: bool) -> None:
    unsure = [one for one in decisions(5, 1.1, paired=paired) if decide(one, 0.05) == "cannot tell"]
    advice = sorted(number for one in unsure if (number := advised_rounds(one, 0.05)) is not None)
    assert len(unsure) > 100
    rounds = advice[len(advice) // 2]
    assert 10 <= rounds <= 60
    assert Counter(decide(one, 0.05) for one in decisions(rounds, 1.1, paired=paired))["failed"] >= 0.95 * 300
    assert Counter(decide(one, 0.05) for one in decisions(rounds, 1.0, paired=paired))["passed"] >= 0.95 * 300


@pytest.mark.parametrize("paired", [False, True])
def test_what_is_slower_by_the_limit_itself_seldom_fails(paired: bool) -> None:
    assert Counter(decide(one, 0.05) for one in decisions(5, 1.05, paired=paired))["failed"] <= 0.05 * 300


def test_where_no_number_of_rounds_would_do_none_is_advised() -> None:
    noisy = compare_runs([run(5, spread=1.0, seed=1)], [run(5, spread=1.0, seed=2)])
    assert advised_rounds(noisy, 0.05) is None
    ticks = compare_runs([[1e-6] * 5], [[1e-6, 1e-6, 1e-6, 1e-6, 1.01e-6]])
    assert advised_rounds(ticks, 0.01) is None
    quiet = compare_runs([run(5, spread=1e-4, seed=1)], [run(5, spread=1e-4, ratio=1.05, seed=2)])
    advice = advised_rounds(quiet, 0.05)
    assert advice is not None
    assert 10 <= advice <= MAX_ADVISED_ROUNDS
