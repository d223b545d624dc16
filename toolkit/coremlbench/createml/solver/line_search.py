"""The line search of Moré and Thuente with Turi Create's constants and habits.

Source: Moré and Thuente, ACM TOMS 20 (1994), 286-307, in the form of Nocedal's L-BFGS. Where Turi Create differs from
both, the comments say so; SciPy's search (DCSRCH) extrapolates otherwise. ``min`` and ``max`` are Python's, in the
order of Turi Create's arguments: like those of C++ they return the first argument when the second is not a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SUFFICIENT_DECREASE, CURVATURE = 1e-4, 0.7
MIN_STEP, MAX_STEP = 1e-9, 25.0
MAX_EVALUATIONS = 20
EXTRAPOLATION = 4.0
SHRINKING = 0.66

Line = Callable[[float], tuple[float, float]]
"""Returns value and slope of the function at a step."""


@dataclass(frozen=True)
class Found:
    """The result of a search: the step, the evaluations it took, and whether the step can be used."""

    step: float
    evaluations: int
    usable: bool


@dataclass(frozen=True)
class _Trial:
    """A step with its value and slope, in NumPy's arithmetic: a division by zero gives infinity, not an exception."""

    step: np.float64
    value: np.float64
    slope: np.float64

    def without_decrease(self, decrease: np.float64) -> _Trial:
        """Return the trial for the function less the line that a sufficient decrease is measured by."""
        return _Trial(self.step, self.value - self.step * decrease, self.slope - decrease)

    def with_decrease(self, decrease: np.float64) -> _Trial:
        """Return the trial that ``without_decrease`` was called on."""
        return _Trial(self.step, self.value + self.step * decrease, self.slope + decrease)


@dataclass(frozen=True)
class _Interval:
    """The interval of uncertainty: its best end, the other end, and whether a minimum is known to be between them."""

    best: _Trial
    other: _Trial
    bracketed: bool = False

    @property
    def width(self) -> np.float64:
        """Return the distance between the ends."""
        return np.float64(abs(self.other.step - self.best.step))


def search(line: Line, value: float, slope: float, first_step: float) -> Found:
    """Return a step that decreases the function enough and flattens it enough (the strong Wolfe conditions).

    ``value`` and ``slope`` are those at step 0, ``first_step`` is tried first. After ``MAX_EVALUATIONS`` the best step
    so far is returned, as Turi Create does.
    """
    with np.errstate(all="ignore"):
        return _search(line, np.float64(value), np.float64(slope), np.float64(first_step))


def _search(line: Line, value: np.float64, slope: np.float64, step: np.float64) -> Found:
    if step <= MIN_STEP:
        return Found(float(step), 0, usable=False)
    decrease, curvature = SUFFICIENT_DECREASE * slope, CURVATURE * slope
    start = _Trial(np.float64(MIN_STEP), value, slope)  # Turi Create's start is at the smallest step, not at 0
    interval, first_stage, interpolated = _Interval(start, start), True, True
    # Turi Create takes the widths before the first two brackets as negative, so both of them are halved.
    width, width_before = np.float64(MIN_STEP - MAX_STEP), np.float64(2 * (MIN_STEP - MAX_STEP))
    for evaluations in range(1, MAX_EVALUATIONS + 1):
        low, high = _bounds(interval, step)
        step = np.float64(min(max(step, MIN_STEP), MAX_STEP))
        too_narrow = interval.bracketed and high - low <= MIN_STEP
        if not interpolated or too_narrow:
            step = interval.best.step
        trial = _Trial(step, *map(np.float64, line(float(step))))
        enough = value + step * decrease
        ended = _ended(trial, enough, decrease, curvature)
        if not interpolated or too_narrow or (interval.bracketed and (step <= low or step >= high)):
            ended = False  # rounding prevents progress
        if ended is not None:
            return Found(float(step), evaluations, usable=ended)
        if first_stage and trial.value <= enough and trial.slope >= curvature:
            first_stage = False
        if first_stage and enough < trial.value <= interval.best.value:
            modified = _Interval(
                interval.best.without_decrease(decrease), interval.other.without_decrease(decrease), interval.bracketed
            )
            modified, step, interpolated = _next(modified, trial.without_decrease(decrease), low, high)
            interval = _Interval(
                modified.best.with_decrease(decrease), modified.other.with_decrease(decrease), modified.bracketed
            )
        else:
            interval, step, interpolated = _next(interval, trial, low, high)
        if interval.bracketed:
            if interval.width >= SHRINKING * width_before:
                step = interval.best.step + 0.5 * (interval.other.step - interval.best.step)
            width_before, width = width, interval.width
    return Found(float(interval.best.step), MAX_EVALUATIONS, usable=True)


def _bounds(interval: _Interval, step: np.float64) -> tuple[np.float64, np.float64]:
    """Return the smallest and the largest step that may be tried next."""
    if interval.bracketed:
        return (
            min(interval.best.step, interval.other.step),
            max(interval.best.step, interval.other.step),
        )
    return interval.best.step, step + EXTRAPOLATION * (step - interval.best.step)


