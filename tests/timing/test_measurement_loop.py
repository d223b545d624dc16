"""The measurement loop, with a clock that the calls advance (so every duration is known) and with the real clock."""

import gc
import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest

from coremlbench.timing.measurement_loop import CHUNK, sustain, time_calls
from coremlbench.types.timing import SustainedPoint

MILLISECOND = 1_000_000
"""In the clock's nanoseconds."""


class Clock:
    """A clock that only advances when a test advances it."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class Paused:
    """Reads the clock like a process that the system pauses now and then."""

    def __init__(self, clock: Clock, nanoseconds: int) -> None:
        self.clock, self.nanoseconds, self.readings = clock, nanoseconds, 0

    def __call__(self) -> int:
        self.readings += 1
        self.clock.now += 1 if self.readings % 7 else self.nanoseconds
        return self.clock.now


class Counter:
    """A call that takes a fixed time by the clock, and stores its start and end."""

    def __init__(self, clock: Clock, nanoseconds: int) -> None:
        self.clock, self.nanoseconds = clock, nanoseconds
        self.spans: list[tuple[int, int]] = []

    def __call__(self) -> None:
        began = self.clock.now
        self.clock.now += self.nanoseconds
        self.spans.append((began, self.clock.now))


def nothing() -> None:
    pass


def test_every_call_is_kept_with_its_own_time() -> None:
    clock = Clock()
    steps = iter(range(1, 44))

    def call() -> None:
        clock.now += next(steps) * MILLISECOND

    timed = time_calls(call, warmup_calls=3, warmup_seconds=0, calls=40, seconds=0, clock=clock)
    assert (next(steps, None), timed.warmup_calls, timed.warmup_seconds) == (None, 3, 0.006)
    assert timed.wall.dtype == np.float64
    assert timed.wall.tolist() == [step / 1000 for step in range(4, 44)]  # its whole call, and nothing of the next


def test_both_limits_must_be_reached() -> None:
    clock = Clock()
    call = Counter(clock, 4 * MILLISECOND)
    by_time = time_calls(call, warmup_calls=5, warmup_seconds=0.03, calls=10, seconds=0.05, clock=clock)
    assert (by_time.warmup_calls, by_time.warmup_seconds) == (8, 0.032)
    assert len(by_time.wall) == 13
    by_calls = time_calls(call, warmup_calls=2, warmup_seconds=0, calls=25, seconds=0.001, clock=clock)
    assert (by_calls.warmup_calls, len(by_calls.wall)) == (2, 25)
    # By the real clock: however busy the machine is, both stretches last at least their seconds.
    began = time.perf_counter_ns()
    real = time_calls(nothing, warmup_calls=1, warmup_seconds=0.03, calls=1, seconds=0.05)
    assert time.perf_counter_ns() - began >= 80 * MILLISECOND
    assert real.warmup_seconds >= 0.03


def test_more_calls_than_a_chunk_holds_are_all_kept() -> None:
    clock = Clock()
    call = Counter(clock, 7)
    timed = time_calls(call, warmup_calls=0, warmup_seconds=0, calls=2 * CHUNK + 3, seconds=0, clock=clock)
    assert len(timed.wall) == len(call.spans) == 2 * CHUNK + 3
    assert (timed.warmup_calls, timed.warmup_seconds) == (0, 0)
    assert (timed.wall == 7e-9).all()


def test_the_runtimes_own_durations_stand_beside_and_cost_the_calls_nothing() -> None:
    clock = Clock()
    durations = iter([9.0, 9.0, 0.1, None, 0.3])

    def slow_to_say() -> float | None:
        clock.now += 20 * MILLISECOND
        return next(durations)

    call = Counter(clock, MILLISECOND)
    timed = time_calls(
        call, warmup_calls=2, warmup_seconds=0, calls=3, seconds=0, runtime_seconds=slow_to_say, clock=clock
    )
    assert timed.runtime is not None
    assert timed.runtime[[0, 2]].tolist() == [0.1, 0.3]  # those of the warm-up are gone
    assert np.isnan(timed.runtime[1])
    assert timed.wall.tolist() == [0.001] * 3


@pytest.mark.parametrize("runtime_seconds", [None, lambda: None])
def test_a_runtime_that_says_nothing_has_no_durations(runtime_seconds: Callable[[], None] | None) -> None:
    timed = time_calls(nothing, warmup_calls=1, warmup_seconds=0, calls=3, seconds=0, runtime_seconds=runtime_seconds)
    assert timed.runtime is None


def test_garbage_is_not_collected_between_calls_and_is_again_afterwards() -> None:
    states = []
    time_calls(lambda: states.append(gc.isenabled()), warmup_calls=1, warmup_seconds=0, calls=4, seconds=0)
    assert states == [False] * 5
    assert gc.isenabled()


def test_garbage_collection_comes_back_after_a_call_that_raises_and_stays_off_where_it_was_off() -> None:
    with pytest.raises(ZeroDivisionError):
        time_calls(lambda: 1 // 0, warmup_calls=1, warmup_seconds=0, calls=1, seconds=0)
    assert gc.isenabled()
    gc.disable()
    try:
        time_calls(nothing, warmup_calls=0, warmup_seconds=0, calls=1, seconds=0)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_meter_runs_over_the_timed_stretch_alone() -> None:
    happened = []

    class Steps:
        name = "steps"

        def start(self) -> None:
            happened.append("start")

        def joules(self) -> float:
            happened.append("end")
            return 2.5

    def call() -> None:
        happened.append("call")

    timed = time_calls(call, warmup_calls=2, warmup_seconds=0, calls=3, seconds=0, meter=Steps())
    assert happened == ["call", "call", "start", "call", "call", "call", "end"]
    assert timed.joules == 2.5
    assert time_calls(call, warmup_calls=0, warmup_seconds=0, calls=1, seconds=0).joules is None


def test_a_long_stretch_gives_signs_of_life() -> None:
    clock = Clock()
    signs: list[int] = []

    def heartbeat(done: int) -> None:
        signs.append(done)
        clock.now += 50 * MILLISECOND

    call = Counter(clock, 300 * MILLISECOND)
    timed = time_calls(call, warmup_calls=0, warmup_seconds=0, calls=9, seconds=0, heartbeat=heartbeat, clock=clock)
    assert signs == [4, 8]
    assert timed.wall.tolist() == [0.3] * 9  # a sign costs the calls nothing


def test_a_sustained_run_is_a_curve_of_stretches() -> None:
    clock = Clock()
    call = Counter(clock, MILLISECOND)
    seen: list[SustainedPoint] = []

    def on_point(point: SustainedPoint) -> None:
        seen.append(point)
        clock.now += 3 * MILLISECOND  # between two stretches

    points = sustain(call, 0.25, 0.0625, thermal_state=lambda: "fair", on_point=on_point, clock=clock)
    assert points == seen
    assert [(point.seconds, point.calls) for point in points] == [(0.063, 63), (0.125, 59), (0.188, 60), (0.25, 59)]
    assert sum(point.calls for point in points) == len(call.spans)
    assert {(point.p50, point.p95) for point in points} == {(0.001, 0.001)}
    assert {point.thermal_state for point in points} == {"fair"}
    # It lasts at least its time, also where a busy machine pauses it between two stretches, up to the end of the run.
    for seconds, late in itertools.product((0.2, 0.3, 0.7), (1, 45_279, 60 * MILLISECOND, 900 * MILLISECOND)):
        points = sustain(Counter(clock, 999_983), seconds, 0.05, clock=Paused(clock, late))
        assert points[-1].seconds >= seconds
        assert [point.seconds for point in points] == sorted(point.seconds for point in points)
        assert all(point.calls >= 1 for point in points)
    assert sustain(nothing, 0.05, 0.02)[-1].seconds >= 0.05  # by the real clock


def test_a_long_stretch_of_a_sustained_run_gives_signs_of_life() -> None:
    clock = Clock()
    signs: list[int] = []
    points = sustain(Counter(clock, 300 * MILLISECOND), 2.2, 2.2, heartbeat=signs.append, clock=clock)
    assert [point.calls for point in points] == [8]
    assert signs == [4, 8]


def test_a_call_longer_than_a_stretch_makes_one_point() -> None:
    clock = Clock()
    points = sustain(Counter(clock, 50 * MILLISECOND), 0.06, 0.01, clock=clock)
    assert [(point.seconds, point.calls) for point in points] == [(0.05, 1), (0.1, 1)]
