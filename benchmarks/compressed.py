"""Convert one Keras image application of each family with `coremlbench convert` to every variant, and prove them all.

    python benchmarks/compressed.py                       all of them, and docs/compressed-applications.md
    python benchmarks/compressed.py ResNet50 NASNetMobile

The weights are random and seeded (``applications.build``), the pictures too; the command is that of any user, in a
results folder of its own. What was measured with the same code is not measured again: an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from applications import LIMIT, ROOT, build, code, taken, versions

from coremlbench.conversion.variants import VARIANTS

TABLE = ROOT / "docs" / "compressed-applications.md"
ROWS = ROOT / "results" / "compressed-applications.jsonl"
IMAGES = 100
APPLICATIONS = (
    *("Xception", "ResNet50", "ResNet50V2", "InceptionV3", "InceptionResNetV2", "MobileNet", "MobileNetV2"),
    *("MobileNetV3Small", "DenseNet121", "NASNetMobile", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"),
)
"""The smallest of each family; VGG is left out: 138 million weights take hours to palettize."""


def save(name: str, path: str) -> None:
    """Save an application with random weights, taking pictures from 0 to 255."""
    import keras

    model = build(name)
    how = taken(model)
    image = keras.Input(model.input_shape[1:], name="image")
    keras.Model(image, model(keras.layers.Rescaling(how["scale"], how["offset"])(image))).save(path)


def measure(name: str) -> dict[str, Any]:
    """Return what `coremlbench convert --variants all` says of an application: its variants, or why there are none."""
    with tempfile.TemporaryDirectory() as scratch:
        model, results = str(Path(scratch) / f"{name}.keras"), str(Path(scratch) / "results")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "COREMLBENCH_CACHE": str(Path(scratch) / "cache")}
        subprocess.run([sys.executable, __file__, "--save", name, model], check=True, env=environment)
        command = [sys.executable, "-m", "coremlbench", "convert", model, "--variants", "all", "--json"]
        command += ["--images", str(IMAGES), "--results", results]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
        (record,) = json.loads(done.stdout)
    return {"name": name, "code": version(), "outcome": record["outcome"], "variants": record["variants"]}


def version() -> str:
    """Return a hash of what a row rests on."""
    return hashlib.sha256((Path(__file__).read_text(encoding="utf-8") + code()).encode()).hexdigest()


def measured() -> dict[str, dict[str, Any]]:
    """Return the rows that an earlier run measured with the same code, by name."""
    if not ROWS.exists():
        return {}
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    return {row["name"]: row for row in rows if row["code"] == version() and row["variants"]}


def keep(row: dict[str, Any]) -> None:
    """Add a row to those that a later run need not measure again."""
    ROWS.parent.mkdir(exist_ok=True)
    with ROWS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def cells(row: dict[str, Any]) -> list[str]:
    """Return each variant's megabytes, and its largest error as a share of the logits' range."""
    variants = {variant["name"]: variant for variant in row["variants"]}
    return [_cell(variants.get(plan.name), row["outcome"]) for plan in VARIANTS]


def _cell(variant: dict[str, Any] | None, outcome: dict[str, Any]) -> str:
    failure = outcome if variant is None else variant.get("failure")
    if failure or variant is None:
        return str((failure or {}).get("reason", "failed"))
    return f"{variant['bytes'] / 1e6:.1f} MB, {error(variant):.1e}"


def error(variant: dict[str, Any]) -> float:
    """Return a variant's largest error as a share of the logits' range, infinite if it is not known or not finite."""
    proof = variant.get("proof")
    return float(proof["max_error"] / proof["range"]) if proof and proof["max_error"] is not None else math.inf


def table(rows: list[dict[str, Any]]) -> str:
    """Return docs/compressed-applications.md."""
    names = [plan.name for plan in VARIANTS]
    missing = [name for name in APPLICATIONS if name not in {row["name"] for row in rows}]
    executed = sum(math.isfinite(error(variant)) for row in rows for variant in row["variants"])
    lines = [
        "# Keras applications in every variant",
        "",
        "Made by `python benchmarks/compressed.py`; no number here was written by hand. One application of each",
        "family, with seeded random weights, went through `coremlbench convert --variants all` with",
        f"{IMAGES} random pictures: size on disk, and the largest error of a logit as a share of the logits' range.",
        "It shows that every compressed form is made and executed, not what few bits do to a network that was trained:",
        "random weights are all needed, and the logits of random networks differ little from picture to picture.",
        f"{executed} of {len(rows) * len(VARIANTS)} packages were executed. Versions: {versions()}.",
        "",
        f"| application | {' | '.join(names)} |",
        f"|---|{'--:|' * len(names)}",
        *(f"| {row['name']} | {' | '.join(cells(row))} |" for row in rows),
        "",
        *([f"Not measured yet: {', '.join(missing)}.", ""] if missing else []),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="applications (default: one of each family, and the page is written)")
    parser.add_argument("--save", nargs=2, metavar=("NAME", "FILE"), help="save an application with random weights")
    options = parser.parse_args()
    if options.save:
        save(*options.save)
        return
    rows, known, good = [], measured(), True
    for name in options.names or APPLICATIONS:
        row = known.get(name) or measure(name)
        if name not in known:
            keep(row)
        rows.append(row)
        print(f"{name}: {'; '.join(cells(row))}", flush=True)
        errors = {variant["name"]: error(variant) for variant in row["variants"]}
        good &= len(errors) == len(VARIANTS) and errors["fp32"] < LIMIT and max(errors.values()) < math.inf
        if not options.names:
            TABLE.write_text(table(rows), encoding="utf-8")  # after each, so that an interrupted run keeps its rows
    if not good:
        sys.exit(1)


if __name__ == "__main__":
    main()
