"""Stock Turi Create against `coremlbench createml`: the same pictures, the same augmented copies, in one run.

    python benchmarks/createml.py [--train 750] [--test 250] [--seed 0]

Stock Turi Create is a user's own script: it loads folders of pictures, extracts with Turi Create's own extractor and
trains with `turicreate.image_classifier.create`, then evaluates. The augmented copies lie ready for it on disk, as
PNG files, so that both sides see the same pixels; making them is not counted. Our side is the whole command: it
decodes, augments, extracts, trains, evaluates, saves the Core ML model and compares it with the trained one.

Both are whole processes, timed from outside, one after the other on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from coremlbench.createml.extractors import obtain_extractor
from coremlbench.createml.feature_extraction import prepare_image
from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment
from coremlbench.createml.validation_split import split_validation
from coremlbench.system.paths import cache_folder
from coremlbench.types.data import LabelledImage
from coremlbench_datasets import DatasetRequest, find

EXTRACTOR = "squeezenet_v1.1"
AUGMENT = ("rotation", "flip")

STOCK = """
import json, os, sys, time
began = time.time()
import turicreate as tc
folder, iterations, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tc.config.set_runtime_config("TURI_CACHE_FILE_LOCATIONS", os.path.join(folder, "turicreate"))
def load(part):
    images = tc.image_analysis.load_images(os.path.join(folder, part), with_path=True)
    images["label"] = images["path"].apply(lambda path: os.path.basename(os.path.dirname(path)))
    return images
train, validation, test = load("train"), load("validation"), load("test")
model = tc.image_classifier.create(
    train, target="label", feature="image", model="squeezenet_v1.1", max_iterations=iterations,
    validation_set=validation, seed=seed)
trained = time.time()
accuracy = model.evaluate(test)["accuracy"]
with open(os.path.join(folder, "stock.json"), "w") as file:
    json.dump({"accuracy": accuracy, "images": [len(train), len(validation), len(test)],
               "iterations": model.classifier.training_iterations, "seconds": time.time() - began}, file)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=750)
    parser.add_argument("--test", type=int, default=250)
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    cache = cache_folder()
    python = ensure_environment(TURICREATE, cache, print)
    weights = obtain_extractor(EXTRACTOR, cache, print).weights
    assert weights is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("writing the augmented copies for stock Turi Create ...", flush=True)
        copies = write_copies(folder, options)
        models = folder / "turicreate" / "model_cache"
        models.mkdir(parents=True)
        (models / weights.name).symlink_to(weights)
        print(f"{copies:,} copies; running stock Turi Create ...", flush=True)
        stock_seconds = run_stock(python, folder, options)
        stock = json.loads((folder / "stock.json").read_text())
        print("running coremlbench createml ...", flush=True)
        our_seconds, record = run_ours(folder, options)
    tell(options, stock, stock_seconds, record, our_seconds)


def write_copies(folder: Path, options: argparse.Namespace) -> int:
    """Write train/, validation/ and test/ by class as a user would have them; return the training copies."""
    images = find("drawn-food").prepare(
        DatasetRequest(cache_folder() / "datasets", options.train, options.test, options.seed), lambda *_, **__: None
    )
    training, validation = split_validation(images.train, options.seed)
    for part, members in (("validation", validation), ("test", images.test)):
        for image in members:
            target = folder / part / images.classes[image.label] / image.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(image.path)
    jobs = [
        (image, folder / "train" / images.classes[image.label], (options.seed, index))
        for index, image in enumerate(training)
    ]
    with ProcessPoolExecutor() as pool:
        return sum(pool.map(write_copies_of, jobs, chunksize=16))


def write_copies_of(job: tuple[LabelledImage, Path, tuple[int, int]]) -> int:
    image, folder, seed = job
    folder.mkdir(parents=True, exist_ok=True)
    copies = prepare_image(image.path, (227, 227), AUGMENT, seed)
    for index, pixels in enumerate(copies):
        Image.fromarray(pixels).save(folder / f"{seed[1]}-{index}.png", compress_level=1)
    return len(copies)


def run_stock(python: Path, folder: Path, options: argparse.Namespace) -> float:
    command = [str(python), "-I", "-c", STOCK, str(folder), str(options.iterations), str(options.seed)]
    began = time.perf_counter()
    with (folder / "stock.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(folder)})
    return time.perf_counter() - began


def run_ours(folder: Path, options: argparse.Namespace) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, "-m", "coremlbench", "createml", "--extractor", EXTRACTOR, "--json"]
    for key in ("train", "test", "iterations", "seed"):
        command += [f"--{key}", str(getattr(options, key))]
    command += ["--results", str(folder / "results")]
    began = time.perf_counter()
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return time.perf_counter() - began, json.loads(ended.stdout)


def tell(
    options: argparse.Namespace, stock: dict[str, Any], stock_seconds: float, record: dict[str, Any], seconds: float
) -> None:
    extractions = record["options"]["extractions"]
    assert sum(stock["images"]) == extractions
    accuracy = record["outcome"]["test_accuracy"]
    print(f"\ndrawn-food, {options.train} training and {options.test} test images, seed {options.seed}, {EXTRACTOR}")
    print(
        f"{extractions:,} extractions on each side, {stock['iterations']} and "
        f"{record['outcome']['solver']['iterations']} iterations\n"
    )
    print(f"{'':34}{'stock Turi Create':>20}{'coremlbench createml':>24}{'ratio':>9}")
    print(f"{'whole process, seconds':34}{stock_seconds:20.1f}{seconds:24.1f}{stock_seconds / seconds:9.2f}")
    print(
        f"{'test accuracy':34}{stock['accuracy']:20.1%}{accuracy:24.1%}"
        f"{100 * (accuracy - stock['accuracy']):+8.1f} points"
    )
    print(
        "\nours by phase, seconds: "
        + ", ".join(f"{phase['name']} {phase['seconds']:.1f}" for phase in record["phases"])
    )


if __name__ == "__main__":
    main()
