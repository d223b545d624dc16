"""Conversion of a TensorFlow function to a package, and its execution on the reference runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.conversion.originals.traced_model import INPUT_NAME, TracedModel, make_tracer
from coremlbench.mil_onnx import load_program
from coremlbench.runtimes.reference import ReferenceRuntime


def convert_and_predict(call: Callable[[Any], Any], sample: Any, folder: Path, precision: str = "float32") -> Any:
    """Convert a function to a package, read it back, and return its output for one sample."""
    trace = make_tracer(call, sample.shape)
    model = TracedModel(trace, sample.shape, pixels=False, scale=1.0, classes=(), versions={})
    package = folder / "op.mlpackage"
    model.convert(precision, batch=1, target="macOS13").save(str(package))
    (output,) = ReferenceRuntime(load_program(package), threads=1).predict({INPUT_NAME: sample[np.newaxis]}).values()
    return output
