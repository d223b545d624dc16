"""TinyVGG's epochs, fed in three ways in one run: our pipeline, tensors that lie ready in memory, a plain script.

    python benchmarks/training.py [--images 7500] [--rounds 4] [--side 224] [--dataset drawn-food]

The three train the same network with the same batch in one process, an epoch of each in turn and in a new order every
round, so that whatever else the machine does meets all of them alike. The first round loads and traces, is shown,
and is left out of the ratios, as the first epoch is everywhere else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coremlbench.system.paths import cache_folder
from coremlbench.training.input_pipeline import Pictures, Rows, training_batches
from coremlbench.types.data import ImageSet
from coremlbench_datasets import DatasetRequest, find

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
BATCH = 32
Epoch = Callable[[int], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=7500)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--dataset", default="drawn-food")
    chosen = parser.parse_args()
    request = DatasetRequest(cache=cache_folder() / "datasets", train=chosen.images, test=10)
    images = find(chosen.dataset).prepare(request, lambda *_, **__: None)
    shape = (chosen.side, chosen.side, 3)
    print(f"TinyVGG {chosen.side}x{chosen.side}, {len(images.train)} pictures of {images.name}, batch {BATCH}")
    with tempfile.TemporaryDirectory() as folder:
        contestants: dict[str, Epoch] = {
            "pipeline": pipeline(images, shape),
            "preloaded": preloaded(images, shape),
            "plain script": plain_script(images, shape, Path(folder)),
        }
        seconds = run(contestants, chosen.rounds)
    middle = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    for name, times in seconds.items():
        print(
            f"{name:14}", " ".join(f"{epoch:7.2f}" for epoch in times), f"  median from round 2: {middle[name]:.2f} s"
        )
    print(f"pipeline / preloaded:    {paired(seconds, 'pipeline', 'preloaded'):.3f}  (at most 1.05 is wanted)")
    print(f"plain script / pipeline: {paired(seconds, 'plain script', 'pipeline'):.3f}  (above 1: ours is faster)")


def run(contestants: dict[str, Epoch], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contestant's epochs."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(1, rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds[name].append(contestants[name](number))
            print(f"  round {number}: {name} {seconds[name][-1]:.2f} s", flush=True)
    return seconds


def paired(seconds: dict[str, list[float]], one: str, other: str) -> float:
    """Return the median over the rounds from the second on of the ratio within a round."""
    pairs = zip(seconds[one][1:], seconds[other][1:], strict=True)
    return statistics.median(first / second for first, second in pairs)


def network(shape: tuple[int, int, int], classes: int) -> Any:
    from coremlbench_models import NETWORKS

    model = NETWORKS["tinyvgg"].build(shape, classes)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def pipeline(images: ImageSet, shape: tuple[int, int, int]) -> Epoch:
    """Return what trains an epoch as `coremlbench train` does."""
    import numpy as np

    labels = np.array([image.label for image in images.train])
    return trained_on(Rows(labels, Pictures([image.path for image in images.train], shape)), shape, images)


def preloaded(images: ImageSet, shape: tuple[int, int, int]) -> Epoch:
    """Return what trains an epoch on float32 tensors that are in memory before it starts, scaled already."""
    import numpy as np
    import tensorflow as tf

    model = network(shape, len(images.classes))
    untuned = tf.data.Options()
    untuned.autotune.enabled = False  # its thread would hold up the end of the epoch by seconds: not our peer's fault
    numbers = np.arange(len(images.train))
    pixels = tf.constant(Pictures([image.path for image in images.train], shape).batch(numbers) / np.float32(255))
    labels = tf.constant(np.array([image.label for image in images.train]))

    def epoch(number: int) -> float:
        order = tf.data.Dataset.from_tensor_slices(np.random.default_rng(number).permutation(numbers)).batch(BATCH)
        batches = order.map(lambda rows: (tf.gather(pixels, rows), tf.gather(labels, rows))).prefetch(2)
        return fit_seconds(model, batches.with_options(untuned))

    return epoch


def plain_script(images: ImageSet, shape: tuple[int, int, int], folder: Path) -> Epoch:
    """Return what trains an epoch as a newcomer would write it: image_dataset_from_directory and fit."""
    import keras

    for number, image in enumerate(images.train):
        link = folder / f"{image.label:02d}" / f"{number}{image.path.suffix}"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(image.path)
    model = network(shape, len(images.classes))
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=shape[:2], batch_size=BATCH, seed=0, verbose=False
    )
    scaled = dataset.map(lambda pixels, labels: (pixels / 255.0, labels))
    return lambda _: fit_seconds(model, scaled)


def trained_on(rows: Rows, shape: tuple[int, int, int], images: ImageSet) -> Epoch:
    model = network(shape, len(images.classes))

    def epoch(number: int) -> float:
        batches = training_batches(rows, batch=BATCH, seed=0, scale=1 / 255, first_epoch=number, last_epoch=number)
        return fit_seconds(model, batches)

    return epoch


def fit_seconds(model: Any, batches: Any) -> float:
    start = time.perf_counter()
    model.fit(batches, epochs=1, shuffle=False, verbose=0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
