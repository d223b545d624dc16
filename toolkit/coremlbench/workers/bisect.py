"""Find the first op at which each wrong package diverges from its original, by comparing intermediate values.

A worker of its own, because it loads the original again beside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError

MAX_CONVERSION_ERROR = 1e-3
"""Largest error, as a share of the outputs' range, of a new conversion that is correct."""


class NoOpError(CoremlbenchError):
    """No op can be named; the message gives the reason."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return, for each package by key, its ``divergence``, or a ``note`` why no op can be named."""
    import numpy as np

    from coremlbench.conversion.divergence import COMPARED_SAMPLES
    from coremlbench.conversion.originals import open_original
    from coremlbench.system import serialization
    from coremlbench.types.conversion import ModelSource

    report("open", 0, 1, "opening the model")
    original = open_original(serialization.from_json(ModelSource, request["source"]), request["settings"])
    samples = np.load(Path(request["folder"]) / "samples.npy", mmap_mode="r")[:COMPARED_SAMPLES]
    results: dict[str, Any] = {}
    for package in request["packages"]:
        report("bisect", 0, 1, package["key"])
        try:
            results[package["key"]] = {"divergence": _divergence(package, original, samples, request, report)}
        except CoremlbenchError as error:
            results[package["key"]] = {"note": f"No op can be named: {error}"}
    return results


def _divergence(package: dict[str, Any], original: Any, samples: Any, request: dict[str, Any], report: Report) -> Any:
    """Return a package's ``Divergence`` as JSON.

    Raises:
        NoOpError: package and original have no names in common, all common values are equal, or a new conversion of
            the original is wrong too.
    """
    from coremlbench.conversion.divergence import find_divergence, plain_name, values_by_name
    from coremlbench.mil_onnx import load_program
    from coremlbench.mil_onnx.flexible_shapes import fix_input_shape
    from coremlbench.system import serialization

    program = fix_input_shape(load_program(Path(package["package"])), samples.shape[1:])
    reference = original.intermediate_values()
    if reference is None:
        reference = _new_conversion(package, original, samples, Path(request["folder"]), request["target"])
    values = values_by_name(program).keys()
    outputs = {plain_name(var.name) for var in program.function.outputs}
    if not (values - outputs or values) & set(reference.names()):
        raise NoOpError("the package's values have other names than those of its original.")
    divergence = find_divergence(program, reference, samples, original.layers, report, scale=original.scale)
    if divergence is None:
        raise NoOpError("all values that the package and its original both have are the same.")
    return serialization.to_json(divergence)


def _new_conversion(package: dict[str, Any], original: Any, samples: Any, folder: Path, target: str) -> Any:
    """Return the values of a new float32 conversion, for an original without intermediate values of its own.

    Raises:
        NoOpError: the new conversion is wrong too, so that the converter or the reference runtime has the error.
    """
    from coremlbench.conversion.divergence import ProgramReference
    from coremlbench.conversion.package_files import save_package
    from coremlbench.conversion.package_runner import PackageRunner
    from coremlbench.conversion.proof import compare_outputs
    from coremlbench.mil_onnx import load_program
    from coremlbench.types.conversion import LOGITS, OUTPUT

    path = folder / "reference.mlpackage"
    if not path.exists():
        save_package(original.convert("float32", batch=package["batch"], target=target), path, {})
    program = load_program(path)
    runner = PackageRunner.from_program(program)
    expected = original.predict(samples)
    actual = runner.predict(runner.to_package_input(samples, original.scale))
    name = LOGITS if LOGITS in expected and LOGITS in actual else OUTPUT
    figures = compare_outputs(expected[name], actual[name])
    error, value_range = figures["max_error"], figures["range"]
    if error is None or value_range is None or error > MAX_CONVERSION_ERROR * value_range:
        raise NoOpError(
            "a new conversion differs from the original too, so the error is in the converter or the reference "
            "runtime, not in this package alone."
        )
    return ProgramReference(program, original.scale)


if __name__ == "__main__":
    run(work)
