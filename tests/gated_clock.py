"""A clock for supervisions whose limits must not pass before the child has come to where the test wants it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Gate = tuple[float, Callable[[], object]]


def never() -> bool:
    """Hold a clock for good."""
    return False


class GatedClock:
    """Returns seconds since it was made, but never passes the seconds of a gate before its condition is true.

    The gates are in order of their seconds. Between two of them time passes ``speed`` times as fast as it really does,
    but from one reading to the next by ``step`` seconds at most, however long the reader got no turn.
    """

    def __init__(self, *gates: Gate, speed: float = 1.0, step: float = math.inf) -> None:
        self._gates, self._speed, self._step = list(gates), speed, step
        self._now, self._real = 0.0, time.monotonic()

    def __call__(self) -> float:
        """Return the seconds that have passed."""
        real = time.monotonic()
        self._now += min(self._speed * (real - self._real), self._step)
        self._real = real
        while self._gates and self._now >= self._gates[0][0]:
            if not self._gates[0][1]():
                self._now = self._gates[0][0]
                break
            self._now = self._gates.pop(0)[0]
        return self._now
