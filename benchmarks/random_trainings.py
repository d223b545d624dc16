"""Random small trainings with both solvers: where do they part, and does Turi Create part from itself there?

    python benchmarks/random_trainings.py [--kinds gamma,classes] [--count 80] [--iterations 25] [--seed 0]

Two trainings part when evaluations, status, predictions or an accuracy differ, or a coefficient by more than a
millionth of the largest. Each such problem is trained by Turi Create again with its rows in three other orders, which
changes nothing but the order of summation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coremlbench.createml.run_context import TURICREATE_WORKER
from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment
from coremlbench.system.paths import cache_folder
from coremlbench.workers import train_builtin

Features = npt.NDArray[np.float64]
Make = Callable[[np.random.Generator, Features, npt.NDArray[np.int64]], Features]

KINDS: dict[str, Make] = {
    "gamma": lambda random, values, labels: values,  # noqa: ARG005  one signature for all kinds
    "classes": lambda random, values, labels: values + 5 * random.random((10, values.shape[1]))[labels],
    "zeros": lambda random, values, labels: values * (random.random(values.shape[1]) < 0.5),  # noqa: ARG005
    "scales": lambda random, values, labels: values * 10 ** random.uniform(-8, 8, values.shape[1]),  # noqa: ARG005
    "sparse": lambda random, values, labels: np.where(random.random(values.shape) < 0.02, values * 1e4, 0),  # noqa: ARG005
    "offset": lambda random, values, labels: random.normal(1000, 1, values.shape),  # noqa: ARG005
    "huge": lambda random, values, labels: (  # noqa: ARG005
        np.where(random.random(values.shape) < 0.01, 10.0 ** random.uniform(0, 37, values.shape), 0)
    ),
    "tiny": lambda random, values, labels: random.normal(0, 1e-7, values.shape) + random.choice([0, 1e-6]),  # noqa: ARG005
}
"""How the features of a kind are made from a generator, gamma-distributed numbers (like a network's) and labels."""

LOOP = """
import importlib.util, json, pathlib, sys
import turicreate as tc
spec = importlib.util.spec_from_file_location("worker", sys.argv[1])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
class Quiet:
    def report(self, *arguments, **figures):
        pass
for request in sorted(pathlib.Path(sys.argv[2]).glob("*.request.json")):
    result = worker.train(tc, Quiet(), json.loads(request.read_text()))
    pathlib.Path(str(request).replace(".request.", ".result.")).write_text(json.dumps(result))
"""
"""Run in Turi Create's Python: trains all requests of a folder in one process, which starts in seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    turicreate = ensure_environment(TURICREATE, cache_folder(), print)
    kinds = options.kinds.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "all").mkdir()
        for number in range(options.count):
            write_problem(folder / "all", number, kinds[number % len(kinds)], options)
        train_turicreate(turicreate, folder / "all")
        parted = [number for number in range(options.count) if print_difference(folder / "all", number)]
        by_kind = Counter(kinds[number % len(kinds)] for number in parted)
        print(f"{len(parted)} of {options.count} part: {dict(by_kind)}")
        if parted:
            itself = part_from_themselves(turicreate, folder, parted)
            print(f"Turi Create takes another number of evaluations in another order of its rows in {itself} of them")


def write_problem(folder: Path, number: int, kind: str, options: argparse.Namespace) -> None:
    """Write the features and the request of a random training with more than 500 coefficients."""
    random = np.random.default_rng([options.seed, number])
    classes = int(random.choice([2, 3, 4, 7, 10]))
    length = -(-510 // (classes - 1)) + int(random.integers(0, 60))
    rows = int(random.choice([20, 60, 200, 500]))
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, rows + 20 - classes)])
    values = KINDS[kind](random, random.gamma(0.5, 2, (rows + 20, length)), labels)
    parts = {"train": (0, rows), "validation": (rows, rows + 10), "test": (rows + 10, rows + 20)}
    request = {
        "task": "train",
        "features_sha256": None,
        "length": length,
        "parts": parts,
        "labels": {name: labels[first:last].tolist() for name, (first, last) in parts.items()},
        "iterations": options.iterations,
        "seed": 0,
        "kind": kind,
    }
    write_request(folder, f"{number:03d}", request, values.astype(np.float32))


def write_request(folder: Path, name: str, request: dict[str, Any], values: npt.NDArray[np.float32]) -> None:
    """Write a request with the path of its features, and the features."""
    values.tofile(folder / f"{name}.f32")
    paths = {"features": str(folder / f"{name}.f32"), "state": str(folder / f"{name}.npz"), "scratch": str(folder)}
    (folder / f"{name}.request.json").write_text(json.dumps({**request, **paths}))


def train_turicreate(turicreate: Path, folder: Path) -> None:
    """Let Turi Create train all requests of a folder."""
    command = [str(turicreate), "-I", "-c", LOOP, str(TURICREATE_WORKER), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def read(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of the folder."""
    return dict(json.loads((folder / name).read_text()))


def print_difference(folder: Path, number: int) -> bool:
    """Train with the built-in solver; return whether it parts from Turi Create, and print how if it does."""
    request, theirs = read(folder, f"{number:03d}.request.json"), read(folder, f"{number:03d}.result.json")
    ours = train_builtin.work(request, lambda *_, **__: None)
    difference = relative_difference(ours, theirs)
    first = first_difference(passes(ours), passes(theirs))
    same_accuracies = np.allclose(accuracies(ours), accuracies(theirs), atol=1e-6) if first is None else None
    same = (
        first is None
        and same_accuracies
        and difference <= 1e-6
        and ours["solver_status"] == theirs["solver_status"]
        and list(ours["predicted"]) == theirs["predicted"]
    )
    if not same:
        print(
            f"{number:03d} {request['kind']}, {request['parts']['train'][1]} rows of {request['length']}: coefficients "
            f"{difference:.1e} apart, evaluations part at iteration {first}",
            flush=True,
        )
    return not same


def part_from_themselves(turicreate: Path, folder: Path, numbers: Iterable[int]) -> int:
    """Return in how many of the trainings Turi Create takes other evaluations for one of three other orders."""
    again = folder / "again"
    again.mkdir()
    for number in numbers:
        request = read(folder / "all", f"{number:03d}.request.json")
        values = np.fromfile(request["features"], np.float32).reshape(-1, request["length"])
        labels, rows = np.array(request["labels"]["train"]), request["parts"]["train"][1]
        for order in range(3):
            shuffled = np.random.default_rng(order).permutation(rows)
            request["labels"]["train"] = labels[shuffled].tolist()
            write_request(again, f"{number:03d}-{order}", request, np.concatenate([values[shuffled], values[rows:]]))
    train_turicreate(turicreate, again)
    return sum(
        any(
            passes(read(again, f"{number:03d}-{order}.result.json"))
            != passes(read(folder / "all", f"{number:03d}.result.json"))
            for order in range(3)
        )
        for number in numbers
    )


def passes(trained: dict[str, Any]) -> list[int]:
    """Return the evaluations after each iteration."""
    return [row["passes"] for row in trained["iterations"]]


def accuracies(trained: dict[str, Any]) -> list[float]:
    """Return the training accuracy after each iteration."""
    return [row["training_accuracy"] for row in trained["iterations"]]


def first_difference(one: list[int], two: list[int]) -> int | None:
    """Return the first index where two lists differ, ``None`` if they are equal."""
    differing = [index for index, (a, b) in enumerate(zip(one, two, strict=False)) if a != b]
    if not differing and len(one) != len(two):
        return min(len(one), len(two))
    return differing[0] if differing else None


def relative_difference(one: dict[str, Any], two: dict[str, Any]) -> float:
    """Return the largest difference of a coefficient over the largest coefficient."""
    first, second = (
        np.concatenate([trained["coefficients"][label] for label in sorted(trained["coefficients"])])
        for trained in (one, two)
    )
    return float(np.abs(first - second).max() / np.abs(second).max())


if __name__ == "__main__":
    main()
