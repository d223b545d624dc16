"""The steps of ``coremlbench convert`` on small models in one process, so that TensorFlow is imported once.

The steps are the workers' own: the original is opened from its file, converted, saved, read back, executed and judged.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
TARGET = "macOS14"
REFUSALS = ("CoremlbenchError", "InputError", "UnknownOpError", "UnsupportedProgramError")
"""The types of errors with which the worker refuses a package."""


def quiet(*_: Any, **__: Any) -> None:
    """Report no progress."""


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Discard what is written to standard error, also by libraries in C++: coremltools draws progress bars there."""
    saved = os.dup(2)
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def open_file(path: Path, classes: Sequence[str] = (), scale: float | None = None) -> Any:
    """Return the model of a file as an original, with named classes and the factor of ``--scale``."""
    from coremlbench.conversion.originals import open_original
    from coremlbench.conversion.sources import source_of_file

    source = replace(source_of_file(path), classes=tuple(classes))
    names = ("allow_code", "input_shape", "data", "save_model")
    return open_original(source, {**dict.fromkeys(names), "scale": scale, "cache": str(path.parent)})


def save_samples(original: Any, folder: Path, count: int, seed: int) -> Any:
    """Write random samples and the original's predictions for them as the conversion worker does; return the latter."""
    import numpy as np

    from coremlbench.training.random_weights import random_samples

    folder.mkdir(parents=True, exist_ok=True)
    samples = random_samples(original.shape, pixels=original.pixels, seed=seed, count=count)
    np.save(folder / "samples.npy", samples)
    np.save(folder / "calibration.npy", samples[:32])
    (folder / "samples.json").write_text('{"calibration": "random samples"}')
    expected = original.predict(samples)
    np.savez(folder / "expected.npz", **expected)
    return expected


def convert(original: Any, variant: str, folder: Path) -> Path:
    """Return the saved package of a variant; files of an earlier call in this folder are replaced."""
    from coremlbench.workers.convert import UncompressedPackages, convert_variant

    path = folder / f"{variant}.mlpackage"
    shutil.rmtree(path, ignore_errors=True)
    package = {"variant": variant, "batch": 1, "target": TARGET, "base_target": TARGET}
    request = {"folder": str(folder), "metadata": {}}
    convert_variant(package, path, UncompressedPackages(original, folder, {}), request, quiet)
    return path


def prove(
    package: Path, variant: str, folder: Path, original: Any, classes: Sequence[str] = (), inputs: str = "data"
) -> dict[str, Any]:
    """Return the proof worker's result for a package and the samples in ``folder``: ``proof``, or ``error`` if refused.

    Raises:
        RuntimeError: the worker failed otherwise.
    """
    from coremlbench.workers.proof import _prove

    request = {
        "folder": str(folder),
        "scale": original.scale,
        "original": original.description,
        "data": "random samples",
        "inputs": inputs,
        "labels": list(classes),
        "class_origin": "known",
        "classes": len(classes) or None,
    }
    item = {"key": variant, "package": str(package), "precision": variant, "without_original": False, "onnx": None}
    result = _prove(item, request, quiet)
    if "error" in result and result["error"]["type"] not in REFUSALS:
        raise RuntimeError(result["error"]["message"])
    return result