def _ended(trial: _Trial, enough: np.float64, decrease: np.float64, curvature: np.float64) -> bool | None:
    """Return whether the search ends with a usable step, or with none; ``None`` if it goes on."""
    if trial.step >= MAX_STEP and trial.value <= enough and trial.slope <= decrease:
        return True
    if trial.step <= MIN_STEP and (trial.value > enough or trial.slope >= decrease):
        return False
    return True if trial.value <= enough and np.abs(trial.slope) <= -curvature else None


def _next(interval: _Interval, trial: _Trial, low: np.float64, high: np.float64) -> tuple[_Interval, np.float64, bool]:
    """Return the interval with a trial in it, the next step, and whether it could be interpolated."""
    best, other = interval.best, interval.other
    outside = interval.bracketed and (
        trial.step <= min(best.step, other.step) or trial.step >= max(best.step, other.step)
    )
    if outside or best.slope * (trial.step - best.step) >= MIN_STEP or high < low:
        return interval, trial.step, False
    opposite = trial.slope * (best.slope / np.abs(best.slope))  # negative if a minimum lies between the two
    step, bracketed, bounded = _interpolated_step(interval, trial, opposite, low, high)
    if trial.value > best.value:
        other = trial
    else:
        if opposite < 0:
            other = best
        best = trial
    step = max(low, min(high, step))
    if bracketed and bounded:
        limit = best.step + SHRINKING * (other.step - best.step)
        step = min(limit, step) if other.step > best.step else max(limit, step)
    return _Interval(best, other, bracketed), step, True


def _interpolated_step(
    interval: _Interval, trial: _Trial, opposite: np.float64, low: np.float64, high: np.float64
) -> tuple[np.float64, bool, bool]:
    """Return the next step, whether a minimum is bracketed, and whether the step is to stay well inside the bracket.

    The four cases are those of the paper.
    """
    best = interval.best
    if trial.value > best.value:  # a minimum is between them
        cubic = _cubic_minimum(best, trial)
        secant = (best.value - trial.value) / (trial.step - best.step) + best.slope
        quadratic = best.step + (best.slope / secant) / 2 * (trial.step - best.step)
        nearer = np.abs(cubic - best.step) < np.abs(quadratic - best.step)
        return (cubic if nearer else cubic + (quadratic - cubic) / 2), True, True
    quadratic = trial.step + trial.slope / (trial.slope - best.slope) * (best.step - trial.step)
    if opposite <= 0:  # lower, and rising: again between them
        cubic = _cubic_minimum(trial, best)
        return (cubic if np.abs(cubic - trial.step) > np.abs(quadratic - trial.step) else quadratic), True, False
    if np.abs(trial.slope) < np.abs(best.slope):  # lower, and flatter
        cubic = _cubic_beyond(trial, best, low, high)
        to_cubic, to_quadratic = np.abs(trial.step - cubic), np.abs(trial.step - quadratic)
        take_cubic = to_cubic < to_quadratic if interval.bracketed else to_cubic > to_quadratic
        return (cubic if take_cubic else quadratic), interval.bracketed, True
    if interval.bracketed:  # lower, and as steep
        return _cubic_minimum(trial, interval.other), True, False
    return (high if trial.step > best.step else low), False, False


def _cubic_minimum(a: _Trial, b: _Trial) -> np.float64:
    """Return the minimum of the cubic through two trials, reckoned from ``a``."""
    theta, scale, root = _cubic(a, b, np.sqrt)
    gamma = scale * root * (-1 if b.step < a.step else 1)
    ratio = ((gamma - a.slope) + theta) / (((gamma - a.slope) + gamma) + b.slope)
    return a.step + ratio * (b.step - a.step)


def _cubic_beyond(trial: _Trial, best: _Trial, low: np.float64, high: np.float64) -> np.float64:
    """Return the cubic's minimum if it lies beyond the trial, else the farthest step in that direction.

    Turi Create uses it only where the cubic's root is nearly zero. Nocedal's code uses it where the root is not zero.
    """
    theta, scale, root = _cubic(trial, best, lambda square: np.sqrt(max(np.float64(0), square)))
    gamma = scale * root * (-1 if trial.step > best.step else 1)
    ratio = ((gamma - trial.slope) + theta) / ((gamma + (best.slope - trial.slope)) + gamma)
    if ratio < 0 and np.abs(gamma) <= 1e-10:
        return trial.step + ratio * (best.step - trial.step)
    return high if trial.step > best.step else low


def _cubic(a: _Trial, b: _Trial, root: Callable[[np.float64], np.float64]) -> tuple[np.float64, np.float64, np.float64]:
    """Return theta, its scale and the scaled root of the cubic through two trials, in the paper's notation."""
    theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    scale = max(np.abs(theta), np.abs(a.slope), np.abs(b.slope))
    return theta, scale, root(np.square(theta / scale) - (a.slope / scale) * (b.slope / scale))
