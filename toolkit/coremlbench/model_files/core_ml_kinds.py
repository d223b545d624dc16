"""What kind of model a Core ML file holds, read from its specification without coremltools.

A specification is a protocol buffer (``Model.proto`` of Core ML); which of its fields is there tells the kind. ML
Programs are executed and proven here; the others only Core ML executes.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_count
from coremlbench.types.errors import InputError

ML_PROGRAM = "mlProgram"
FEATURE_PRINT = "visionFeaturePrint"
MODEL_KINDS = {
    200: "pipelineClassifier",
    201: "pipelineRegressor",
    202: "pipeline",
    300: "glmRegressor",
    301: "supportVectorRegressor",
    302: "treeEnsembleRegressor",
    303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor",
    400: "glmClassifier",
    401: "supportVectorClassifier",
    402: "treeEnsembleClassifier",
    403: "neuralNetworkClassifier",
    404: "kNearestNeighborsClassifier",
    500: "neuralNetwork",
    501: "itemSimilarityRecommender",
    502: ML_PROGRAM,
    555: "customModel",
    556: "linkedModel",
    560: "classConfidenceThresholding",
    600: "oneHotEncoder",
    601: "imputer",
    602: "featureVectorizer",
    603: "dictVectorizer",
    604: "scaler",
    606: "categoricalMapping",
    607: "normalizer",
    609: "arrayFeatureExtractor",
    610: "nonMaximumSuppression",
    900: "identity",
    2000: "textClassifier",
    2001: "wordTagger",
    2002: FEATURE_PRINT,
    2003: "soundAnalysisPreprocessing",
    2004: "gazetteer",
    2005: "wordEmbedding",
    2006: "audioFeaturePrint",
    3000: "serializedModel",
}
"""The kinds of models by the numbers of their fields in ``Model``."""

DESCRIPTION, INPUT, OUTPUT, NAME = 2, 1, 10, 1
"""Numbers of fields: ``description`` of ``Model``, ``input`` and ``output`` of that, and the ``name`` of each."""
STAGES = {"pipeline": (1,), "pipelineClassifier": (1, 1), "pipelineRegressor": (1, 1)}
"""Numbers of fields: ``description`` of ``Model``, ``input`` and ``output`` of that, and the ``name`` of each."""
VARINT, BYTES = 0, 2
"""Wire types of protocol buffers (protobuf.dev, "Encoding")."""
FIXED_SIZES = {1: 8, 5: 4}
"""Bytes of the values of fixed size, by wire type."""


@dataclass(frozen=True)
class Stage:
    """One model of a pipeline: its kind, and the names of its inputs and outputs."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def core_ml_kind(path: Path) -> str:
    """Return the kind of the model in an ``.mlpackage`` or ``.mlmodel``, "" when it cannot be read."""
    return _read(path)[0]


def has_feature_print(path: Path) -> bool:
    """Return whether a model is an extractor that is part of macOS, or a pipeline with one."""
    kind, stages = _read(path)
    return FEATURE_PRINT in {kind, *(stage.kind for stage in stages)}


def check_ml_program(path: Path, results: Path | None = None) -> None:
    """Raise ``InputError`` for a Core ML model that only Core ML executes; a file that cannot be read passes.

    So does a model with an extractor that is part of macOS, which gets a verdict of its own. The message advises a
    command for the folder of records ``results``.
    """
    kind, stages = _read(path)
    if kind in {"", ML_PROGRAM} or has_feature_print(path):
        return
    command = advised_command("convert-and-time", path, "--kit", "kit", results=results)
    pack = f"`{command}` packs it for a Mac, which times it without a proof"
    if stages:
        listed = "; ".join(f"{number}: {_stage_text(stage)}" for number, stage in enumerate(stages, 1))
        apart = "save its stages as packages and give those, or " if ML_PROGRAM in {at.kind for at in stages} else ""
        raise InputError(
            f"{path.name} is a pipeline of {format_count(len(stages), 'model')} ({listed}), and only single ML "
            f"Programs are executed here; {apart}{pack}."
        )
    convert = "convert its original with convert_to='mlprogram', or " if kind.startswith("neuralNetwork") else ""
    raise InputError(
        f"{path.name} {describe_kind(kind)}, which only Core ML executes, and only ML Programs are executed here; "
        f"{convert}{pack}."
    )


