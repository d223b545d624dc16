"""The same work as two units on this very machine: how often does the method call them different? At most 5 of 100.

    python benchmarks/same_twice.py [--matrices 40] [--rounds 5] [--calls 200]

The simulation assumes its noise; here it is this machine's, whatever else it does. Both units are the same matrix
product, in a fresh process each time, in the shuffled order. Beside the method stands what comes of taking every call
as an independent sample. With few matrices only gross errors show: of 40 with 95 right in 100 each, one to four fail.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from coremlbench.timing import statistics

WORK = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
from coremlbench.timing.measurement_loop import time_calls
left = np.random.default_rng(0).random((160, 160), dtype=np.float32)
found = time_calls(lambda: left @ left, warmup_calls=20, warmup_seconds=0.05, calls=int(sys.argv[1]), seconds=0.05)
np.save(sys.argv[2], found.wall)
"""


def timed(calls: int, path: Path) -> NDArray[np.float64]:
    """Return the seconds of each call of a fresh process."""
    subprocess.run([sys.executable, "-c", WORK, str(calls), str(path)], check=True)
    return np.asarray(np.load(path), dtype=np.float64)


def matrix(rounds: int, calls: int, seed: int, path: Path) -> tuple[statistics.Ratio, bool]:
    """Return the ratio of the two equal units, and whether a t-test on all calls calls them different."""
    samples: dict[int, list[NDArray[np.float64]]] = {0: [], 1: []}
    for order in statistics.orders(2, rounds, seed):
        for unit in order:
            samples[unit].append(timed(calls, path))
    medians = [[float(np.median(calls)) for calls in samples[unit]] for unit in (0, 1)]
    naive = ttest_ind(*(np.log(np.concatenate(samples[unit])) for unit in (0, 1)), equal_var=False)
    return statistics.ratio(*medians), bool(naive.pvalue < 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--matrices", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.npy"
        matrices = [matrix(chosen.rounds, chosen.calls, seed, path) for seed in range(chosen.matrices)]
    ours = sum(ratio.different for ratio, _ in matrices)
    naive = sum(wrong for _, wrong in matrices)
    width = np.median([100 * ((ratio.high or 0) / (ratio.low or 1) - 1) for ratio, _ in matrices])
    print(f"{chosen.matrices} matrices of the same work twice, {chosen.rounds} rounds of at least {chosen.calls} calls")
    print(f"called different by the interval over rounds: {ours} (median width {width:.1f}%)")
    print(f"called different by a t-test on all calls:    {naive}")


if __name__ == "__main__":
    main()
