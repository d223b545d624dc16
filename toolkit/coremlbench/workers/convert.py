"""Convert one model to its variants: open the original, choose samples, store its predictions, save the packages.

The result of each package is written to a file at once, so that a crash does not lose the packages before it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from coremlbench.conversion.class_order import check_class_order
from coremlbench.conversion.conversion_progress import report_conversion
from coremlbench.conversion.label_comparison import indices_of
from coremlbench.conversion.package_files import save_package
from coremlbench.conversion.package_results import CONVERSION_SUFFIX, capture_error, write_result
from coremlbench.conversion.sample_ranges import DESCRIPTION_FILE
from coremlbench.conversion.variants import VARIANTS, Precision, uncompressed_variant
from coremlbench.model_files.formats import CHECK_FORMATS, TENSORFLOW_FORMATS
from coremlbench.supervision.worker_main import Report, run, to_json
from coremlbench.types.errors import InputError, UnusableDataError
from coremlbench_datasets.selection import evenly_spaced

PREDICTION_ROWS = 64
"""Number of samples predicted between two progress reports."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the properties of the model; the packages and their result files are written beside each other.

    Raises:
        InputError: the model cannot be opened, or has a form that cannot be converted.
    """
    from coremlbench.conversion.originals import open_original
    from coremlbench.system import serialization
    from coremlbench.types.conversion import ModelSource

    report("open", 0, 1, "opening the model", pid=os.getpid())
    source = serialization.from_json(ModelSource, request["source"])
    if source.format not in TENSORFLOW_FORMATS:
        # coremltools imports TensorFlow when it is there: seconds and memory that this conversion has no use for.
        sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]
    original: Any = open_original(source, request["settings"])
    if source.format not in CHECK_FORMATS:  # opening those has read the package
        _check_ready_packages(request["variants"], original.shape)
    folder = Path(request["folder"])
    samples = _save_samples(original, request, folder, report)
    _save_predictions(original, folder, report)
    original, class_origin = check_class_order(original, request, folder)
    uncompressed = UncompressedPackages(original, folder, request["metadata"])
    for number, package in enumerate(request["variants"]):
        report("convert", number, len(request["variants"]), package["key"])
        if not Path(package["package"] + CONVERSION_SUFFIX).is_file():
            progress = partial(_report_step, report, number, len(request["variants"]), package["key"])
            with report_conversion(progress):
                _convert_and_write_result(package, uncompressed, request, report)
    report("convert", len(request["variants"]), len(request["variants"]))
    return {
        "shape": list(original.shape),
        "pixels": original.pixels,
        "scale": original.scale,
        "classes": list(original.classes),
        "class_origin": class_origin,
        "batchless": list(getattr(original, "batchless_outputs", ())),  # of traced models only
        "description": original.description,
        "versions": dict(original.versions),
        "notes": [*original.notes, *samples["notes"]],
        "caveats": serialization.to_json([*original.caveats, *samples.get("caveats", ())]),
        "data": samples["data"],
        "images": samples["images"],
    }


def _report_step(report: Report, number: int, total: int, key: str, step: str) -> None:
    """Report a step of the conversion of a package."""
    report("convert", number, total, f"{key}: {step}")


def _check_ready_packages(packages: list[dict[str, Any]], shape: tuple[int, ...]) -> None:
    """Raise ``InputError`` for a package of ``--check`` that cannot be compared with a model of this input shape.

    An op that the reference runtime does not support is no error here: it is a result of the proof.
    """
    from coremlbench.conversion.package_runner import PackageRunner
    from coremlbench.mil_onnx import UnsupportedProgramError

    for package in packages:
        if package["ready_package"] and not package["without_original"]:
            with suppress(UnsupportedProgramError):
                PackageRunner.load(Path(package["ready_package"]), input_shape=shape)


# --- samples ------------------------------------------------------------------------------------------------


def _save_samples(original: Any, request: dict[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    """Write samples.npy, calibration.npy and, if labels are known, labels.npy; return their description.

    The description has ``data``, ``calibration``, ``notes``, ``ranges`` (those of ``sample_ranges``) and ``images``,
    the number of samples. It is stored in samples.json; nothing is done when an earlier process of the same conversion
    wrote that.
    """
    file = folder / DESCRIPTION_FILE
    if file.is_file():
        return dict(json.loads(file.read_bytes()))
    import numpy as np

    kind = request["data"]["kind"]
    if kind == "recorded":
        description = _save_recorded_samples(original, request["images"], folder)
    elif kind == "random":
        description = _save_random_samples(original, request, folder)
    elif kind == "arrays":
        description = _save_array_samples(original, request, folder)
    else:
        description = _save_picture_samples(original, request, folder, report)
    description["images"] = len(np.load(folder / "samples.npy", mmap_mode="r"))
    file.write_bytes(to_json(description))
    return description


def _sample_sets(request: dict[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """Return file name, split and number of images of the samples and of the calibration images."""
    return ("samples", "test", request["images"]), ("calibration", "train", request["calibration"])


def _save_recorded_samples(original: Any, count: int, folder: Path) -> dict[str, Any]:
    import numpy as np

    samples, labels, data = original.take_samples(count)
    np.save(folder / "samples.npy", samples)
    if labels is not None:
        np.save(folder / "labels.npy", labels)
    return {"data": data, "notes": []}


def _save_random_samples(original: Any, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    from coremlbench.conversion.sampling import random_inputs

    seed = request["seed"]
    samples, calibration = (
        random_inputs(original, seed=seed + offset, count=count)
        for offset, (_, _, count) in enumerate(_sample_sets(request), start=1)
    )
    ranges = _save_inputs(samples, calibration, original, folder)
    if original.sampling.indices is not None:
        kind = "indices" if original.sampling.indices.is_index.all() else "indices and normal numbers"
    else:
        kind = "pictures of coloured patches" if original.pixels or len(original.shape) == 3 else "normal numbers"
    data = f"random inputs ({kind}) from the seed {seed}"
    return {"data": data, "calibration": "other random inputs", "notes": [], "ranges": ranges}


def _save_inputs(samples: Any, calibration: Any, original: Any, folder: Path) -> list[dict[str, Any]]:
    """Write samples.npy and calibration.npy; return the ranges of the samples, none where the model's range is known.

    Where it is not, samples.npy has some of the samples a second time, scaled to the other ranges that are possible.
    """
    import numpy as np

    from coremlbench.conversion.sample_ranges import SampleRange, ranges_to_json
    from coremlbench.conversion.sampling import other_range_count

    sampling, scale = original.sampling, original.scale
    np.save(folder / "calibration.npy", calibration)
    others = samples[: other_range_count(len(samples))]
    scaled = [others / np.float32(scale) * np.float32(other) for other in sampling.other_scales]
    np.save(folder / "samples.npy", np.concatenate([samples, *scaled]))
    if sampling.range_known:
        return []
    if sampling.other_scales:
        parts = [(samples, scale), *((others, other) for other in sampling.other_scales)]
        return ranges_to_json([SampleRange(len(part), 0.0, 255 * factor, pixels=True) for part, factor in parts])
    measured = samples if sampling.indices is None else samples[:, ~sampling.indices.is_index]
    return ranges_to_json([SampleRange(len(samples), float(measured.min()), float(measured.max()))])


def _save_array_samples(original: Any, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    import numpy as np

    data = request["data"]
    _check_takes_images(original)
    indices, notes = _class_indices(data["classes"], original.classes)
    inputs = {}
    for name, split, count in _sample_sets(request):
        rows = evenly_spaced(int(data[split]), count)
        images = np.load(data[f"{split}_images"], mmap_mode="r")[rows]
        inputs[name] = _as_input(_fit_shape(images, original, data["name"]), original)
        if name == "samples" and indices is not None:
            labels = np.load(data["test_labels"], mmap_mode="r")[rows]
            np.save(folder / "labels.npy", np.array(indices, np.int64)[labels])
    return {
        "data": f"test images of {data['name']}",
        "calibration": f"training images of {data['name']}",
        "notes": notes,
        "ranges": _save_inputs(inputs["samples"], inputs["calibration"], original, folder),
    }


def _fit_shape(images: Any, original: Any, dataset: str) -> Any:
    """Return images (n, height, width[, channels]) with or without a channel dimension, as the model takes them."""
    import numpy as np

    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.shape[1:] == (*original.shape, 1):
        images = images[..., 0]
    if images.shape[1:] != original.shape and np.moveaxis(images, -1, 1).shape[1:] == original.shape:
        images = np.moveaxis(images, -1, 1)  # channels first, as PyTorch has them
    if images.shape[1:] != original.shape:
        raise InputError(
            f"{dataset} has images of {images.shape[1:]}, and the model takes {original.shape}; name other "
            "data with --data."
        )
    return images


def _save_picture_samples(original: Any, request: dict[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    import numpy as np

    data = request["data"]
    if len(original.shape) != 3:
        raise InputError(f"The model takes {original.shape}, no pictures; leave --data out.")
    _check_takes_images(original)
    indices, notes = _class_indices(data["classes"], original.classes)
    inputs = {}
    for name, split, count in _sample_sets(request):
        files = data[split] or data["test"]
        chosen = [files[row] for row in evenly_spaced(len(files), count)]
        pictures = []
        for number, (path, _) in enumerate(chosen):
            pictures.append(_read_picture(original, Path(path)))
            report("samples", number + 1, len(chosen), f"reading {split} images")
        inputs[name] = _as_input(np.stack(pictures), original)
        if name == "samples" and indices is not None:
            np.save(folder / "labels.npy", np.array([indices[label] for _, label in chosen], np.int64))
    calibration = "training" if data["train"] else "test"
    return {
        "data": f"test images of {data['name']}",
        "calibration": f"{calibration} images of {data['name']}",
        "notes": notes,
        "ranges": _save_inputs(inputs["samples"], inputs["calibration"], original, folder),
    }


def _check_takes_images(original: Any) -> None:
    """Raise ``InputError`` for a model whose input has indices of tables."""
    if original.sampling.indices is not None:
        raise InputError("The model takes indices of tables, no pictures; leave --data out.")


def _read_picture(original: Any, path: Path) -> Any:
    from coremlbench_datasets.images import UnreadableImageError

    try:
        return original.read_picture(path)
    except UnreadableImageError as error:
        raise UnusableDataError(f"{path} cannot be read any more: {error}") from error


def _class_indices(dataset_classes: list[str], model_classes: tuple[str, ...]) -> tuple[list[int] | None, list[str]]:
    """Return the model's class index of each class of a dataset, and notes.

    ``None`` when the classes differ, or when those of the model are unknown; the model has a note on that already.
    """
    if not model_classes:
        return None, []
    indices = indices_of(dataset_classes, model_classes)
    if indices is not None:
        return indices, []
    return None, ["The data have other classes than the model, so no accuracy is given."]


def _as_input(pixels: Any, original: Any) -> Any:
    """Return pixels as the model takes them: uint8, or float32 times its scale."""
    import numpy as np

    return pixels if original.pixels else pixels.astype(np.float32) * np.float32(original.scale)


def _save_predictions(original: Any, folder: Path, report: Report) -> None:
    """Write the original's predictions for the samples to expected.npz, unless the file exists."""
    import numpy as np

    file = folder / "expected.npz"
    if file.is_file():
        return
    samples, batches = np.load(folder / "samples.npy", mmap_mode="r"), []
    for start in range(0, len(samples), PREDICTION_ROWS):
        end = min(start + PREDICTION_ROWS, len(samples))
        batches.append(original.predict(samples[start:end]))
        report("original", end, len(samples), "predicting with the original")
    partial = folder / "partial-expected.npz"
    predictions: dict[str, Any] = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    np.savez(partial, **predictions)
    partial.rename(file)