def describe_kind(kind: str) -> str:
    """Return a phrase with a verb for a kind of model other than an ML Program."""
    if kind.startswith("neuralNetwork"):
        return "holds a neural network, the form of Core ML models before ML Programs"
    if kind in STAGES:
        return "is a pipeline of models"
    return f"holds a Core ML model of the kind {kind}"


def _stage_text(stage: Stage) -> str:
    kind = "ML Program" if stage.kind == ML_PROGRAM else stage.kind or "unknown"
    return f"{kind} from {', '.join(stage.inputs)} to {', '.join(stage.outputs)}"


# --- protocol buffers ---------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[str, tuple[Stage, ...]]:
    """Return the kind of a model and the stages of a pipeline; "" for a file that cannot be read."""
    try:
        with _specification(path).open("rb") as file:
            for number, wire_type, length in _fields(file):
                kind = MODEL_KINDS.get(number, "")
                if kind and wire_type == BYTES:
                    content = file.read(length) if kind in STAGES else b""
                    return kind, tuple(map(_stage, _messages(content, *STAGES[kind]))) if content else ()
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return "", ()


def description_bytes(path: Path) -> bytes:
    """Return the ``ModelDescription`` in an ``.mlpackage`` or ``.mlmodel``, without reading the rest.

    Raises:
        OSError: the file cannot be read.
        ValueError, KeyError, TypeError: it is no Core ML model.
    """
    with _specification(path).open("rb") as file:
        for number, wire_type, length in _fields(file):
            if number == DESCRIPTION and wire_type == BYTES:
                return file.read(length)
    return b""


def _specification(path: Path) -> Path:
    """Return the file with the specification of a package or model file."""
    if not path.is_dir():
        return path
    manifest = json.loads((path / "Manifest.json").read_bytes())
    return path / "Data" / str(manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"])


def _fields(file: IO[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield the number, wire type and length of each field of a message; the file is at the field's content.

    Raises:
        ValueError: the bytes are no message.
    """
    size = file.seek(0, os.SEEK_END)
    position = file.seek(0)
    while position < size:
        key = _varint(file)
        wire_type = key & 7
        if wire_type == VARINT:
            length = 0
            _varint(file)
        elif wire_type == BYTES:
            length = _varint(file)
        elif wire_type in FIXED_SIZES:
            length = FIXED_SIZES[wire_type]
        else:
            raise ValueError("no protocol buffer")
        position = file.tell() + length
        if position > size:
            raise ValueError("truncated")
        yield key >> 3, wire_type, length
        file.seek(position)


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("truncated")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no protocol buffer")


def _messages(message: bytes, *numbers: int) -> Iterator[bytes]:
    """Yield the contents of all fields that the numbers lead to, one after the other."""
    first, *rest = numbers
    file = io.BytesIO(message)
    for number, wire_type, length in _fields(file):
        if number == first and wire_type == BYTES:
            content = file.read(length)
            if rest:
                yield from _messages(content, *rest)
            else:
                yield content


def _stage(model: bytes) -> Stage:
    """Return a stage of a pipeline from its ``Model``."""
    kind = next((MODEL_KINDS[number] for number, _, _ in _fields(io.BytesIO(model)) if number in MODEL_KINDS), "")
    inputs, outputs = (
        tuple(name.decode("utf-8", "replace") for name in _messages(model, DESCRIPTION, number, NAME))
        for number in (INPUT, OUTPUT)
    )
    return Stage(kind, inputs, outputs)
