"""Small ML Programs for the tests: built with coremltools' builder, saved, read back, executed."""

from __future__ import annotations

import gc
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings

from coremlbench.mil_onnx import Program, load_program
from coremlbench.runtimes.reference import ReferenceRuntime

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # coremltools' own imports warn
    import coremltools as ct
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import get_new_symbol, types

__all__ = ("Builder", "ct", "get_new_symbol", "types")  # and what is defined below

gc.collect()
gc.freeze()  # coremltools collects garbage after every conversion: ten times the time of the conversion itself

few = settings(
    max_examples=int(os.environ.get("COREMLBENCH_EXAMPLES", "8")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
"""Each example is a program that is built, saved, read back and executed: no tracing to explain a failure.

COREMLBENCH_EXAMPLES asks for more of them."""
fewer = settings(few, max_examples=max(2, few.max_examples // 4))
"""For tests of many parameters: each of them is an example already."""

MIL_TYPES = {"float16": "fp16", "float32": "fp32", "int32": "int32", "bool": "bool", "int8": "int8", "uint8": "uint8"}
HALF = 2.0**-11
"""The largest relative error of rounding to float16."""


def saved(
    build: Callable[..., Any],
    inputs: Mapping[str, np.ndarray],
    target: str = "iOS17",
    open_axes: tuple[int, ...] = (),
) -> Program:
    """Return the program that ``build`` makes of inputs like these, after a trip through a saved package."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        package_of(package, build, inputs, target, open_axes)
        return load_program(package)


def package_of(
    package: Path,
    build: Callable[..., Any],
    inputs: Mapping[str, np.ndarray],
    target: str = "iOS17",
    open_axes: tuple[int, ...] = (),
) -> None:
    """Save the program that ``build`` makes of inputs like these, of any size along ``open_axes``.

    No optimisation runs in between, so that the program holds the ops that ``build`` wrote.
    """
    specs = [
        Builder.TensorSpec(
            shape=_opened(value.shape, open_axes), dtype=types.string_to_builtin(MIL_TYPES[value.dtype.name])
        )
        for value in inputs.values()
    ]
    function = Builder.program(input_specs=specs, opset_version=getattr(ct.target, target))
    made = function(_named(build, list(inputs)))
    _save(package, made, target, **_ranges(inputs, open_axes))


def converted(program: Any, target: str, **how: Any) -> Program:
    """Return a program after a trip through a saved package, not optimised; ``how`` is for ``ct.convert``."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        _save(package, program, target, **how)
        return load_program(package)


def _save(package: Path, program: Any, target: str, **how: Any) -> None:
    """Save a program as a package without any optimisation; ``how`` is for ``ct.convert``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # coremltools leaves its folder of weights to the collector
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, target),
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
            **how,
        )
        model.save(str(package))


def _opened(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(get_new_symbol() if axis in axes else size for axis, size in enumerate(shape))


def _ranges(inputs: Mapping[str, np.ndarray], axes: tuple[int, ...]) -> dict[str, Any]:
    """Return what tells the converter how far the open sizes of the inputs reach; nothing when none is open."""
    if not axes:
        return {}
    shapes = {
        name: tuple(ct.RangeDim(1, 64) if axis in axes else size for axis, size in enumerate(value.shape))
        for name, value in inputs.items()
    }
    return {"inputs": [ct.TensorType(name=name, shape=shape) for name, shape in shapes.items()]}


BROKEN: dict[str, Callable[[Any, Any], str]] = {
    "exp": lambda graph, op: graph.node("NoSuchOp", [graph.tensor(op.x)]),
    "sqrt": lambda graph, op: graph.node("Reshape", [graph.tensor(op.x), graph.ints([5])]),
}
"""Builders for ``OPS``: a graph that no ONNX Runtime takes, and one that none executes for other than five values.

Of what could be written as a program, each version refuses something else.
"""


def _named(build: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """Return ``build`` with its parameters named as the inputs: coremltools reads the names from the code."""
    arguments = ", ".join(names)
    scope: dict[str, Any] = {"build": build}
    exec(f"def program({arguments}):\n    return build({arguments})", scope)
    program: Callable[..., Any] = scope["program"]
    return program


def run(
    build: Callable[..., Any], target: str = "iOS17", open_axes: tuple[int, ...] = (), **inputs: np.ndarray
) -> list[np.ndarray]:
    """Return the outputs of the saved program for these inputs, in order."""
    runtime = ReferenceRuntime(saved(build, inputs, target, open_axes), threads=1)
    outputs = runtime.predict(inputs)
    return [outputs[name] for name in runtime.outputs]


def run_one(build: Callable[..., Any], target: str = "iOS17", **inputs: np.ndarray) -> np.ndarray:
    """Return the only output of the saved program for these inputs."""
    (output,) = run(build, target, (), **inputs)
    return output


def apples(build: Callable[..., Any], target: str = "iOS17", **inputs: np.ndarray) -> list[np.ndarray]:
    """Return what coremltools' own definition of the ops gives for the same inputs taken as constants."""
    found: list[np.ndarray] = []

    def program(given: Any) -> Any:
        result = build(*[Builder.const(val=value) for value in inputs.values()])
        for var in result if isinstance(result, (list, tuple)) else [result]:
            assert var.val is not None, f"coremltools has no definition of {var.op.op_type}"
            found.append(np.asarray(var.val))
        return Builder.identity(x=given)

    function = Builder.program(input_specs=[Builder.TensorSpec(shape=(1,))], opset_version=getattr(ct.target, target))
    function(program)
    return found


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 2e-6) -> None:
    """Assert equal shapes and values within ``tolerance`` of the largest; float16 outputs may differ by a rounding."""
    expected = np.atleast_1d(expected)  # the runtime returns no scalars, as Core ML does not
    assert actual.shape == expected.shape
    if actual.dtype == np.float16:
        tolerance = max(tolerance, 2 * HALF)
    exact = np.isfinite(expected)
    np.testing.assert_array_equal(exact, np.isfinite(actual))
    wide_actual, wide_expected = actual[exact].astype(np.float64), expected[exact].astype(np.float64)
    scale = max(1.0, float(np.abs(wide_expected).max(initial=0)))
    np.testing.assert_allclose(wide_actual, wide_expected, rtol=tolerance, atol=tolerance * scale)


def numbers(shape: tuple[int, ...], seed: int, dtype: Any = np.float32, low: float = -3, high: float = 3) -> np.ndarray:
    """Return random numbers of a type that float16 holds without rounding."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float16).astype(dtype)
