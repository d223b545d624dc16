"""The measurement loop: warm-up, then single calls. The wall time of every call is kept.

It runs in a worker beside the runtime that is timed, so it needs only NumPy and the standard library.
``benchmarks/overhead.py`` measures what it adds to a call.
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
"""Returns nanoseconds of a monotonic clock."""
CHUNK = 1 << 16
"""Samples for which memory is allocated at a time (half a megabyte): between two calls, never during one."""
HEARTBEAT_NS = 1_000_000_000
"""Nanoseconds between two calls of ``heartbeat``."""


@dataclass(frozen=True)
class TimedCalls:
    """The seconds of every timed call in order, and how much warm-up came before.

    ``wall`` is by the wall clock, float64 of shape (calls,). ``runtime`` is by the runtime's own clock, of the same
    shape, NaN where it gave nothing; ``None`` when it never gave anything. ``joules`` is the energy of all timed
    calls, used by the whole chip.
    """

    wall: NDArray[np.float64]
    runtime: NDArray[np.float64] | None
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
    runtime_seconds: Callable[[], float | None] | None = None,
    meter: Meter | None = None,
    heartbeat: Callable[[int], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> TimedCalls:
    """Return the wall time of every call; calls are made until both ``calls`` and ``seconds`` are reached.

    The warm-up makes the same calls until both ``warmup_calls`` and ``warmup_seconds`` are reached. Deallocation of
    the result is timed with the call. ``runtime_seconds`` returns the last call's seconds by the runtime's own clock.
    ``heartbeat`` gets the number of calls so far, about once a second. Both run between two calls and are not timed.
    Python's garbage collector runs before the warm-up and before the timed calls, and not during them. ``clock``
    measures all times.
    """
    with _garbage_collection_paused():
        began = clock()
        warmup, _, now = _time_block(call, warmup_calls, began, warmup_seconds, runtime_seconds, heartbeat, clock)
    with _garbage_collection_paused():
        if meter is not None:
            meter.start()
        wall, runtime, _ = _time_block(call, calls, clock(), seconds, runtime_seconds, heartbeat, clock)
        joules = meter.joules() if meter is not None else None
    return TimedCalls(_in_seconds(wall), _as_array(runtime), len(warmup), (now - began) / 1e9, joules)


def sustain(
    call: Callable[[], object],
    seconds: float,
    block_seconds: float,
    *,
    thermal_state: Callable[[], str | None] | None = None,
    on_point: Callable[[SustainedPoint], None] | None = None,
    heartbeat: Callable[[int], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> list[SustainedPoint]:
    """Call without pause for ``seconds`` and return one point for each block of ``block_seconds``.

    The points show how a machine slows down as it warms up. ``seconds`` of a point is the time from the start to the
    end of the block's last call; that of the last point is at least ``seconds``. A block has at least one call. Single
    calls are not kept: ten minutes of them would be too many. ``heartbeat`` gets the number of calls of the current
    block, about once a second. ``on_point`` gets each point at the end of its block.
    """
    import numpy as np

    points: list[SustainedPoint] = []
    began = now = clock()
    count = math.ceil(seconds / block_seconds)
    for end in (seconds if number == count else min(seconds, block_seconds * number) for number in range(1, count + 1)):
        passed = (
            now - began
        ) / 1e9  # by the reading that ended the last block; a new reading could skip the last block
        if passed >= end:  # one call took longer than a whole block
            continue
        with _garbage_collection_paused():
            wall, _, now = _time_block(call, 1, began, end, None, heartbeat, clock)
        passed = (now - began) / 1e9
        p50, p95 = (float(quantile) for quantile in np.quantile(_in_seconds(wall), (0.5, 0.95)))
        points.append(SustainedPoint(passed, p50, p95, len(wall), thermal_state() if thermal_state else None))
        if on_point is not None:
            on_point(points[-1])
    return points


def _time_block(
    call: Callable[[], object],
    calls: int,
    began: int,
    seconds: float,
    runtime_seconds: Callable[[], float | None] | None,
    heartbeat: Callable[[int], None] | None,
    clock: Clock,
) -> tuple[array[int], list[float | None], int]:
    """Return the nanoseconds of each call, its seconds by the runtime's own clock, and the reading after the last call.

    Calls are made until there are ``calls`` of them and ``seconds`` have passed since the reading ``began``. Nothing
    but the call happens between its two readings. Memory is allocated, and written to, one chunk at a time.
    """
    wall, runtime = array("q"), list[float | None]()
    end = began + _nanoseconds(seconds)
    now = last_heartbeat = clock()
    done = 0
    while done < calls or now < end:
        chunk = array("q", bytes(8 * CHUNK))
        for index in range(CHUNK):
            before = clock()
            call()
            now = clock()
            chunk[index] = now - before
            done += 1
            if runtime_seconds is not None:
                runtime.append(runtime_seconds())
            if now - last_heartbeat >= HEARTBEAT_NS and heartbeat is not None:
                heartbeat(done)
                last_heartbeat = now
            if now >= end and done >= calls:
                break
        wall.extend(chunk[: done - len(wall)])
    return wall, runtime, now


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Collect garbage now and not within the block: a collection would slow some calls and not others."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _nanoseconds(seconds: float) -> int:
    """Return the smallest number of nanoseconds that is, converted back, not less than ``seconds``."""
    nanoseconds = math.floor(seconds * 1e9)
    while nanoseconds / 1e9 < seconds:  # the product was rounded, or had a fraction
        nanoseconds += 1
    return nanoseconds


def _in_seconds(nanoseconds: array[int]) -> NDArray[np.float64]:
    import numpy as np

    return np.frombuffer(nanoseconds, dtype=np.int64) / 1e9 if nanoseconds else np.empty(0)


def _as_array(seconds: list[Any]) -> NDArray[np.float64] | None:
    """Return the seconds with NaN for ``None``, or ``None`` when all are ``None``."""
    import numpy as np

    if all(value is None for value in seconds):
        return None
    return np.array(seconds, dtype=np.float64)  # None becomes NaN
