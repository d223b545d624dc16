"""Convert every Keras image application to an ML Program, execute it, and compare its logits with TensorFlow's.

    python benchmarks/applications.py                     all of them, and docs/applications.md
    python benchmarks/applications.py ResNet50 NASNetMobile

The weights are random and seeded, and keep signals alive (``coremlbench.training.random_weights``); the networks are
traced and converted as ``coremlbench convert`` does it. Every network has a process of its own: the memory of one is
gone before the next begins. What was measured with the same code is not measured again: an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "applications.md"
ROWS = ROOT / "results" / "applications.jsonl"
LIMIT = 1e-4
"""The error that is allowed, as a share of the logits' range."""
SECONDS = 900
"""What is still a reasonable time for one network on two cores."""
IMAGES = 3
MEMORY = " (as a rule, for want of memory)"
LIBRARIES = ("keras", "tensorflow", "coremltools", "onnxruntime")

APPLICATIONS = (
    *("Xception", "VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    *("InceptionV3", "InceptionResNetV2", "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large"),
    *("DenseNet121", "DenseNet169", "DenseNet201", "NASNetMobile", "NASNetLarge"),
    *(f"EfficientNetB{size}" for size in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
)


def build(name: str) -> Any:
    """Return the application at its own input size, with seeded weights that keep signals alive."""
    import keras

    from coremlbench.training.random_weights import calibrate_random_weights, set_seed

    set_seed(0)
    shape = (224, 224, 3) if name.startswith("MobileNetV3") else None  # the others have a size of their own
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None, input_shape=shape)
    calibrate_random_weights(model, **taken(model))
    return model


def taken(model: Any) -> dict[str, float]:
    """Return how the network takes pixels: from 0 to 255 where it rescales them, else from -1 to 1."""
    from coremlbench.conversion.originals.input_graph import InputGraph
    from coremlbench.conversion.originals.pixel_range import wanted_maximum

    rescales = wanted_maximum(InputGraph(tracer(model)(1))) == 255
    return {"scale": 1.0, "offset": 0.0} if rescales else {"scale": 1 / 127.5, "offset": -1.0}


def tracer(model: Any) -> Any:
    """Return a function of a batch size that traces the model."""
    from coremlbench.conversion.originals.traced_model import make_tracer

    return make_tracer(lambda image: model(image, training=False), tuple(model.input_shape[1:]))


def images(model: Any, seed: int, count: int) -> Any:
    """Return random pictures as the network takes them."""
    from coremlbench.training.random_weights import random_pictures

    how = taken(model)
    return (random_pictures(model.input_shape[1:], seed, count) * how["scale"] + how["offset"]).astype("float32")


def convert(model: Any, package: Path) -> None:
    """Save the model as an ML Program in float32."""
    from coremlbench.conversion.originals.traced_model import TracedModel

    shape = tuple(model.input_shape[1:])
    original = TracedModel(trace=tracer(model), shape=shape, pixels=False, scale=1.0, classes=(), versions={})
    original.convert("float32", batch=1, target="macOS12").save(str(package))


def measure(name: str) -> dict[str, Any]:
    """Return one row: what the network is, how long it took, and how far its logits are from TensorFlow's."""
    import numpy as np

    from coremlbench.mil_onnx import load_program
    from coremlbench.runtimes.reference import ReferenceRuntime

    model = build(name)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        started = time.perf_counter()
        convert(model, package)
        converted = time.perf_counter() - started
        size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
        started = time.perf_counter()
        program = load_program(package)
        census = collections.Counter(op.op_type for op in program.function.operations if op.op_type != "const")
        runtime = ReferenceRuntime(program)
        loaded = time.perf_counter() - started
    samples = images(model, 1, IMAGES)
    expected = np.concatenate([model(sample[np.newaxis], training=False).numpy() for sample in samples])
    started = time.perf_counter()
    actual = np.concatenate([runtime.predict({"image": sample[np.newaxis]})[runtime.outputs[0]] for sample in samples])
    predicted = (time.perf_counter() - started) / IMAGES
    return {
        "name": name,
        "input": list(model.input_shape[1:]),
        "parameters": int(model.count_params()),
        "bytes": size,
        "ops": sum(census.values()),
        "kinds": sorted(census),
        "convert": converted,
        "load": loaded,
        "predict": predicted,
        "range": float(np.ptp(expected)),
        "error": float(np.abs(actual - expected).max() / np.ptp(expected)),
        "agreement": float((actual.argmax(1) == expected.argmax(1)).mean()),
    }


def in_child(name: str) -> dict[str, Any]:
    """Return the row of one network, measured in a process of its own; a row with a reason if it fails."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", name]
    with tempfile.TemporaryDirectory() as scratch:  # coremltools leaves its packages behind when it is stopped
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", TMPDIR=scratch)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            return {"name": name, "failed": f"not done after {SECONDS} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        if done.returncode < 0:
            return {"name": name, "failed": f"ended by signal {-done.returncode}" + MEMORY * (done.returncode == -9)}
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"name": name, "failed": f"exit code {done.returncode}: {last}"}
    row: dict[str, Any] = json.loads(lines[-1])
    return row


def code() -> str:
    """Return a hash of what a row rests on: this script, what converts and executes, and the libraries' versions."""
    from coremlbench.conversion import cache as conversion_cache

    rests_on = [Path(__file__).read_text(encoding="utf-8"), conversion_cache.code_digest(), versions(), os.cpu_count()]
    return hashlib.sha256(repr(rests_on).encode()).hexdigest()


def versions() -> str:
    """Return the versions of the libraries that take part."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


def measured(version: str) -> dict[str, dict[str, Any]]:
    """Return the rows that an earlier run measured with the same code, by name."""
    if not ROWS.exists():
        return {}
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    return {row["name"]: row for row in rows if row["code"] == version and "failed" not in row}


def keep(row: dict[str, Any]) -> None:
    """Add a row to those that a later run need not measure again."""
    ROWS.parent.mkdir(exist_ok=True)
    with ROWS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Return docs/applications.md."""
    good = [row for row in rows if "error" in row]
    below = sum(row["error"] < LIMIT for row in good)
    kinds = sorted({kind for row in good for kind in row["kinds"]})
    lines = [
        "# Keras applications on the reference runtime",
        "",
        "Made by `python benchmarks/applications.py`; no number here was written by hand. Each application has seeded",
        "random weights and batch-norm statistics taken from random images; it was converted to an ML Program in",
        "float32, saved, read back and executed at its own input size. The error is the largest difference of a logit",
        f"from TensorFlow's over {IMAGES} random images, as a share of the logits' range; {LIMIT:g} is the limit.",
        f"{below} of {len(rows)} are below it. Convert, load and run (one image) are seconds on {os.cpu_count()}",
        f"shared cores. Versions: {versions()}.",
        "",
        "| application | input | parameters | MB | ops | error / range | range | same class | convert | load | run |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['name']} | {row['failed']} |" + " |" * 9)
            continue
        lines.append(
            f"| {row['name']} | {'x'.join(map(str, row['input']))} | {row['parameters']:,} | {row['bytes'] / 1e6:.1f} "
            f"| {row['ops']} | {row['error']:.1e} | {row['range']:.3g} | {row['agreement']:.0%} "
            f"| {row['convert']:.1f} | {row['load']:.1f} | {row['predict']:.3f} |"
        )
    lines += ["", f"Ops used between them: {', '.join(f'`{kind}`' for kind in kinds)}.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="applications (default: all, and the table is written)")
    parser.add_argument("--one", help="measure one in this process and print it as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows, version = [], code()
    known = measured(version)
    for name in options.names or APPLICATIONS:
        row = known.get(name) or {**in_child(name), "code": version}
        if name not in known:
            keep(row)
        rows.append(row)
        print(f"{name}: {row.get('failed') or 'error / range {:.1e}'.format(row['error'])}", flush=True)
        if not options.names:
            TABLE.write_text(table(rows), encoding="utf-8")  # after each, so that an interrupted run keeps its rows
    if not all(row.get("error", math.inf) < LIMIT for row in rows):  # an error that is not a number is none below it
        sys.exit(1)


if __name__ == "__main__":
    main()
