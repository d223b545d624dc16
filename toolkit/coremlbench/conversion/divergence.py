"""Find the first op of a package whose value differs from that of the same op in the original."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.types.conversion import Divergence
from coremlbench.types.process import ReportProgress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

COMPARED_SAMPLES = 4
"""Number of samples whose intermediate values are compared; a wrong weight shows in the first one."""
VALUES_PER_RUN = 48
"""Number of intermediate values requested at once; all activations of a large network would not fit in memory."""
CAST_SUFFIXES = ("_cast_fp16", "_cast_fp32", "_cast_to_fp16", "_cast_to_fp32")
"""Suffixes that coremltools adds to the names of cast values; without them an op has one name in all precisions."""
DIVERGED = 0.1
"""Error, as a share of the value's range, of a diverged op: ten times that of 8 bits, far below a wrong weight's."""
FLOAT16_ERROR = 1e-3
"""The error, as a share of the value's range, that float16 causes anywhere; below it, no op is reported."""
NO_ERROR = 1e-7
"""Lower limit of an input's error when the growth of errors is computed."""


class ReferenceValues(Protocol):
    """Intermediate values that a package is compared with: the original's, or those of another conversion of it."""

    def names(self) -> Collection[str]:
        """Return the names of all known values, without cast suffixes."""

    def values(self, names: Sequence[str], samples: Any) -> Mapping[str, Array]:
        """Return values by name for one batch of samples, given as the original takes them."""


@dataclass(frozen=True)
class ProgramReference:
    """The values of another ML Program of the same model; ``scale`` is the original's factor for pixel values."""

    program: Any
    scale: float = 1.0

    def names(self) -> Collection[str]:
        """Return the names of the program's float values, without cast suffixes."""
        return values_by_name(self.program).keys()

    def values(self, names: Sequence[str], samples: Any) -> Mapping[str, Array]:
        """Return values by name, computed by the reference runtime."""
        from coremlbench.conversion.package_runner import PackageRunner

        variables = values_by_name(self.program)
        runner = PackageRunner.from_program(self.program, intermediates=[variables[name].name for name in names])
        results = runner.intermediate_values(runner.to_package_input(samples, self.scale))
        return {name: results[variables[name].name] for name in names}


def find_divergence(
    program: Any,
    reference: ReferenceValues,
    samples: Any,
    layers: Mapping[str, str],
    report: ReportProgress,
    *,
    scale: float = 1.0,
) -> Divergence | None:
    """Return the first op, in the program's order, whose error reaches ``DIVERGED``.

    When none does, the op with the largest growth of the error from its inputs to its output. ``None`` when no error
    exceeds ``FLOAT16_ERROR``, or program and reference have no names in common.

    ``samples`` (n, *shape) are as the original takes them, ``scale`` is its factor for pixel values. ``layers`` maps
    prefixes of op names to the model's layers.
    """
    variables, known = values_by_name(program), reference.names()
    common = [name for name in variables if name in known]
    errors: dict[str, float] = {}
    for start in range(0, len(common), VALUES_PER_RUN):
        block = {name: variables[name] for name in common[start : start + VALUES_PER_RUN]}
        errors.update(_errors(program, reference, block, samples[:COMPARED_SAMPLES], scale))
        report("bisect", min(start + VALUES_PER_RUN, len(common)), len(common))
        diverged = next((name for name in block if errors.get(name, 0.0) >= DIVERGED), None)
        if diverged is not None:
            return _divergence(variables[diverged], errors[diverged], layers)
    if max(errors.values(), default=0.0) <= FLOAT16_ERROR:
        return None
    name = _largest_error_growth(variables, errors)
    return _divergence(variables[name], errors[name], layers)


def values_by_name(program: Any) -> dict[str, Any]:
    """Return the float variables of a program that depend on its input, by name without cast suffixes, in order."""
    from coremlbench.conversion.compression import float_values

    return {plain_name(var.name): var for var in float_values(program)}


def plain_name(name: str) -> str:
    """Return the name of a value without cast suffixes."""
    for suffix in CAST_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _errors(
    program: Any, reference: ReferenceValues, variables: Mapping[str, Any], samples: Any, scale: float
) -> dict[str, float]:
    """Return the largest error of each value over the samples, as a share of the reference value's range."""
    import numpy as np

    from coremlbench.conversion.package_runner import PackageRunner

    errors: dict[str, float] = {}
    runner = PackageRunner.from_program(program, intermediates=[var.name for var in variables.values()])
    inputs = runner.to_package_input(samples, scale)
    for index in range(len(samples)):
        actual = runner.intermediate_values(inputs[index : index + 1])
        expected = reference.values(list(variables), samples[index : index + 1])
        for name, var in variables.items():
            expected_value = np.asarray(expected[name], np.float64)[:1]
            difference = _difference(np.asarray(actual[var.name], np.float64)[:1], expected_value)
            if difference is not None:
                value_range = float(np.ptp(expected_value))
                error = difference / value_range if value_range else difference
                errors[name] = max(errors.get(name, 0.0), error if np.isfinite(error) else np.inf)
    return errors


def _difference(actual: Array, expected: Array) -> float | None:
    """Return the largest absolute difference of two values of an op; ``None`` when their shapes do not fit.

    TensorFlow has channels last and Core ML has them second. The layout with the smaller difference is taken.
    """
    import numpy as np

    layouts = [expected, *([np.moveaxis(expected, -1, 1)] if expected.ndim > 2 else [])]
    differences = [
        float(np.abs(actual - layout).max(initial=0.0)) for layout in layouts if layout.shape == actual.shape
    ]
    return min(differences, key=lambda value: (np.isnan(value), value)) if differences else None


def _largest_error_growth(variables: Mapping[str, Any], errors: Mapping[str, float]) -> str:
    """Return the name of the value with the largest ratio of its error to the largest error of its op's inputs."""

    def growth(name: str) -> float:
        inputs = [plain_name(var.name) for value in variables[name].op.inputs.values() for var in _as_list(value)]
        return errors[name] / max([NO_ERROR, *(errors[value] for value in inputs if value in errors)])

    return max(errors, key=growth)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _divergence(var: Any, error: float, layers: Mapping[str, str]) -> Divergence:
    known = error if math.isfinite(error) else None
    return Divergence(op=var.name, kind=var.op.op_type, error=known, layer=layer_of(var.name, layers))


def layer_of(op: str, layers: Mapping[str, str]) -> str:
    """Return the layer with the longest scope that is a prefix of an op's name; empty when there is none."""
    scopes = [scope for scope in layers if op == scope or op.startswith((f"{scope}_", f"{scope}x_"))]
    return layers[max(scopes, key=len)] if scopes else ""
