"""The built-in solver against Turi Create's on the same features: how far they agree, and what each takes.

    python benchmarks/solver.py --features DIR [--agreement] [--cost] [--train 750] [--repeat 10]

Features are SqueezeNet's, of the flipped and rotated copies that a Create ML run makes. They are saved in DIR, so that
a second call only trains. Both sides are the workers of ``coremlbench createml``, one after the other, as processes.

Agreement: `drawn-food`, MNIST and Fashion-MNIST, each with 2, 4 and 10 classes. Beside the difference from Turi Create
stands that of the built-in solver from itself with another size of blocks, which sums the rows in another order.
Cost: seconds and peak memory with the features of `drawn-food`, and with --repeat times as many training rows: every
number of a copy is the original's times a random factor from 0.8 to 1.2.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from coremlbench.createml.extractors import obtain_extractor
from coremlbench.createml.feature_extraction import Part, Target, write_rows
from coremlbench.createml.network import read_network
from coremlbench.createml.network_onnx import write_onnx
from coremlbench.createml.run_context import TURICREATE_WORKER
from coremlbench.createml.solver.agreement import solver_agreement
from coremlbench.createml.solver.fit import fit
from coremlbench.createml.solver.rows import FeatureRows
from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment
from coremlbench.createml.validation_split import split_validation
from coremlbench.runs.steps import worker
from coremlbench.supervision.supervisor import supervise
from coremlbench.system.formatting import format_bytes
from coremlbench.system.machine import describe_machine
from coremlbench.system.paths import cache_folder
from coremlbench.types.data import LabelledImage
from coremlbench.types.process import Exit
from coremlbench_datasets import DatasetRequest, find
from coremlbench_datasets.array_datasets import ARRAY_DATASETS

EXTRACTOR = "squeezenet_v1.1"
LENGTH = 1000
AUGMENT = ("rotation", "flip")
DATASETS = ("drawn-food", "mnist", "fashion-mnist")
CLASSES = (2, 4, 10)
ITERATIONS = 25
OTHER_BLOCK_ROWS = 100


@dataclass(frozen=True)
class Features:
    """Features on disk: float32 rows, with the rows [first, last) and the label of each image by part."""

    path: Path
    parts: dict[str, tuple[int, int]]
    labels: dict[str, list[int]]

    def request(self, folder: Path, iterations: int) -> dict[str, Any]:
        """Return the request that the workers of both engines take."""
        return {
            "task": "train",
            "features": str(self.path),
            "features_sha256": None,
            "length": LENGTH,
            "parts": self.parts,
            "labels": self.labels,
            "iterations": iterations,
            "seed": 0,
            "scratch": str(folder / "scratch"),
            "state": str(folder / "solver-state.npz"),
        }

    def row_labels(self, name: str) -> list[int]:
        """Return the label of each row of a part: all copies of an image have its label."""
        first, last = self.parts[name]
        copies = (last - first) // max(len(self.labels[name]), 1)
        return [label for label in self.labels[name] for _ in range(copies)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="Folder for the features.")
    parser.add_argument("--agreement", action="store_true", help="Only how far they agree.")
    parser.add_argument("--cost", action="store_true", help="Only what they take.")
    parser.add_argument("--train", type=int, default=750, help="Training pictures of each dataset.")
    parser.add_argument("--test", type=int, default=250, help="Test pictures of each dataset.")
    parser.add_argument("--repeat", type=int, default=10, help="How many times the rows in the large training.")
    options = parser.parse_args()
    options.features.mkdir(parents=True, exist_ok=True)
    turicreate = ensure_environment(TURICREATE, cache_folder(), print)
    machine = describe_machine()
    print(f"{machine.chip}, {machine.logical_cores} cores, {machine.system} {machine.system_version}\n", flush=True)
    if options.agreement or not options.cost:
        print_agreement(options, turicreate)
    if options.cost or not options.agreement:
        print_cost(options, turicreate)


# --- agreement ----------------------------------------------------------------------------------------------


def print_agreement(options: argparse.Namespace, turicreate: Path) -> None:
    """Print a table with a row for each dataset and number of classes."""
    print(
        "| dataset | classes | rows | largest difference (of) | another order of summation | training accuracy in 25 "
        "iterations | evaluations | predictions the same | status |"
    )
    print("|---|--:|--:|--:|--:|---|--:|--:|---|", flush=True)
    for name in DATASETS:
        everything = features_of(name, options.train, options.test, options.features)
        for classes in CLASSES:
            with tempfile.TemporaryDirectory() as folder:
                features = first_classes(everything, classes, Path(folder))
                print(agreement_row(name, classes, features, turicreate), flush=True)


def agreement_row(name: str, classes: int, features: Features, turicreate: Path) -> str:
    """Train with both solvers, and with the built-in one in other blocks; return how far all agree."""
    theirs, ours = result(train_turicreate(features, turicreate)), result(train_builtin(features))
    rows = features.parts["train"][1]
    agreement = solver_agreement("turicreate", ours, theirs, rows)
    labels = np.array(features.row_labels("train"))
    blocks = FeatureRows(features.path, LENGTH, 0, rows, labels, block_rows=OTHER_BLOCK_ROWS)
    own = np.array([[*values[1:], values[0]] for _, values in sorted(ours["coefficients"].items())])
    reordering = float(np.abs(fit(blocks, None, classes, ITERATIONS).coefficients - own).max())
    first = agreement.first_difference
    cells = [
        f"`{name}`",
        str(classes),
        f"{rows:,}",
        f"{agreement.largest_difference:.1e} ({agreement.largest_coefficient:.2g})",
        f"{reordering:.1e}",
        "the same" if first is None else f"other from iteration {first}",
        f"{agreement.passes} / {agreement.other_passes}",
        f"{agreement.equal_predictions} of {agreement.predictions}",
        "the same" if theirs["solver_status"] == ours["solver_status"] else "another",
    ]
    return f"| {' | '.join(cells)} |"


def first_classes(features: Features, classes: int, folder: Path) -> Features:
    """Return the features of the images of the first classes, in a file of their own."""
    rows = np.memmap(features.path, np.float32, "r").reshape(-1, LENGTH)
    parts, labels, chosen, first = {}, {}, [], 0
    for name, (start, last) in features.parts.items():
        own = np.array(features.row_labels(name), np.int64)
        chosen.append(rows[start:last][own < classes])
        parts[name], first = (first, first + len(chosen[-1])), first + len(chosen[-1])
        labels[name] = [label for label in features.labels[name] if label < classes]
    np.concatenate(chosen).tofile(folder / "features.f32")
    return Features(folder / "features.f32", parts, labels)


# --- cost ---------------------------------------------------------------------------------------------------


def print_cost(options: argparse.Namespace, turicreate: Path) -> None:
    """Print seconds and peak memory of both workers for few and for many rows, and their ratios."""
    print("\n| rows | | Turi Create | built-in | ratio |")
    print("|--:|---|--:|--:|--:|", flush=True)
    few = features_of("drawn-food", options.train, options.test, options.features)
    with tempfile.TemporaryDirectory() as folder:
        for features in (few, repeated(few, options.repeat, Path(folder))):
            for line in cost_rows(features, turicreate):
                print(line, flush=True)


def cost_rows(features: Features, turicreate: Path) -> Iterator[str]:
    """Train with both workers, one after the other; yield rows on what they took."""
    (theirs, their_seconds), (ours, our_seconds) = (
        with_processor_seconds(lambda: train_turicreate(features, turicreate)),
        with_processor_seconds(lambda: train_builtin(features)),
    )
    rows = features.parts["train"][1]
    for what, values, text in (
        ("solver, seconds", (solver_seconds(theirs), solver_seconds(ours)), "{:.2f}".format),
        ("whole worker, seconds", (theirs.seconds, ours.seconds), "{:.2f}".format),
        ("whole worker, seconds of all cores", (their_seconds, our_seconds), "{:.2f}".format),
        ("peak memory", (float(theirs.peak_bytes), float(ours.peak_bytes)), lambda value: format_bytes(int(value))),
    ):
        yield f"| {rows:,} | {what} | {text(values[0])} | {text(values[1])} | {values[0] / values[1]:.1f} |"
    agreement = solver_agreement("turicreate", result(ours), result(theirs), rows)
    yield (
        f"| {rows:,} | evaluations; coefficients {agreement.largest_difference:.1e} apart | {agreement.other_passes} | "
        f"{agreement.passes} | |"
    )


def with_processor_seconds(train: Callable[[], Exit]) -> tuple[Exit, float]:
    """Return how a training ended, and the processor time of its processes, which other load hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = train()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def repeated(features: Features, times: int, folder: Path) -> Features:
    """Return so many times the training rows, in a file of their own; the other parts are as before."""
    rows = np.memmap(features.path, np.float32, "r").reshape(-1, LENGTH)
    count, path, random = features.parts["train"][1], folder / "repeated.f32", np.random.default_rng(0)
    with path.open("wb") as file:
        rows[:count].tofile(file)
        for _ in range(times - 1):
            (rows[:count] * random.uniform(0.8, 1.2, (count, LENGTH)).astype(np.float32)).tofile(file)
        rows[count:].tofile(file)
    shift = (times - 1) * count
    parts = {name: (first + shift, last + shift) for name, (first, last) in features.parts.items()}
    labels = {**features.labels, "train": features.row_labels("train") * times}
    return Features(path, {**parts, "train": (0, times * count)}, labels)


