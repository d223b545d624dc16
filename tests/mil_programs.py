"""Small ML Programs for the tests: built with coremltools' builder, saved, read back, executed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.mil_onnx import Program, load_program
from coremlbench.runtimes.reference import ReferenceRuntime

MIL_TYPES = {"float16": "fp16", "float32": "fp32", "int32": "int32", "bool": "bool", "int8": "int8", "uint8": "uint8"}


def settle() -> None:
    """Put what is loaded out of the garbage collector's sight: coremltools collects after every conversion."""
    import gc

    import coremltools  # noqa: F401 - loaded first, so that it is what settles

    gc.collect()
    gc.freeze()


def saved(build: Callable[..., Any], inputs: Mapping[str, np.ndarray], target: str = "iOS17") -> Program:
    """Return the program that ``build`` makes of inputs like these, after a trip through a saved specification.

    No optimisation runs in between, so that the program holds the ops that ``build`` wrote.
    """
    import coremltools as ct
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    specs = [
        Builder.TensorSpec(shape=value.shape, dtype=types.string_to_builtin(MIL_TYPES[value.dtype.name]))
        for value in inputs.values()
    ]
    function = Builder.program(input_specs=specs, opset_version=getattr(ct.target, target))
    made = function(_named(build, list(inputs)))
    model = ct.convert(
        made,
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, target),
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        model.save(str(package))
        return load_program(package)


def _named(build: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """Return ``build`` with its parameters named as the inputs: coremltools reads the names from the code."""
    arguments = ", ".join(names)
    scope: dict[str, Any] = {"build": build}
    exec(f"def program({arguments}):\n    return build({arguments})", scope)
    return scope["program"]


def run(build: Callable[..., Any], target: str = "iOS17", **inputs: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of the saved program for these inputs, in order."""
    runtime = ReferenceRuntime(saved(build, inputs, target), threads=1)
    outputs = runtime.predict(inputs)
    return [outputs[name] for name in runtime.outputs]


def apples(build: Callable[..., Any], target: str = "iOS17", **inputs: np.ndarray) -> list[np.ndarray]:
    """Return what coremltools' own definition of the ops gives for the same inputs taken as constants."""
    import coremltools as ct
    from coremltools.converters.mil import Builder

    found: list[np.ndarray] = []

    def program(_: Any) -> Any:
        result = build(*[Builder.const(val=value) for value in inputs.values()])
        for var in result if isinstance(result, (list, tuple)) else [result]:
            assert var.val is not None, f"coremltools has no definition of {var.op.op_type}"
            found.append(np.asarray(var.val))
        return Builder.identity(x=_)

    Builder.program(input_specs=[Builder.TensorSpec(shape=(1,))], opset_version=getattr(ct.target, target))(program)
    return found
