"""The line search on functions whose minimum is known, and where it has to give up."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.createml.solver.line_search import (
    CURVATURE,
    MAX_EVALUATIONS,
    MAX_STEP,
    MIN_STEP,
    SUFFICIENT_DECREASE,
    Found,
    search,
)

Function = Callable[[float], tuple[float, float]]


def run(function: Function, first_step: float) -> tuple[Found, list[float]]:
    """Return what the search finds on a function, and the steps that it tried."""
    steps: list[float] = []

    def line(step: float) -> tuple[float, float]:
        steps.append(step)
        return function(step)

    return search(line, *function(0.0), first_step), steps


def satisfies_wolfe(function: Function, step: float) -> bool:
    """Return whether a step decreases the function enough and flattens it enough."""
    (start, start_slope), (value, slope) = function(0.0), function(step)
    enough = start + SUFFICIENT_DECREASE * step * start_slope + 1e-12 * abs(start)
    return value <= enough and abs(slope) <= CURVATURE * abs(start_slope)


def rational(step: float) -> tuple[float, float]:
    """Moré and Thuente's first test function, with its minimum at the root of 2."""
    return -step / (step * step + 2), (step * step - 2) / (step * step + 2) ** 2


def steep(step: float) -> tuple[float, float]:
    """Moré and Thuente's second test function, with its minimum at 1.596 behind a flat stretch."""
    base = step + 0.004
    return base**5 - 2 * base**4, 5 * base**4 - 8 * base**3


def wavy(step: float) -> tuple[float, float]:
    """A quadratic with waves on it."""
    return (step - 3) ** 2 + math.sin(5 * step), 2 * (step - 3) + 5 * math.cos(5 * step)


@pytest.mark.parametrize("function", [rational, steep, wavy])
@pytest.mark.parametrize("first_step", [1e-3, 0.1, 1.0, 10.0, 25.0, 1e4])
def test_a_found_step_satisfies_the_strong_wolfe_conditions(function: Function, first_step: float) -> None:
    found, steps = run(function, first_step)
    assert found.usable
    assert found.evaluations == len(steps) <= MAX_EVALUATIONS
    assert found.step == steps[-1]
    if found.step < MAX_STEP:
        assert satisfies_wolfe(function, found.step)


@given(st.floats(0.1, 24.0), st.floats(1e-3, 1e3), st.floats(0.0, 10.0), st.floats(1e-2, 20.0), st.floats(-1e3, 1e3))
def test_convex_functions_are_searched_within_the_limit(
    minimum: float, curvature: float, quartic: float, first_step: float, offset: float
) -> None:
    def function(step: float) -> tuple[float, float]:
        away = step - minimum
        return offset + curvature * away**2 + quartic * away**4, 2 * curvature * away + 4 * quartic * away**3

    found, steps = run(function, first_step)
    assert found.evaluations == len(steps) <= MAX_EVALUATIONS
    assert all(MIN_STEP <= step <= MAX_STEP for step in steps)
    if found.usable and found.evaluations < MAX_EVALUATIONS:
        assert satisfies_wolfe(function, found.step)


def test_the_first_two_brackets_are_halved_and_extrapolation_is_by_four() -> None:
    """Turi Create's habits: 1, then 1 + 4 (1 - 1e-9), and the middle of the first bracket."""
    _, steps = run(lambda step: ((step - 4.0) ** 2, 2 * (step - 4.0)), 0.5)
    assert steps[:2] == pytest.approx([0.5, 2.5], abs=1e-8)
    _, steps = run(lambda step: (abs(step - 0.3) ** 1.5, 1.5 * math.copysign(abs(step - 0.3) ** 0.5, step - 0.3)), 8.0)
    assert steps[1] == pytest.approx(4.0, abs=1e-8)


def test_a_step_that_is_too_small_is_not_tried() -> None:
    assert run(rational, MIN_STEP) == (Found(MIN_STEP, 0, usable=False), [])


def test_a_line_that_falls_for_ever_is_left_at_the_largest_step() -> None:
    found, _ = run(lambda step: (-step, -1.0), 1.0)
    assert (found.step, found.usable) == (MAX_STEP, True)


def test_no_step_is_found_uphill() -> None:
    found, _ = run(lambda step: (step, 1.0), 1.0)
    assert not found.usable


def test_a_slope_of_the_wrong_sign_ends_the_search() -> None:
    """The value rises where the slope says that it falls: the bracket shrinks to nothing."""
    found, steps = run(lambda step: (step, -1.0), 1.0)
    assert not found.usable or found.evaluations == MAX_EVALUATIONS
    assert len(steps) == found.evaluations <= MAX_EVALUATIONS


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_end_the_search(value: float) -> None:
    found, steps = run(lambda step: (1.0, -1.0) if step == 0 else (value, value), 1.0)
    assert len(steps) == found.evaluations <= MAX_EVALUATIONS