def solver_seconds(ended: Exit) -> float:
    """Return the seconds of the solver's own table, to the end of the last iteration."""
    return float(result(ended)["iterations"][-1]["seconds"])


# --- trainings ----------------------------------------------------------------------------------------------


def train_turicreate(features: Features, turicreate: Path) -> Exit:
    """Return how the worker of Turi Create ended."""
    return _train([str(turicreate), "-I", str(TURICREATE_WORKER)], features)


def train_builtin(features: Features) -> Exit:
    """Return how the worker of the built-in solver ended."""
    return _train(worker("train_builtin"), features)


def _train(command: Sequence[str], features: Features) -> Exit:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scratch").mkdir()
        ended = supervise(command, folder=folder, request=features.request(folder, ITERATIONS))
    assert ended.result is not None, ended.log_tail
    return ended


def result(ended: Exit) -> dict[str, Any]:
    """Return the result of a training that ended well."""
    assert ended.result is not None
    return ended.result


# --- features -----------------------------------------------------------------------------------------------


def features_of(name: str, train: int, test: int, folder: Path) -> Features:
    """Return the features of a dataset's pictures, which are extracted if the folder does not have them."""
    target = folder / f"{name}-{train}-{test}"
    about, path = target.with_suffix(".json"), target.with_suffix(".f32")
    if not about.is_file():
        weights = obtain_extractor(EXTRACTOR, cache_folder(), print).weights
        assert weights is not None
        with pictures_of(name, train, test) as (training, testing), tempfile.TemporaryDirectory() as scratch:
            own, validation = split_validation(training, 0)
            by_part = {"train": own, "validation": validation, "test": testing}
            parts = [
                Part(part, tuple(image.path for image in images), AUGMENT if part == "train" else ())
                for part, images in by_part.items()
            ]
            network = Path(scratch) / "network.onnx"
            write_onnx(read_network(weights), network, bgr=True)
            write_rows(parts, Target(path, (227, 227), network), lambda *_: None)
        ranges, first = {}, 0
        for part in parts:
            ranges[part.name], first = (first, first + part.rows), first + part.rows
        labels = {part: [image.label for image in images] for part, images in by_part.items()}
        about.write_text(json.dumps({"parts": ranges, "labels": labels}))
    saved = json.loads(about.read_text())
    return Features(path, {name: (first, last) for name, (first, last) in saved["parts"].items()}, saved["labels"])


