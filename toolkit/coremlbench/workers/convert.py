"""Converts one model to its variants: opens the original, takes its predictions on samples, saves the packages.

What a variant came to is written beside its package at once, so that a crash in the next one leaves it standing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from coremlbench.conversion.package_files import save
from coremlbench.conversion.package_results import MADE, tell, telling_errors
from coremlbench.conversion.sample_rows import spread
from coremlbench.conversion.variants import VARIANTS, Precision, uncompressed
from coremlbench.model_files.formats import TENSORFLOW_FORMATS
from coremlbench.supervision.worker_main import Report, run, to_json
from coremlbench.types.errors import InputError, UnusableData


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return what the model is; the variants' results lie beside their packages.

    Raises:
        InputError: the model cannot be opened or has a form that cannot be converted.
    """
    from coremlbench.conversion.originals import open_original
    from coremlbench.system import serialization
    from coremlbench.types.conversion import ModelSource

    report("open", 0, 1, "opening the model", pid=os.getpid())
    source = serialization.from_json(ModelSource, request["source"])
    if source.format not in TENSORFLOW_FORMATS:
        # coremltools imports TensorFlow when it is there: seconds and memory that this conversion has no use for.
        sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]
    original = open_original(source, request["settings"])
    _check_the_given(request["variants"])
    folder = Path(request["folder"])
    known = _take_samples(original, request, folder, report)
    _take_predictions(original, folder, report)
    bases = Bases(original, folder, request["metadata"])
    for number, item in enumerate(request["variants"]):
        report("convert", number, len(request["variants"]), item["key"])
        if not Path(item["package"] + MADE).is_file():
            _make(item, bases, request, report)
    report("convert", len(request["variants"]), len(request["variants"]))
    return {
        "shape": list(original.shape),
        "pixels": original.pixels,
        "scale": original.scale,
        "classes": list(original.classes),
        "description": original.description,
        "versions": dict(original.versions),
        "notes": [*original.notes, *known["notes"]],
        "data": known["data"],
        "images": known["images"],
    }


def _check_the_given(items: list[dict[str, Any]]) -> None:
    """Raise ``InputError`` for a package to be checked that cannot be compared with anything, before it is tried.

    An op that the reference runtime does not know is left to the proof: it is a result, and the package counted.
    """
    from coremlbench.conversion.package_runner import Executed
    from coremlbench.mil_onnx import UnsupportedProgram

    for item in items:
        if item["copy"] and not item["alone"]:
            with suppress(UnsupportedProgram):
                Executed.load(Path(item["copy"]))


# --- samples ------------------------------------------------------------------------------------------------


