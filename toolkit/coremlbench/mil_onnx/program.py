"""Load a saved ML Program from its package."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.mil_onnx.repairs import repair
from coremlbench.types.errors import InputError

OTHER_KINDS = {
    "neuralNetwork": "a neural network",
    "neuralNetworkClassifier": "a neural network classifier",
    "neuralNetworkRegressor": "a neural network regressor",
    "pipeline": "a pipeline of models",
    "pipelineClassifier": "a pipeline of models",
    "pipelineRegressor": "a pipeline of models",
}


@dataclass(frozen=True)
class Program:
    """A loaded ML Program.

    ``function`` is the function that Core ML would run by default, a coremltools ``Function``; ``description`` is
    the specification's description of its inputs and outputs; ``source`` names the file in messages.
    """

    function: Any
    description: Any
    specification_version: int
    source: str


def load_program(source: Path | str | Any, weights: Path | str | None = None) -> Program:
    """Return the ML Program of a ``.mlpackage``, or of a specification and the folder of its weights.

    What is read is what was saved, weights included: nothing of the model it was converted from takes part.

    Raises:
        InputError: the file is missing, truncated, foreign or not an ML Program.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        return _from_spec(_read_spec(path), _weights(path), path.name)
    return _from_spec(source, Path(weights or ""), "the specification")


def read_description(path: Path | str) -> Any:
    """Return the specification's description of a model's inputs and outputs, also of one that is no ML Program.

    Raises:
        InputError: the file is missing, truncated or foreign.
    """
    spec = _read_spec(Path(path))
    return _description(spec, spec.description.defaultFunctionName or "main")


def _read_spec(path: Path) -> Any:
    if not path.exists():
        raise InputError(f"There is no model at '{path}'; give the path of an .mlpackage.")
    if path.suffix == ".mlmodelc":
        raise InputError(
            f"'{path.name}' is a compiled model, which only Core ML reads; give the .mlpackage it is from."
        )
    if path.is_dir():
        _check_manifest(path)
    elif zipfile.is_zipfile(path):
        raise InputError(f"'{path.name}' is a zip archive; unpack it and give the .mlpackage folder inside.")
    import coremltools
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        spec = coremltools.utils.load_spec(str(path))
    except (DecodeError, RuntimeError, OSError, ValueError) as error:
        raise InputError(
            f"'{path.name}' cannot be read as a Core ML model: its specification is truncated or not one; "
            "save or copy the model again."
        ) from error
    if spec.WhichOneof("Type") is None:
        raise InputError(f"'{path.name}' holds no Core ML model; give an .mlpackage that holds an ML Program.")
    return spec


def _check_manifest(path: Path) -> None:
    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The folder '{path.name}' is not a Core ML package: it has no readable Manifest.json; give an .mlpackage."
        ) from error
    if not (path / "Data" / str(root)).is_file():
        raise InputError(f"The package '{path.name}' lacks its model '{root}'; save or copy the package again.")


def _weights(path: Path) -> Path:
    """Return the folder of a package's weights, as the manifest lists it. A model without weights has none."""
    if not path.is_dir():
        return path.parent
    manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
    for item in manifest["itemInfoEntries"].values():
        folder = path / "Data" / str(item.get("path", ""))
        if folder.name == "weights":
            return folder
    return path / "Data" / "com.apple.CoreML" / "weights"


def _from_spec(spec: Any, weights: Path, name: str) -> Program:
    from coremltools.converters.mil.frontend.milproto.load import load

    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        raise InputError(
            f"'{name}' is {OTHER_KINDS.get(kind, f'a Core ML model of the kind {kind}')}, not an ML Program: the "
            "reference runtime executes ML Programs only; run it on a Mac."
        )
    try:
        repair(spec.mlProgram)
        program = load(spec, spec.specificationVersion, str(weights))
    except Exception as error:  # whatever the reader of foreign bytes raises, one sentence comes of it
        raise InputError(
            f"The ML Program in '{name}' cannot be read back ({first_line(error)}); "
            "it is damaged, or newer than this version of coremltools."
        ) from error
    function_name = spec.description.defaultFunctionName or "main"
    if function_name not in program.functions:
        raise InputError(f"The ML Program in '{name}' has no function '{function_name}'; it is damaged.")
    return Program(program.functions[function_name], _description(spec, function_name), spec.specificationVersion, name)


def _description(spec: Any, function: str) -> Any:
    for candidate in spec.description.functions:
        if candidate.name == function:
            return candidate
    return spec.description


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says, for a sentence about it."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
