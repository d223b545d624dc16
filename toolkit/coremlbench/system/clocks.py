"""Two clocks read together: the difference between them shows that the machine slept or that its clock was set.

The monotonic clock stands still while a Mac or a Linux machine sleeps, and nobody can set it. The wall clock goes on in
sleep, and can be set.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

GAP_SECONDS = 0.5
"""A smaller difference is no gap."""
SLEW = 1e-3
"""The share of the time by which a wall clock may be slowed down or sped up to correct it; NTP uses half of it."""


@dataclass(frozen=True)
class ClockReading:
    """The seconds of the wall clock and of the monotonic clock at one moment."""

    wall: float
    monotonic: float


def read_clocks() -> ClockReading:
    """Return the reading of both clocks now."""
    return ClockReading(time.time(), time.monotonic())


def clock_gap(start: ClockReading, end: ClockReading) -> float:
    """Return by how many seconds the wall clock moved more than the monotonic clock, 0.0 if they agree.

    It is positive after sleep or when the clock was set forward, and negative when it was set back.
    """
    passed = end.monotonic - start.monotonic
    gap = end.wall - start.wall - passed
    return gap if abs(gap) >= GAP_SECONDS + SLEW * passed else 0.0