def _take_samples(original: Any, request: dict[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    """Write samples.npy, labels.npy and calibration.npy, unless an earlier start did; return what they are."""
    told = folder / "samples.json"
    if told.is_file():
        return dict(json.loads(told.read_bytes()))
    import numpy as np

    data = request["data"]
    if data["kind"] == "random":
        known = _random_samples(original, request, folder)
    elif data["kind"] == "arrays":
        known = _array_samples(original, request, folder)
    else:
        known = _picture_samples(original, request, folder, report)
    known["images"] = len(np.load(folder / "samples.npy", mmap_mode="r"))
    told.write_bytes(to_json(known))
    return known


def _random_samples(original: Any, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    import numpy as np

    from coremlbench.training.random_weights import random_samples

    seed, count = request["seed"], request["images"]
    for name, offset, number in (("samples", 1, count), ("calibration", 2, request["calibration"])):
        samples = random_samples(original.shape, pixels=original.pixels, seed=seed + offset, count=number)
        np.save(folder / f"{name}.npy", samples)
    kind = "pictures of coloured patches" if original.pixels or len(original.shape) == 3 else "normal numbers"
    return {"data": f"random inputs ({kind}) from the seed {seed}", "calibration": "other random inputs", "notes": []}


def _array_samples(original: Any, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    import numpy as np

    data = request["data"]
    index, note = _label_of(data["classes"], original.classes)
    for name, split, count in (
        ("samples", "test", request["images"]),
        ("calibration", "train", request["calibration"]),
    ):
        rows = spread(int(data[split]), count)
        pixels = np.load(data[f"{split}_images"], mmap_mode="r")[rows]
        pixels = pixels[..., np.newaxis] if pixels.ndim == 3 else pixels
        if pixels.shape[1:] == (*original.shape, 1):  # a model of rows and columns, without a channel
            pixels = pixels[..., 0]
        if pixels.shape[1:] != original.shape:
            raise InputError(
                f"{data['name']} has images of {pixels.shape[1:]}, and the model takes {original.shape}; name other "
                "data with --data."
            )
        np.save(folder / f"{name}.npy", _as_input(pixels, original))
        if name == "samples" and index is not None:
            labels = np.load(data["test_labels"], mmap_mode="r")[rows]
            np.save(folder / "labels.npy", np.array(index, np.int64)[labels])
    return {
        "data": f"test images of {data['name']}",
        "calibration": f"training images of {data['name']}",
        "notes": [note] if note else [],
    }


def _picture_samples(original: Any, request: dict[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    import numpy as np

    data, notes = request["data"], []
    if len(original.shape) != 3:
        raise InputError(f"The model takes {original.shape}, no pictures; leave --data out.")
    index, note = _label_of(data["classes"], original.classes)
    notes += [note] if note else []
    for name, split, count in (
        ("samples", "test", request["images"]),
        ("calibration", "train", request["calibration"]),
    ):
        found = data[split] or data["test"]
        chosen = [found[row] for row in spread(len(found), count)]
        rows = []
        for number, (path, _) in enumerate(chosen):
            rows.append(_picture(original, Path(path)))
            report("samples", number + 1, len(chosen), f"reading {split} images")
        np.save(folder / f"{name}.npy", _as_input(np.stack(rows), original))
        if name == "samples" and index is not None:
            np.save(folder / "labels.npy", np.array([index[label] for _, label in chosen], np.int64))
    calibration = "training" if data["train"] else "test"
    return {
        "data": f"test images of {data['name']}",
        "calibration": f"{calibration} images of {data['name']}",
        "notes": notes,
    }


def _picture(original: Any, path: Path) -> Any:
    from coremlbench_datasets.images import UnreadableImage

    try:
        return original.read_picture(path)
    except UnreadableImage as problem:
        raise UnusableData(f"{path} cannot be read any more: {problem}") from problem


def _label_of(names: list[str], classes: tuple[str, ...]) -> tuple[list[int] | None, str]:
    """Return the model's class for each label of a dataset; nothing when they are not the same classes.

    A model whose classes nobody knows has a note on it already.
    """
    if not classes:
        return None, ""
    if set(names) <= set(classes):
        return [classes.index(name) for name in names], ""
    return None, "The data have other classes than the model, so no accuracy is told."


def _as_input(pixels: Any, original: Any) -> Any:
    """Return pixels as the model takes them: bytes, or float32 times its scale."""
    import numpy as np

    return pixels if original.pixels else pixels.astype(np.float32) * np.float32(original.scale)


def _take_predictions(original: Any, folder: Path, report: Report) -> None:
    """Write expected.npz, what the original says of the samples, unless an earlier start did."""
    import numpy as np

    file = folder / "expected.npz"
    if file.is_file():
        return
    samples, rows = np.load(folder / "samples.npy", mmap_mode="r"), []
    for start in range(0, len(samples), 64):
        rows.append(original.predict(samples[start : start + 64]))
        report("original", min(start + 64, len(samples)), len(samples), "asking the original")
    partial = folder / "partial-expected.npz"
    arrays: dict[str, Any] = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    np.savez(partial, **arrays)
    partial.rename(file)


# --- packages -----------------------------------------------------------------------------------------------


class Bases:
    """The uncompressed packages by precision, batch and target, each made once."""

    def __init__(self, original: Any, folder: Path, metadata: dict[str, str]) -> None:
        self._original, self._folder, self._metadata = original, folder, metadata
        self._made: dict[tuple[str, int, str], Path] = {}
        self.scale = float(original.scale)

    def get(self, precision: Precision, batch: int, target: str) -> Path:
        """Return the package, converted now if it was not yet."""
        key = (precision, batch, target)
        if key not in self._made:
            path = self._folder / f"base-{precision}-{batch}-{target}.mlpackage"
            metadata = {**self._metadata, "variant": uncompressed(precision).name}
            save(self._original.convert(precision, batch=batch, target=target), path, metadata)
            self._made[key] = path
        return self._made[key]


def _make(item: dict[str, Any], bases: Bases, request: dict[str, Any], report: Report) -> None:
    """Make one variant and say what came of it in a file beside the package; what fails is said there too."""
    package, began = Path(item["package"]), time.perf_counter()
    told: dict[str, Any] = {"notes": []}
    with telling_errors(told):
        told["notes"] = _made(item, package, bases, request, report)
        told["seconds"] = time.perf_counter() - began
    if "error" in told:
        shutil.rmtree(package, ignore_errors=True)
    tell(package, MADE, told)


def _made(item: dict[str, Any], package: Path, bases: Bases, request: dict[str, Any], report: Report) -> list[str]:
    from coremlbench.conversion.compression import RANGES_NOTE, compress

    if item["copy"]:
        _copy(Path(item["copy"]), package)
        return []
    plan = next(each for each in VARIANTS if each.name == item["variant"])
    if not plan.compression:
        base = bases.get(plan.precision, item["batch"], item["target"])
        shutil.copytree(base, package)
        return []
    import numpy as np

    folder = Path(request["folder"])
    calibration = np.load(folder / "calibration.npy", mmap_mode="r")
    base = bases.get(plan.precision, item["batch"], item["base_target"])
    compressed = compress(plan, base, calibration, bases.scale, report)
    save(compressed, package, {**request["metadata"], "variant": plan.name})
    if plan.compression == "int8-activations":
        what = json.loads((folder / "samples.json").read_bytes())["calibration"]
        return [RANGES_NOTE.format(count=len(calibration), what=what)]
    return []


def _copy(path: Path, package: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, package)
    else:
        shutil.copyfile(path, package)


if __name__ == "__main__":
    run(work)
