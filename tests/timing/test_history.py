"""Steps in histories of runs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.timing.history import MIN_RUNS, find_steps


def history(*levels: float, spread: float = 0.01, seed: int = 0) -> list[float]:
    """Return the seconds of a call in runs at these levels, with normal noise."""
    noise = np.random.default_rng(seed).normal(size=len(levels))
    seconds: list[float] = (1e-3 * np.array(levels) * np.exp(spread * noise)).tolist()
    return seconds


def test_a_step_is_named_where_it_is_with_its_interval() -> None:
    (step,) = find_steps(history(*[1.0] * 8, *[1.12] * 5))
    assert step.index == 8
    assert step.change == pytest.approx(0.12, abs=0.02)
    assert step.low < step.change < step.high
    assert 0.01 < step.high - step.low < 0.05
    (faster,) = find_steps(history(*[1.12] * 8, *[1.0] * 5))
    assert faster.change == pytest.approx(1 / 1.12 - 1, abs=0.02)


def test_two_steps_are_both_named() -> None:
    steps = find_steps(history(*[1.0] * 8, *[1.2] * 8, *[1.5] * 8))
    assert [step.index for step in steps] == [8, 16]
    assert steps[1].change == pytest.approx(0.25, abs=0.03)


def test_one_odd_run_is_no_step() -> None:
    assert find_steps(history(*[1.0] * 10, 1.3)) == ()
    assert find_steps(history(*[1.0] * 5, 1.3, *[1.0] * 5)) == ()


def test_noise_has_no_step() -> None:
    named = sum(bool(find_steps(history(*[1.0] * 20, spread=0.03, seed=seed))) for seed in range(300))
    assert named <= 0.02 * 300


def test_the_more_histories_there_are_the_surer_a_step_must_be() -> None:
    seconds = history(*[1.0] * 6, *[1.1] * 3, spread=0.01, seed=3)
    assert find_steps(seconds)
    assert not find_steps(seconds, histories=10**6)


def test_too_small_steps_and_too_short_histories_are_left_out() -> None:
    assert find_steps([1.0] * 10 + [1.004] * 10) == ()
    assert [step.index for step in find_steps([1.0] * 10 + [1.01] * 10)] == [10]
    assert find_steps([1.0] * (MIN_RUNS - 3) + [2.0] * 2) == ()
    assert find_steps([]) == ()


@given(st.lists(st.floats(1e-6, 1e3), max_size=25))
def test_steps_are_in_order_and_within_their_intervals(seconds: list[float]) -> None:
    steps = find_steps(seconds)
    assert [step.index for step in steps] == sorted({step.index for step in steps})
    assert all(-1 < step.low <= step.change <= step.high for step in steps)


def test_what_is_no_time_is_refused() -> None:
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="positive number"):
            find_steps([1.0] * 5 + [wrong])
