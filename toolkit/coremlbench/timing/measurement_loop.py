"""The loop that everything is timed with: warm-up, then single calls, each with its own wall time, all of them kept.

It runs inside a worker, next to whatever is timed, so it needs NumPy and the standard library alone.
``benchmarks/overhead.py`` tells what it adds to a call.
"""

from __future__ import annotations

import gc
import math
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coremlbench.timing.energy import Meter
from coremlbench.types.timing import SustainedPoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Clock = Callable[[], int]
"""Returns nanoseconds that never run backwards."""
CHUNK = 1 << 16
"""Samples that memory is taken for at a time: half a megabyte, between two calls and never within one."""
SIGN_OF_LIFE = 1_000_000_000
"""Nanoseconds between two calls of ``alive``."""


@dataclass(frozen=True)
class TimedCalls:
    """Every call of the timed stretch in order, in seconds, and how much warm-up came before.

    ``wall`` is float64. ``own`` is what the runtime says of the same calls, NaN where it said nothing, and ``None``
    when it never does. ``joules`` were used in the timed stretch, by the whole chip.
    """

    wall: NDArray[np.float64]
    own: NDArray[np.float64] | None
    warmup_calls: int
    warmup_seconds: float
    joules: float | None = None


def time_calls(
    call: Callable[[], object],
    *,
    warmup_calls: int,
    warmup_seconds: float,
    calls: int,
    seconds: float,
    own_seconds: Callable[[], float | None] | None = None,
    meter: Meter | None = None,
    alive: Callable[[int], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> TimedCalls:
    """Return the wall time of every single call, made until there are ``calls`` of them and ``seconds`` have passed.

    The warm-up takes ``warmup_calls`` calls and ``warmup_seconds``, whichever ends later, on the same path. What a
    call returns is freed within its time. ``own_seconds`` and ``alive``, which takes the calls so far about once a
    second, run between two calls, outside the time of either. Python's garbage collector runs before each stretch and
    not within. All times are readings of ``clock``, and a stretch lasts at least its seconds by them.
    """
    with _no_collection():
        began = clock()
        warm, _, warmed = _stretch(call, warmup_calls, began, warmup_seconds, own_seconds, alive, clock)
    with _no_collection():
        if meter is not None:
            meter.start()
        wall, own, _ = _stretch(call, calls, clock(), seconds, own_seconds, alive, clock)
        joules = meter.joules() if meter is not None else None
    return TimedCalls(_in_seconds(wall), _own(own), len(warm), (warmed - began) / 1e9, joules)


def sustain(
    call: Callable[[], object],
    seconds: float,
    stretch: float,
    *,
    thermal_state: Callable[[], str | None] | None = None,
    on_point: Callable[[SustainedPoint], None] | None = None,
    alive: Callable[[int], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> list[SustainedPoint]:
    """Return one point for each ``stretch`` of calls made without pause for ``seconds``: how a warming machine slows.

    A point's ``seconds`` are those from the start to the end of the stretch's last call, and the last point's are
    ``seconds`` or more. A stretch has one call at least. Single calls are summed up, not kept: ten minutes of them
    would be many. ``alive`` takes the calls of the stretch so far, about once a second, as in ``time_calls``.
    """
    import numpy as np

    points: list[SustainedPoint] = []
    began = now = clock()
    count = math.ceil(seconds / stretch)
    for end in (seconds if number == count else min(seconds, stretch * number) for number in range(1, count + 1)):
        passed = (now - began) / 1e9  # the reading that ended the last stretch: a later one could leave out the end
        if passed >= end:  # one call took longer than a whole stretch
            continue
        with _no_collection():
            wall, _, now = _stretch(call, 1, began, end, None, alive, clock)
        passed = (now - began) / 1e9
        p50, p95 = (float(each) for each in np.quantile(_in_seconds(wall), (0.5, 0.95)))
        points.append(SustainedPoint(passed, p50, p95, len(wall), thermal_state() if thermal_state else None))
        if on_point is not None:
            on_point(points[-1])
    return points


def _stretch(
    call: Callable[[], object],
    calls: int,
    began: int,
    seconds: float,
    own_seconds: Callable[[], float | None] | None,
    alive: Callable[[int], None] | None,
    clock: Clock,
) -> tuple[array[int], list[float | None], int]:
    """Return the nanoseconds of each call, what the runtime says of it, and the reading at the last call's end.

    Both limits must be reached: ``calls`` from now on, and ``seconds`` since the reading ``began``. What happens
    between the two readings of a call is the call and nothing else. Memory is taken, and touched, a chunk at a time.
    """
    wall, own = array("q"), list[float | None]()
    end = began + _nanoseconds(seconds)
    now = sign = clock()
    done = 0
    while done < calls or now < end:
        chunk = array("q", bytes(8 * CHUNK))
        for index in range(CHUNK):
            before = clock()
            call()
            now = clock()
            chunk[index] = now - before
            done += 1
            if own_seconds is not None:
                own.append(own_seconds())
            if now - sign >= SIGN_OF_LIFE and alive is not None:
                alive(done)
                sign = now
            if now >= end and done >= calls:
                break
        wall.extend(chunk[: done - len(wall)])
    return wall, own, now


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect garbage now, and not again before the end: a collection would fall on some calls and not on others."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _nanoseconds(seconds: float) -> int:
    """Return the least number of nanoseconds that are, as seconds, not less than ``seconds``."""
    least = math.floor(seconds * 1e9)
    while least / 1e9 < seconds:  # the product was rounded, or had a fraction
        least += 1
    return least


def _in_seconds(nanoseconds: array[int]) -> NDArray[np.float64]:
    import numpy as np

    return np.frombuffer(nanoseconds, dtype=np.int64) / 1e9 if nanoseconds else np.empty(0)


def _own(durations: list[Any]) -> NDArray[np.float64] | None:
    import numpy as np

    if all(each is None for each in durations):
        return None
    return np.array([np.nan if each is None else each for each in durations], dtype=np.float64)
