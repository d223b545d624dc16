"""The summary of a round, the ratio of two cells, and the orders of a matrix."""

import importlib.util
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr, ttest_1samp

from coremlbench.timing.statistics import (
    CALLS_FOR_P99,
    Estimate,
    Ratio,
    Summary,
    estimate,
    orders,
    outliers,
    ratio,
    ratio_of_rounds,
    summarise,
)
from coremlbench.types.failure import Failure
from coremlbench.types.timing import Round

SECONDS = st.floats(1e-6, 10.0)


def some_calls(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(5, 1e-4, number)


# --- a round ------------------------------------------------------------------------------------------------


def test_the_summary_has_numpys_quantiles_and_leaves_nothing_out() -> None:
    calls = some_calls(1000)
    calls[17] = 30.0
    summary = summarise(calls)
    assert summary.calls == 1000
    assert summary.mean == pytest.approx(calls.mean())
    assert summary.mean is not None
    assert summary.mean > 0.03  # the call of 30 seconds is in it
    assert len(summary.quantiles) == 41
    assert summary.quantiles[0] == calls.min()
    assert summary.quantiles[-1] == 30.0
    assert summary.quantiles[20] == summary.p50 == np.median(calls)
    assert (summary.p90, summary.p95, summary.p99) == tuple(np.quantile(calls, [0.9, 0.95, 0.99]))
    assert summary.outliers == 1


def test_the_summarys_names_are_those_of_a_round() -> None:
    named = set(Summary.__dataclass_fields__)
    assert named <= set(Round.__dataclass_fields__)
    assert replace(Round(0, 0, "", 0.0), **vars(summarise(some_calls(700)))).p99 is not None


def test_a_99th_percentile_needs_662_calls() -> None:
    assert summarise(some_calls(CALLS_FOR_P99 - 1)).p99 is None
    assert summarise(some_calls(CALLS_FOR_P99)).p99 is not None


def test_662_is_the_least_number_of_calls_with_two_above_the_percentile() -> None:
    def doubt(calls: int) -> float:
        """Return how likely fewer than two of the calls are above the true 99th percentile."""
        return 0.99**calls + calls * 0.01 * 0.99 ** (calls - 1)

    assert doubt(CALLS_FOR_P99) <= 0.01 < doubt(CALLS_FOR_P99 - 1)


def test_drift_compares_the_last_third_with_the_first() -> None:
    assert summarise(np.linspace(1.0, 1.3, 300)).drift == pytest.approx(1.25 / 1.05 - 1, abs=1e-3)
    assert summarise(np.full(300, 0.5)).drift == 0.0
    assert summarise(np.array([0.1, 0.2])).drift is None


def test_autocorrelation_is_that_of_ranks_so_a_spike_hides_nothing() -> None:
    noise = np.random.default_rng(3).normal(size=4000)
    for index in range(1, len(noise)):
        noise[index] += 0.8 * noise[index - 1]
    calls = np.exp(0.05 * noise) / 1000
    assert summarise(calls).autocorrelation == pytest.approx(spearmanr(calls[:-1], calls[1:])[0], abs=1e-3)
    calls[::997] = 5.0
    assert np.corrcoef(calls[:-1], calls[1:])[0, 1] < 0.1
    autocorrelation = summarise(calls).autocorrelation
    assert autocorrelation is not None
    assert autocorrelation > 0.7


def test_calls_that_never_vary_have_no_autocorrelation_and_no_outliers() -> None:
    summary = summarise(np.full(500, 0.25))
    assert summary.autocorrelation is None
    assert summary.outliers == 0


def test_outliers_lie_three_interquartile_ranges_above_the_upper_quartile() -> None:
    calls = np.concatenate([np.linspace(1.0, 2.0, 101), [4.0, 3.2, 0.001]])
    lower, upper = np.quantile(calls, [0.25, 0.75])
    assert list(outliers(calls)) == list(calls > upper + 3 * (upper - lower))
    assert list(np.flatnonzero(outliers(calls))) == [101]


def test_one_tick_of_the_clock_is_no_outlier() -> None:
    calls = np.full(100, 50e-6)
    calls[3] += 41e-9
    calls[4] += 200e-9
    assert list(np.flatnonzero(outliers(calls))) == [4]


def test_no_calls_make_an_empty_summary_and_a_table_is_refused() -> None:
    assert summarise(np.empty(0)) == Summary(calls=0)
    with pytest.raises(ValueError, match="one axis"):
        summarise(np.ones((2, 3)))


@given(st.lists(SECONDS, min_size=1, max_size=60))
def test_a_summary_is_always_in_order(calls: list[float]) -> None:
    summary = summarise(np.array(calls))
    assert list(summary.quantiles) == sorted(summary.quantiles)
    assert summary.p50 is not None
    assert summary.p90 is not None
    assert summary.p95 is not None
    assert summary.mean is not None
    assert min(calls) <= summary.p50 <= summary.p90 <= summary.p95 <= max(calls)
    assert min(calls) <= summary.mean * (1 + 1e-12)
    assert summary.autocorrelation is None or -1 - 1e-9 <= summary.autocorrelation <= 1 + 1e-9
    assert 0 <= summary.outliers < len(calls)


# --- two units ----------------------------------------------------------------------------------------------


def test_the_interval_is_students_on_logarithms() -> None:
    numerator, denominator = [1.0, 1.1, 1.05, 0.98, 1.2], [2.0, 2.1, 2.2, 1.9, 2.5]
    result = ratio(numerator, denominator)
    logs = np.log(numerator) - np.log(denominator)
    expected = ttest_1samp(logs, 0).confidence_interval(0.96)
    assert result.ratio == pytest.approx(math.exp(logs.mean()))
    assert (result.low, result.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)), rel=1e-6)
    assert result.rounds == 5
    assert result.different
    assert "Student" in result.method


