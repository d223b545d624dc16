"""The timed loop on real calls: what must hold however long anything takes."""

import gc
import time
from collections.abc import Callable

import numpy as np
import pytest

from coremlbench.timed_loop import CHUNK, sustain, time_calls


class Counter:
    """A call that counts itself and says when it was made."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.spans: list[tuple[float, float]] = []

    def __call__(self) -> None:
        began = time.perf_counter()
        while time.perf_counter() - began < self.seconds:
            pass
        self.spans.append((began, time.perf_counter()))


def nothing() -> None:
    pass


def test_every_call_is_kept_with_its_own_time() -> None:
    call = Counter(0.0005)
    found = time_calls(call, warmup_calls=3, warmup_seconds=0, calls=40, seconds=0)
    assert (len(call.spans), found.warmup_calls, len(found.wall)) == (43, 3, 40)
    assert found.wall.dtype == np.float64
    inside = [end - began for began, end in call.spans[3:]]
    assert (found.wall >= np.array(inside)).all()  # a sample holds its whole call
    outside = [later - earlier for (_, earlier), (later, _) in zip(call.spans[2:], call.spans[3:], strict=False)]
    assert found.wall.sum() <= sum(inside) + sum(outside) + found.wall[-1]  # and not the next one


def test_both_limits_must_be_reached() -> None:
    began = time.perf_counter()
    by_time = time_calls(nothing, warmup_calls=5, warmup_seconds=0.03, calls=10, seconds=0.05)
    assert time.perf_counter() - began >= 0.08
    assert len(by_time.wall) > 10
    assert by_time.warmup_calls > 5
    assert by_time.warmup_seconds >= 0.03
    by_calls = time_calls(Counter(0.002), warmup_calls=2, warmup_seconds=0, calls=25, seconds=0.001)
    assert (by_calls.warmup_calls, len(by_calls.wall)) == (2, 25)


def test_more_calls_than_a_chunk_holds_are_all_kept() -> None:
    call = Counter()
    found = time_calls(call, warmup_calls=0, warmup_seconds=0, calls=2 * CHUNK + 3, seconds=0)
    assert len(found.wall) == len(call.spans) == 2 * CHUNK + 3
    assert found.warmup_calls == 0
    assert (found.wall > 0).all()


def test_the_runtimes_own_durations_stand_beside_and_cost_the_calls_nothing() -> None:
    said = iter([9.0, 9.0, 0.1, None, 0.3])

    def slow_to_say() -> float | None:
        Counter(0.02)()
        return next(said)

    found = time_calls(nothing, warmup_calls=2, warmup_seconds=0, calls=3, seconds=0, own_seconds=slow_to_say)
    assert found.own[[0, 2]].tolist() == [0.1, 0.3]  # those of the warm-up are gone
    assert np.isnan(found.own[1])
    assert found.wall.min() < 0.02


@pytest.mark.parametrize("own_seconds", [None, lambda: None])
def test_a_runtime_that_says_nothing_has_no_durations(own_seconds: Callable[[], None] | None) -> None:
    found = time_calls(nothing, warmup_calls=1, warmup_seconds=0, calls=3, seconds=0, own_seconds=own_seconds)
    assert found.own is None


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

    found = time_calls(call, warmup_calls=2, warmup_seconds=0, calls=3, seconds=0, meter=Steps())
    assert happened == ["call", "call", "start", "call", "call", "call", "end"]
    assert found.joules == 2.5
    assert time_calls(call, warmup_calls=0, warmup_seconds=0, calls=1, seconds=0).joules is None


@pytest.mark.long
def test_a_long_stretch_gives_signs_of_life() -> None:
    signs = []
    found = time_calls(Counter(0.3), warmup_calls=0, warmup_seconds=0, calls=8, seconds=0, alive=signs.append)
    assert signs
    assert signs == sorted(signs)
    assert signs[-1] <= len(found.wall)


def test_a_sustained_run_is_a_curve_of_stretches() -> None:
    call = Counter(0.001)
    seen = []
    found = sustain(call, 0.2, 0.05, thermal_state=lambda: "fair", on_point=seen.append)
    assert found == seen
    assert sum(point.calls for point in found) == len(call.spans)
    assert [point.seconds for point in found] == sorted(point.seconds for point in found)
    assert found[-1].seconds >= 0.2
    assert all(point.calls >= 1 and 0.001 <= point.p50 <= point.p95 for point in found)
    assert {point.thermal_state for point in found} == {"fair"}


@pytest.mark.long
def test_a_long_stretch_of_a_sustained_run_gives_signs_of_life() -> None:
    signs: list[int] = []
    found = sustain(Counter(0.3), 2.2, 2.2, alive=signs.append)
    assert len(found) == 1
    assert signs
    assert signs == sorted(signs)
    assert signs[-1] <= found[0].calls


def test_a_call_longer_than_a_stretch_makes_one_point() -> None:
    call = Counter(0.05)
    found = sustain(call, 0.06, 0.01)
    assert [point.calls for point in found] == [1] * len(call.spans)
    assert found[-1].seconds >= 0.05