# --- packages -----------------------------------------------------------------------------------------------


class UncompressedPackages:
    """The uncompressed packages by precision, batch and target; each is converted once, when it is needed."""

    def __init__(self, original: Any, folder: Path, metadata: dict[str, str]) -> None:
        self._original, self._folder, self._metadata = original, folder, metadata
        self._paths: dict[tuple[str, int, str], Path] = {}
        self.scale = float(original.scale)

    def get(self, precision: Precision, batch: int, target: str) -> Path:
        """Return the path of a package."""
        key = (precision, batch, target)
        if key not in self._paths:
            path = self._folder / f"base-{precision}-{batch}-{target}.mlpackage"
            metadata = {**self._metadata, "variant": uncompressed_variant(precision).name}
            save_package(self._original.convert(precision, batch=batch, target=target), path, metadata)
            self._paths[key] = path
        return self._paths[key]


def _convert_and_write_result(
    package: dict[str, Any], uncompressed: UncompressedPackages, request: dict[str, Any], report: Report
) -> None:
    """Make one package and write its result file; an exception becomes the result."""
    path, started = Path(package["package"]), time.perf_counter()
    result: dict[str, Any] = {"notes": []}
    with capture_error(result):
        if package["ready_package"]:
            _copy_ready_package(Path(package["ready_package"]), path)
        else:
            result["notes"] = convert_variant(package, path, uncompressed, request, report)
        result["seconds"] = time.perf_counter() - started
    if "error" in result:
        shutil.rmtree(path, ignore_errors=True)
    write_result(path, CONVERSION_SUFFIX, result)


def convert_variant(
    package: dict[str, Any], path: Path, uncompressed: UncompressedPackages, request: dict[str, Any], report: Report
) -> list[str]:
    """Save the package of a variant at ``path`` and return notes on it."""
    from coremlbench.conversion.compression import CALIBRATION_NOTE, compress

    variant = next(variant for variant in VARIANTS if variant.name == package["variant"])
    if not variant.compression:
        shutil.copytree(uncompressed.get(variant.precision, package["batch"], package["target"]), path)
        return []
    import numpy as np

    folder = Path(request["folder"])
    calibration = np.load(folder / "calibration.npy", mmap_mode="r")
    base = uncompressed.get(variant.precision, package["batch"], package["base_target"])
    compressed = compress(variant, base, calibration, uncompressed.scale, report)
    save_package(compressed, path, {**request["metadata"], "variant": variant.name})
    if variant.compression == "int8-activations":
        what = json.loads((folder / DESCRIPTION_FILE).read_bytes())["calibration"]
        return [CALIBRATION_NOTE.format(count=len(calibration), what=what)]
    return []


def _copy_ready_package(source: Path, path: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, path)
    else:
        shutil.copyfile(source, path)


if __name__ == "__main__":
    run(work)
