"""The native runner compiled for real against a stand-in for Core ML (``swift_stand_in``).

A "model" of the stand-in is a folder with ``stub.json``; see ``swift_stand_in/CoreML/CoreML.swift``, which also tells
how ``COREML_STAND_IN`` makes it fail, crash, hang, be slow or be wrong. A record of such a run says ``stand_in``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.timing.native_program import COMPILER_VARIABLE, NATIVE_RUNNER
from coremlbench.timing.plan import TimingInput
from tests.timed_packages import timing_input_of

SOURCES = Path(__file__).with_name("swift_stand_in")
BEHAVIOUR = "COREML_STAND_IN"
ONLY = "COREML_STAND_IN_ONLY"


def compile_runner(compiler: Path, cache: Path) -> Path:
    """Return the native runner in a cache, compiled against the stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COMPILER_VARIABLE, str(compiler))
        return NATIVE_RUNNER.ensure(cache, lambda _: None)


MODEL: dict[str, Any] = {
    "inputs": [
        {"name": "x", "dataType": "float32", "shape": [2, 3]},
        {"name": "k", "dataType": "int32", "shape": [3]},
        {"name": "h", "dataType": "float16", "shape": [1]},
    ],
    "outputs": [
        {"name": "y", "dataType": "float32", "shape": [2, 3], "strides": [16, 1], "factor": 2},
        {"name": "z", "dataType": "double", "shape": [3], "factor": 0.5},
        {"name": "p", "dataType": "float32", "shape": [3], "factor": 1, "dictionary": True},
    ],
    "milliseconds": 0.2,
}
"""Element i of an output is its factor times the sum of the inputs' elements i, modulo their lengths; y is padded."""


def model_inputs(samples: int = 2) -> dict[str, np.ndarray[Any, Any]]:
    """Return inputs of ``MODEL``: an array for each, whose first axis is the samples."""
    random = np.random.default_rng(0)
    return {
        "x": random.random((samples, 2, 3), dtype=np.float32),
        "k": random.integers(0, 9, (samples, 3)).astype(np.int32),
        "h": random.random((samples, 1)).astype(np.float16),
    }


def model_outputs(inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return what ``MODEL`` gives for inputs, of shape (samples, values)."""
    x, k, h = (inputs[name].astype(np.float64).reshape(len(inputs[name]), -1) for name in "xkh")
    first = x[:, :3] + k + h
    return {"y": 2 * (x + np.tile(k, 2) + h), "z": 0.5 * first, "p": first}


def make_model(folder: Path, name: str, **changes: Any) -> Path:
    """Write a model of the stand-in, which has a description as packages have."""
    path = folder / f"{name}.mlpackage"
    path.mkdir(parents=True)
    (path / "stub.json").write_text(json.dumps(MODEL | changes))
    _describe(path)
    return path


def _describe(path: Path) -> None:
    """Add what ``read_features`` reads of a package: a specification without states."""
    from coremltools.proto import Model_pb2

    specification = Model_pb2.Model(specificationVersion=8)
    specification.mlProgram.SetInParent()
    specification.description.output.add().name = "y"
    data = path / "Data" / "com.apple.CoreML"
    data.mkdir(parents=True)
    (data / "model.mlmodel").write_bytes(specification.SerializeToString())
    item = {"path": "com.apple.CoreML/model.mlmodel", "author": "com.apple.CoreML", "name": "model.mlmodel"}
    manifest = {"itemInfoEntries": {"1": item}, "rootModelIdentifier": "1", "fileFormatVersion": "1.0.0"}
    (path / "Manifest.json").write_text(json.dumps(manifest))


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays to an ``.npz`` file."""
    named: dict[str, Any] = dict(arrays)
    np.savez(path, **named)


def native_input(folder: Path, *names: str, **changes: Any) -> TimingInput:
    """Return models of the stand-in with their inputs and expected outputs, as a kit brings them."""
    timing_input = timing_input_of([make_model(folder, name, **changes) for name in names])
    inputs, expected = folder / "inputs.npz", folder / "expected.npz"
    save_arrays(inputs, model_inputs())
    save_arrays(expected, model_outputs(model_inputs()))
    packages = tuple(replace(package, inputs=inputs, expected=expected) for package in timing_input.packages)
    return replace(timing_input, packages=packages)