def test_a_cells_figure_is_the_geometric_mean_of_its_rounds() -> None:
    medians = [1.0, 1.1, 1.05, 0.98, 1.2]
    result = estimate(medians)
    expected = ttest_1samp(np.log(medians), 0).confidence_interval(0.96)
    assert result.seconds == pytest.approx(math.exp(np.log(medians).mean()))
    assert (result.low, result.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)), rel=1e-6)
    assert result.rounds == 5
    assert estimate([0.5]) == Estimate(0.5, None, None, 1)
    with pytest.raises(ValueError, match="without a round"):
        estimate([])
    with pytest.raises(ValueError, match="positive"):
        estimate([1.0, -1.0])


def test_rounds_are_paired_so_what_slows_both_alike_does_not_count() -> None:
    slow = np.array([1.0, 1.4, 0.9, 1.6, 1.2])
    unit = slow * np.array([0.5, 0.501, 0.499, 0.5, 0.502])
    paired, unpaired = ratio(list(unit), list(slow)).high, ratio(list(unit), list(slow[[2, 0, 3, 1, 4]])).high
    assert paired is not None
    assert unpaired is not None
    assert paired < 0.51
    assert unpaired > 0.6


def test_no_difference_is_shown_when_the_interval_holds_one() -> None:
    result = ratio([1.0, 1.1, 0.9, 1.05, 0.95], [1.0] * 5)
    assert result.low is not None
    assert result.high is not None
    assert result.low < 1 < result.high
    assert not result.different


def test_one_round_gives_a_ratio_without_an_interval() -> None:
    assert ratio([1.0], [2.0]) == Ratio(0.5, None, None, 1, False, "one round: no interval", (1.0,), (2.0,))


def test_less_than_a_tick_of_the_clock_is_no_difference() -> None:
    assert not ratio([10.00e-6] * 5, [10.04e-6] * 5).different
    assert ratio([10.0e-6] * 5, [10.4e-6] * 5).different
    assert ratio([10.00e-3] * 5, [10.04e-3] * 5).different


@pytest.mark.parametrize(
    ("numerator", "denominator", "says"),
    [
        ([], [], "in pairs"),
        ([1.0], [1.0, 2.0], "in pairs"),
        ([0.0], [1.0], "positive"),
        ([1.0], [math.nan], "positive"),
    ],
)
def test_what_cannot_be_compared_is_refused(numerator: list[float], denominator: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ratio(numerator, denominator)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=8), st.floats(0.1, 10))
def test_a_ratio_turned_round_is_its_reciprocal_and_units_of_time_do_not_matter(
    pairs: list[tuple[float, float]], scale: float
) -> None:
    above, below = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    result, turned = ratio(above, below), ratio(below, above)
    assert result.low is not None
    assert result.high is not None
    assert result.low <= result.ratio <= result.high
    assert turned.ratio == pytest.approx(1 / result.ratio)
    assert turned.different == result.different
    assert ratio([median * scale for median in above], [median * scale for median in below]).ratio == pytest.approx(
        result.ratio
    )


