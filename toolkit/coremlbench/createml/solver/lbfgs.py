"""L-BFGS as Turi Create runs it: its own rules for the step, and a look back at the last step.

The state of an iteration holds all that the next one needs, so that a run can be continued after any of them. After an
iteration the point has moved; its value is known only in the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coremlbench.createml.solver import line_search
from coremlbench.createml.solver.objective import Objective
from coremlbench.createml.solver.rows import Array

MEMORY = 11
CONVERGENCE = 0.01
MIN_MOVE = 1e-10
"""A shorter step ends the iterations."""
MAX_LOOKS_BACK = 3
BISECTIONS, BISECTION_WIDTH = 32, 1e-6

OPTIMAL = "SUCCESS: Optimal solution found."
ITERATION_LIMIT = "Completed (Iteration limit reached)."
NUMERIC_ERROR = "TERMINATED: Terminated due to numerical difficulties."
OVERFLOW = "TERMINATED: Terminated due to numerical overflow error. "
SEARCH_FAILED = "TERMINATED: Terminated due to numerical difficulties in line search."


@dataclass(frozen=True)
class State:
    """The state after some iterations.

    ``point`` is where the last one moved to, ``move`` is its step. ``value`` and ``gradient`` are those where it
    started, penalty included, times ``factor``, which keeps the numbers small. ``moves`` and ``changes`` are the last
    steps and the changes of the gradient along them, oldest first, (at most ``MEMORY``, coefficients). ``passes``
    counts evaluations. ``status`` is "" while it may go on, else Turi Create's words for its end.
    """

    point: Array
    move: Array
    gradient: Array
    moves: Array
    changes: Array
    value: float = float("nan")
    factor: float = 1.0
    threshold: float = CONVERGENCE
    step: float = 1.0
    iterations: int = 0
    passes: int = 0
    status: str = ""


def start(size: int) -> State:
    """Return the state before the first iteration, at the origin."""
    zero, none = np.zeros(size), np.zeros((0, size))
    return State(point=zero, move=zero, gradient=zero, moves=none, changes=none)


def iterate(objective: Objective, state: State) -> State:
    """Return the state after one more iteration.

    When it has a ``status``, this was the last one, and its ``iterations`` do not count it.
    """
    with np.errstate(all="ignore"):  # what is not finite has a status of its own
        return _iterate(objective, state)


def _iterate(objective: Objective, state: State) -> State:
    here, state = _evaluate_and_look_back(objective, state)
    residual = np.abs(here.gradient).max()
    if not np.isfinite(here.loss):
        return replace(state, status=NUMERIC_ERROR)
    if not np.isfinite(residual):
        return replace(state, status=OVERFLOW)
    if residual < here.threshold:
        return replace(state, status=OPTIMAL)
    if state.iterations == 0:
        state = replace(state, factor=here.factor, threshold=here.threshold)
        direction = -here.gradient
    else:
        state = _with_last_move(here, state)
        direction = _direction(here.gradient, state)
    if _must_search(here, state):
        searched = _search(objective, here, state.point, direction, state.step)
        if searched.usable or state.iterations == 0:  # Turi Create does not count the evaluations of a later failure
            state = replace(state, step=searched.step, passes=state.passes + searched.evaluations)
        if not searched.usable:
            return replace(state, status=SEARCH_FAILED)
    elif state.step < 1:
        state = replace(state, step=min(1.0, 1.25 * state.step))
    return _moved(here, state, state.step * direction)


@dataclass(frozen=True)
class _Here:
    """The evaluation at an iteration's point: the loss without the penalty; value and gradient times ``factor``."""

    loss: float
    value: float
    gradient: Array
    factor: float
    threshold: float
    search_forced: bool = False


def _evaluate(objective: Objective, state: State) -> _Here:
    """Return the evaluation at the state's point; the first one sets the factor."""
    evaluation = objective.evaluate(state.point)
    penalty, penalty_gradient = objective.penalty(state.point)
    factor, threshold = state.factor, state.threshold
    if state.iterations == 0:
        factor = float(1.0 / (1.0 + np.abs(evaluation.gradient).max() + abs(evaluation.loss)))
        threshold *= factor
    gradient = factor * (penalty_gradient + evaluation.gradient)
    return _Here(evaluation.loss, factor * (evaluation.loss + penalty), gradient, factor, threshold)


