"""Worker that makes the inputs with which packages are timed, and the reference runtime's outputs for them.

Both are ``.npz`` files with an array for each input or output; its first axis is the samples. The values are the same
on every machine: they depend only on the inputs of the package and on the seed.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coremlbench.mil_onnx import load_program, read_description
from coremlbench.mil_onnx.flexible_shapes import flexible_input
from coremlbench.model_files.core_ml_kinds import ML_PROGRAM, core_ml_kind
from coremlbench.supervision.worker_main import Report, run
from coremlbench.system.files import atomic_writer
from coremlbench.types.conversion import NO_FILE_OPTIONS, ModelFileOptions
from coremlbench.types.errors import CoremlbenchError

GRID = 8
"""Images are enlarged smoothly from so many random colours a side: as compressible as a photograph, unlike noise."""

ARRAY_TYPES: dict[str, type[np.generic]] = {
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "DOUBLE": np.float64,
    "INT32": np.int32,
    "INT8": np.int8,
}
"""NumPy types by the names of ``ArrayFeatureType.ArrayDataType`` in Core ML's specification."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Make the files of all packages; return ``notes`` on packages without expected outputs.

    The request holds ``packages``, each with the paths ``package``, ``inputs`` and ``expected``; the number of
    ``samples``; and the ``seed``.

    Raises:
        CoremlbenchError: a package cannot be read, or has an input that is neither an image nor an array.
    """
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # coremltools would import it needlessly
    notes = []
    for index, entry in enumerate(request["packages"]):
        report("inputs", index, len(request["packages"]), Path(entry["package"]).name)
        notes.append(_make_files(entry, request["samples"], request["seed"]))
    report("inputs", len(request["packages"]), len(request["packages"]))
    return {"notes": notes}


def _make_files(entry: Mapping[str, Any], samples: int, seed: int) -> str:
    """Write the two files of a package; return a note when the reference runtime cannot execute it, else "".

    Inputs are written last: a file of inputs means that the expected outputs, if any, are complete.
    """
    note = ""
    package, options = Path(entry["package"]), ModelFileOptions(input_shape=tuple(entry.get("input_shape") or ()))
    inputs = make_inputs(read_description(package), samples, seed, _fixed_shapes(package, options))
    try:
        if core_ml_kind(package) in {"", ML_PROGRAM}:  # that others are not compared is noted with their variant
            _save(Path(entry["expected"]), expected_outputs(package, inputs, options))
    except CoremlbenchError as problem:
        note = f"The expected outputs of {package.name} are not known: {problem}"
    _save(Path(entry["inputs"]), inputs)
    return note


def _fixed_shapes(package: Path, options: ModelFileOptions) -> dict[str, tuple[int, ...]]:
    """Return the requested shape of a package's flexible input by name, batch first; {} if none is to be fixed."""
    if not options.input_shape:
        return {}
    flexible = flexible_input(load_program(package))
    shape = flexible.shape_for(options.input_shape) if flexible is not None else None
    return {flexible.name: shape} if flexible is not None and shape is not None else {}


def make_inputs(
    description: Any, samples: int, seed: int, shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})
) -> dict[str, NDArray[Any]]:
    """Return random inputs by name for a model's description.

    ``shapes`` are those of flexible inputs, (1, channels, height, width) for an image; others have their default shape.

    Images are uint8 of shape (samples, height, width, 3), or (samples, height, width) in greyscale. Arrays of shape
    (samples, …) hold numbers from 0 to 1, arrays of integers 0 or 1.

    Raises:
        CoremlbenchError: an input is neither an image nor an array.
    """
    inputs = {}
    for feature in description.input:
        random = np.random.default_rng([seed, zlib.crc32(feature.name.encode())])
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            image, shape = feature.type.imageType, shapes.get(feature.name)
            height, width = shape[2:] if shape else (image.height, image.width)
            inputs[feature.name] = np.stack([_random_image(random, image, height, width) for _ in range(samples)])
        elif kind == "multiArrayType":
            array = feature.type.multiArrayType
            inputs[feature.name] = _random_array(random, array, samples, shapes.get(feature.name))
        else:
            raise CoremlbenchError(f"The input '{feature.name}' is a {kind}; only pictures and arrays can be timed.")
    return inputs


def _random_image(random: np.random.Generator, image: Any, height: int, width: int) -> NDArray[np.uint8]:
    """Return a smooth image of a size, in the colour space of an image input."""
    from PIL import Image

    colours = random.integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    enlarged = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
    grey = image.ColorSpace.Name(image.colorSpace).startswith("GRAYSCALE")
    return np.asarray(enlarged.convert("L") if grey else enlarged)


def _random_array(random: np.random.Generator, kind: Any, samples: int, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Return an array of a shape (``None``: the default one, without it the smallest) and of an array input's type."""
    shape = shape or tuple(kind.shape) or tuple(max(1, size.lowerBound) for size in kind.shapeRange.sizeRanges)
    dtype = ARRAY_TYPES.get(kind.ArrayDataType.Name(kind.dataType), np.float32)
    if np.issubdtype(dtype, np.integer):
        return random.integers(0, 2, (samples, *shape)).astype(dtype)
    return random.random((samples, *shape), dtype=np.float32).astype(dtype)


def expected_outputs(
    package: Path, inputs: Mapping[str, NDArray[Any]], options: ModelFileOptions = NO_FILE_OPTIONS
) -> dict[str, NDArray[Any]]:
    """Return the reference runtime's outputs by name, of shape (samples, values), as ``Loaded.outputs`` returns them.

    Raises:
        CoremlbenchError: the reference runtime cannot execute the program.
    """
    from coremlbench.runtimes import RUNTIMES

    loaded = RUNTIMES["reference"].load(package, "host-cpu", file_options=options)
    count = len(next(iter(inputs.values())))
    samples = [loaded.prepare({name: value[index] for name, value in inputs.items()}) for index in range(count)]
    outputs = [loaded.outputs(loaded.predict(sample)) for sample in samples]
    return {name: np.stack([values[name] for values in outputs]) for name in outputs[0]}


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an ``.npz`` file atomically."""
    with atomic_writer(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its other parameter is not among the names


if __name__ == "__main__":
    run(work)
