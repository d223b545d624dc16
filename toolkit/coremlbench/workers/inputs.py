"""Makes the inputs that packages are timed with, and what the reference runtime gives for them, in two files each.

Started as ``python -I -m coremlbench.workers.inputs``. The values do not matter for the speed of the networks
here, but they are the same on every machine: they depend on the package's inputs and the seed alone.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coremlbench.mil_onnx import load_program
from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError

GRID = 8
"""A picture is drawn from a grid of so many colours a side, smoothly: as compressible as a photograph, unlike noise."""

ARRAY_TYPES: dict[str, type[np.generic]] = {
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "DOUBLE": np.float64,
    "INT32": np.int32,
    "INT8": np.int8,
}
"""NumPy's types by the names of ``ArrayFeatureType.ArrayDataType`` in Core ML's specification."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the notes on packages whose outputs cannot be told here; inputs are made for every package."""
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # coremltools would load it for nothing
    notes = []
    for index, entry in enumerate(request["packages"]):
        report("inputs", index, len(request["packages"]), Path(entry["package"]).name)
        notes.append(_provide(entry, request["samples"], request["seed"]))
    report("inputs", len(request["packages"]), len(request["packages"]))
    return {"notes": notes}


def _provide(entry: Mapping[str, str], samples: int, seed: int) -> str:
    program = load_program(entry["package"])
    inputs = make_inputs(program.description, samples, seed)
    # The inputs come last: they tell that both are there.
    try:
        _save(Path(entry["expected"]), expected_outputs(Path(entry["package"]), inputs))
    except CoremlbenchError as problem:
        _save(Path(entry["inputs"]), inputs)
        return f"What {Path(entry['package']).name} should give is not known here: {problem}"
    _save(Path(entry["inputs"]), inputs)
    return ""


def make_inputs(description: Any, samples: int, seed: int) -> dict[str, NDArray[Any]]:
    """Return inputs by name for a model's description; the first axis counts the samples.

    Pictures are bytes (height, width, 3), or (height, width) in grey; arrays hold numbers from 0 to 1, whole numbers
    0 or 1.
    """
    made = {}
    for feature in description.input:
        random = np.random.default_rng([seed, zlib.crc32(feature.name.encode())])
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            image = feature.type.imageType
            made[feature.name] = np.stack([_picture(random, image) for _ in range(samples)])
        elif kind == "multiArrayType":
            made[feature.name] = _array(random, feature.type.multiArrayType, samples)
        else:
            raise CoremlbenchError(f"The input '{feature.name}' is a {kind}; only pictures and arrays can be timed.")
    return made


def _picture(random: np.random.Generator, image: Any) -> NDArray[np.uint8]:
    from PIL import Image

    colours = random.integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    picture = Image.fromarray(colours).resize((image.width, image.height), Image.Resampling.BICUBIC)
    grey = image.ColorSpace.Name(image.colorSpace).startswith("GRAYSCALE")
    return np.asarray(picture.convert("L") if grey else picture)


def _array(random: np.random.Generator, kind: Any, samples: int) -> NDArray[Any]:
    shape = tuple(kind.shape) or tuple(max(1, each.lowerBound) for each in kind.shapeRange.sizeRanges)
    wanted = ARRAY_TYPES.get(kind.ArrayDataType.Name(kind.dataType), np.float32)
    if np.issubdtype(wanted, np.integer):
        return random.integers(0, 2, (samples, *shape)).astype(wanted)
    return random.random((samples, *shape), dtype=np.float32).astype(wanted)


def expected_outputs(package: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the reference runtime's outputs by name, in the order that every runtime gives them.

    Raises:
        CoremlbenchError: the reference runtime cannot run the program.
    """
    from coremlbench.runtimes import RUNTIMES

    loaded = RUNTIMES["reference"].load(package, "host-cpu")
    count = len(next(iter(inputs.values())))
    samples = [loaded.prepare({name: value[index] for name, value in inputs.items()}) for index in range(count)]
    outputs = [loaded.outputs(loaded.predict(sample)) for sample in samples]
    return {name: np.stack([each[name] for each in outputs]) for name in outputs[0]}


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a file that is whole or absent."""
    temporary = path.with_name(f".writing-{path.name}")
    np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # its other parameter is not among the names
    temporary.replace(path)


if __name__ == "__main__":
    run(work)