def _evaluate_and_look_back(objective: Objective, state: State) -> tuple[_Here, State]:
    """Return the evaluation at the state's point, and the state, whose point may go back towards the one before.

    It goes back when the gradient there points back, so that a better point is in between.
    """
    forced = False
    for looks in range(MAX_LOOKS_BACK + 1):
        here = _evaluate(objective, state)
        state = replace(state, passes=state.passes + 1)
        improved = state.value > here.value
        # Turi Create looks again where the value improved, not where it got worse.
        may_look = looks == 0 or (improved and looks < MAX_LOOKS_BACK)
        if state.iterations < 2 or not may_look or not np.isfinite(here.loss):
            break
        distance = np.linalg.norm(state.move)
        slope, slope_before = here.gradient @ state.move / distance, state.gradient @ state.move / distance
        if not slope > 0:
            break
        place = distance * _cubic_minimum(state.value, here.value, slope_before * distance, slope * distance)
        forced = forced or bool(place < 0.1 * distance) or looks == MAX_LOOKS_BACK - 1
        if not (place < 0.8 * distance or improved):
            break
        share = float(place / distance)
        point = state.point - (1.0 - share) * state.move
        state = replace(state, point=point, move=share * state.move, step=share * state.step)
    return replace(here, search_forced=forced), state


def _cubic_minimum(value: float, other_value: float, slope: float, other_slope: float) -> float:
    """Return where from 0 to 1 the cubic with these values and slopes at 0 and 1 is smallest, by bisection."""
    cubic = -2 * (other_value - value) + (other_slope + slope)
    square = 3 * (other_value - value) - other_slope - 2 * slope
    left, right = 0.0, 1.0
    best, place = (value, 0.0) if value < other_value else (other_value, 1.0)
    for _ in range(BISECTIONS):
        middle = 0.5 * (right + left)
        here = value + slope * middle + square * middle * middle + cubic * middle * middle * middle
        if here < best:
            best, place = here, middle
        if right - left < BISECTION_WIDTH:
            break
        if slope + 2 * square * middle + 3 * cubic * middle * middle > 0:
            right = middle
        else:
            left = middle
    return place


def _with_last_move(here: _Here, state: State) -> State:
    """Return the state with the last move and the change of the gradient along it among the pairs that are kept."""
    moves = np.vstack([state.moves, state.move])[-MEMORY:]
    changes = np.vstack([state.changes, here.gradient - state.gradient])[-MEMORY:]
    return replace(state, moves=moves, changes=changes)


def _direction(gradient: Array, state: State) -> Array:
    """Return the direction of the next move, by the two-loop recursion (Nocedal and Wright, algorithm 7.4)."""
    pairs = list(zip(state.moves, state.changes, strict=True))
    inverses = [1.0 / (move @ change) for move, change in pairs]
    direction, shares = gradient.copy(), []
    for (move, change), inverse in zip(reversed(pairs), reversed(inverses), strict=True):
        shares.append(inverse * (move @ direction))
        direction -= shares[-1] * change
    direction *= 1.0 / ((state.changes[-1] @ state.changes[-1]) * inverses[-1])
    for (move, change), inverse, share in zip(pairs, inverses, reversed(shares), strict=True):
        direction += move * (share - inverse * (change @ direction))
    return -direction


def _must_search(here: _Here, state: State) -> bool:
    """Return whether the step is searched; else the last one is taken again."""
    if state.iterations < 2 or here.value > state.value or here.search_forced:
        return True
    similar = float(here.gradient @ state.gradient) ** 2
    return bool(similar > 0.9 * (here.gradient @ here.gradient) * (state.gradient @ state.gradient))


def _search(objective: Objective, here: _Here, point: Array, direction: Array, step: float) -> line_search.Found:
    """Search the step along a direction, on value and gradient with the penalty, times the factor."""

    def line(step: float) -> tuple[float, float]:
        there = point + step * direction
        evaluation = objective.evaluate(there)
        penalty, penalty_gradient = objective.penalty(there)
        gradient = here.factor * (evaluation.gradient + penalty_gradient)
        return here.factor * (evaluation.loss + penalty), float(gradient @ direction)

    return line_search.search(line, here.value, float(here.gradient @ direction), step)


def _moved(here: _Here, state: State, move: Array) -> State:
    """Return the state after a move from ``here``."""
    moved = replace(state, point=state.point + move, move=move, value=here.value, gradient=here.gradient)
    if move @ move <= MIN_MOVE * MIN_MOVE:
        return replace(moved, status=NUMERIC_ERROR)
    if not np.isfinite(move).all():
        return replace(moved, status=OVERFLOW)
    return replace(moved, iterations=state.iterations + 1)
