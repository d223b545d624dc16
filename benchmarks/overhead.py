"""What the timed loop adds to a call: ours and a bare loop, on the same call, in turns, in one run.

    python benchmarks/overhead.py [--rounds 41] [--calls 20000]

The bare loop makes the calls and nothing else: it reads the clock before the first and after the last. Ours reads it
twice a call, keeps every sample and looks whether it is done. The call is a few microseconds of arithmetic, and once
more nothing at all. A round runs both in an order drawn anew; what is printed is the median over the rounds of the
difference, with the interval that holds 95 of 100 of them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable

from coremlbench.timing.measurement_loop import time_calls

ALLOWED = 2e-6


def bare(call: Callable[[], object], calls: int) -> float:
    """Return the seconds a call takes in a loop that does nothing else."""
    began = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - began) / 1e9 / calls


def ours(call: Callable[[], object], calls: int, runtime_seconds: Callable[[], float | None] | None = None) -> float:
    """Return the seconds a call takes in the timed loop, everything around the calls included."""
    began = time.perf_counter_ns()
    timed = time_calls(call, warmup_calls=0, warmup_seconds=0, calls=calls, seconds=0, runtime_seconds=runtime_seconds)
    return (time.perf_counter_ns() - began) / 1e9 / len(timed.wall)


def sampled(call: Callable[[], object], calls: int) -> float:
    """Return the median of what the timed loop says a call takes: its own share of the clock's cost is in it."""
    timed = time_calls(call, warmup_calls=0, warmup_seconds=0, calls=calls, seconds=0)
    return float(statistics.median(timed.wall.tolist()))


def some_work() -> int:
    return sum(range(500))


def nothing() -> None:
    pass


def compare(name: str, call: Callable[[], object], rounds: int, calls: int) -> float:
    """Print what a call takes in each loop, and return what ours adds, in seconds."""
    contestants: dict[str, Callable[[], float]] = {
        "bare loop": lambda: bare(call, calls),
        "timed loop": lambda: ours(call, calls),
        "timed loop with the runtime's own durations": lambda: ours(call, calls, lambda: 1e-6),
        "a sample of the timed loop": lambda: sampled(call, calls),
    }
    seconds: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant in random.sample(list(contestants), len(contestants)):
            seconds[contestant].append(contestants[contestant]())
    print(f"\n{name}, {rounds} rounds of {calls} calls: microseconds a call, and above the bare loop of the same round")
    for contestant, values in seconds.items():
        added = sorted(1e6 * (mine - base) for mine, base in zip(values, seconds["bare loop"], strict=True))
        low, high = added[rounds // 40], added[-1 - rounds // 40]
        print(f"  {contestant:44} {1e6 * statistics.median(values):8.3f}  {statistics.median(added):+7.3f} ", end="")
        print(f"({low:+.3f} to {high:+.3f})")
    pairs = zip(seconds["timed loop with the runtime's own durations"], seconds["bare loop"], strict=True)
    return statistics.median(mine - base for mine, base in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--calls", type=int, default=20_000)
    chosen = parser.parse_args()
    time_calls(nothing, warmup_calls=0, warmup_seconds=0, calls=1, seconds=0)  # imports NumPy
    added = [
        compare("a few microseconds of work", some_work, chosen.rounds, chosen.calls),
        compare("an empty function", nothing, chosen.rounds, chosen.calls),
    ]
    print(f"\nThe timed loop adds {1e6 * max(added):.2f} µs a call at most; {1e6 * ALLOWED:.0f} µs are allowed.")
    sys.exit(0 if max(added) < ALLOWED else 1)


if __name__ == "__main__":
    main()