def test_cells_are_compared_over_the_rounds_that_both_finished() -> None:
    def cell(*medians: float | None) -> tuple[Round, ...]:
        broken = Failure("crash", "It crashed.", "")
        return tuple(
            Round(number, 0, "", 0.0, p50=median, own_p50=median and median / 2, failure=None if median else broken)
            for number, median in enumerate(medians)
        )

    result = ratio_of_rounds(cell(1.0, None, 1.1, 1.2), cell(2.0, 9.0, 2.2, None))
    assert result == ratio([1.0, 1.1], [2.0, 2.2])
    by_runtime_clock = ratio_of_rounds(cell(1.0, 1.1), cell(2.0, 2.2), runtime_clock=True)
    assert by_runtime_clock is not None
    assert by_runtime_clock.ratio == pytest.approx(0.5)
    assert ratio_of_rounds(cell(1.0, None), cell(None, 2.0)) is None


@pytest.fixture(scope="module")
def method() -> Iterator[Any]:
    """The benchmark that simulates matrices, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "method.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_the_method", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("rounds", [3, 5])
def test_the_interval_covers_the_true_ratio_of_simulated_matrices(method: Any, rounds: int) -> None:
    noise = method.NOISES[0]
    simulated = method.simulate(noise, method.shuffled, rounds, 600, seed=7, ratio=0.5)
    assert 93 <= method.covers(method.chosen(simulated), math.log(0.5)) <= 98
    assert method.covers(method.every_call(simulated), math.log(0.5)) < 90  # calls are no independent samples


def test_a_drift_bends_a_fixed_order_and_not_the_shuffled_one(method: Any) -> None:
    noise = replace(method.NOISES[0], drift=0.2, process=0.005, round=0.005)
    off = {
        schedule: np.exp(method.simulate(noise, schedule, 5, 400, seed=3).difference.mean()) - 1
        for schedule in (method.shuffled, method.fixed)
    }
    assert abs(off[method.shuffled]) < 0.002
    assert off[method.fixed] < -0.02


# --- the schedule -------------------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(0, 8), st.integers())
def test_every_round_runs_every_cell_once_and_the_seed_decides(cells: int, rounds: int, seed: int) -> None:
    sequences = orders(cells, rounds, seed)
    assert [sorted(order) for order in sequences] == [list(range(cells))] * rounds
    assert sequences == orders(cells, rounds, seed)
    assert orders(cells, rounds + 3, seed)[:rounds] == sequences


def test_orders_differ_from_round_to_round_and_from_seed_to_seed() -> None:
    assert len(set(orders(8, 5, 0))) == 5
    assert orders(8, 5, 0) != orders(8, 5, 1)


def test_each_cell_comes_to_each_place_equally_often() -> None:
    counts = np.zeros((4, 4))
    for order in orders(4, 4000, 1):
        counts[order, range(4)] += 1
    assert counts.min() > 900
    assert counts.max() < 1100


def test_the_units_of_a_block_stay_together_and_are_shuffled() -> None:
    sequences = orders(7, 40, 5, blocks=[(0, 3, 6), (1, 2)])
    for order in sequences:
        assert sorted(order) == list(range(7))
        for block in ({0, 3, 6}, {1, 2}):
            places = [order.index(cell) for cell in block]
            assert max(places) - min(places) == len(block) - 1
    assert {tuple(cell for cell in order if cell in {1, 2}) for order in sequences} == {(1, 2), (2, 1)}
    assert len({order.index(4) for order in sequences}) > 3


@pytest.mark.parametrize("blocks", [[(0, 1), (1, 2)], [(0, 9)], [(-1,)]])
def test_blocks_of_cells_that_are_not_there_are_refused(blocks: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="each once at most"):
        orders(3, 1, 0, blocks=blocks)