@contextmanager
def pictures_of(name: str, train: int, test: int) -> Iterator[tuple[Sequence[LabelledImage], Sequence[LabelledImage]]]:
    """Give the training and test pictures of a dataset; those of a dataset of arrays are written as PNG files."""
    datasets = cache_folder() / "datasets"
    if name not in ARRAY_DATASETS:
        images = find(name).prepare(DatasetRequest(datasets, train=train, test=test), lambda *_, **__: None)
        yield images.train, images.test
        return
    arrays = ARRAY_DATASETS[name].prepare(datasets)
    with tempfile.TemporaryDirectory() as folder:
        yield (
            _write_pictures(arrays.train_images, arrays.train_labels, train, Path(folder) / "train"),
            _write_pictures(arrays.test_images, arrays.test_labels, test, Path(folder) / "test"),
        )


def _write_pictures(images: Path, labels: Path, count: int, folder: Path) -> list[LabelledImage]:
    """Write equally many pictures of each class, ``count`` in all."""
    folder.mkdir()
    pixels, classes = np.load(images, mmap_mode="r"), np.load(labels).ravel()
    written = []
    for label in range(10):
        for index in np.flatnonzero(classes == label)[: count // 10]:
            path = folder / f"{index}.png"
            Image.fromarray(np.ascontiguousarray(pixels[index]).reshape(28, 28)).convert("RGB").save(path)
            written.append(LabelledImage(path, label))
    return written


if __name__ == "__main__":
    main()
