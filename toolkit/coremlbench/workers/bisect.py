"""Names the op at which each wrong package parts from its original, by what both compute on the way to their outputs.

It is a process of its own since it opens the original again, beside the package on the reference runtime.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError

SAME = 1e-3
"""The error, as a share of the outputs' range, up to which a fresh conversion is one of the original."""


class NoOpError(CoremlbenchError):
    """No op can be named; the message says why."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the first op that parts for each package, or why none can be named."""
    import numpy as np

    from coremlbench.conversion.divergence import SAMPLES
    from coremlbench.conversion.originals import open_original
    from coremlbench.system import serialization
    from coremlbench.types.conversion import ModelSource

    report("open", 0, 1, "opening the model")
    original = open_original(serialization.from_json(ModelSource, request["source"]), request["settings"])
    samples = np.load(Path(request["folder"]) / "samples.npy", mmap_mode="r")[:SAMPLES]
    found: dict[str, Any] = {}
    for item in request["packages"]:
        report("bisect", 0, 1, item["key"])
        try:
            found[item["key"]] = {"divergence": _parts(item, original, samples, request, report)}
        except CoremlbenchError as problem:
            found[item["key"]] = {"note": f"No op can be named: {problem}"}
    return found


def _parts(item: dict[str, Any], original: Any, samples: Any, request: dict[str, Any], report: Report) -> Any:
    from coremlbench.conversion.divergence import find_divergence, plain_name, values_by_name
    from coremlbench.mil_onnx import load_program
    from coremlbench.system import serialization

    program = load_program(Path(item["package"]))
    truth = original.inner() or _converted_anew(item, original, samples, Path(request["folder"]), request["target"])
    inner = values_by_name(program).keys() - {plain_name(var.name) for var in program.function.outputs}
    if not (inner or values_by_name(program).keys()) & set(truth.names()):
        raise NoOpError("the package's values have other names than those of its original.")
    found = find_divergence(program, truth, samples, original.layers, report, scale=original.scale)
    if found is None:
        raise NoOpError("all values that the package and its original both have are the same.")
    return serialization.to_json(found)


def _converted_anew(item: dict[str, Any], original: Any, samples: Any, folder: Path, target: str) -> Any:
    """Return a fresh float32 conversion, for an original that shows no inner values of its own.

    Raises:
        NoOpError: it is wrong too: then it is the converter or the reference runtime that errs, not the package.
    """
    from coremlbench.conversion.divergence import ProgramTruth
    from coremlbench.conversion.package_files import save
    from coremlbench.conversion.package_runner import Executed
    from coremlbench.conversion.proof import compare
    from coremlbench.mil_onnx import load_program
    from coremlbench.types.conversion import LOGITS, OUTPUT

    package = folder / "truth.mlpackage"
    if not package.exists():
        save(original.convert("float32", batch=item["batch"], target=target), package, {})
    program = load_program(package)
    executed = Executed.of(program)
    expected, actual = original.predict(samples), executed.predict(executed.as_taken(samples, original.scale))
    compared = LOGITS if LOGITS in expected and LOGITS in actual else OUTPUT
    figures = compare(expected[compared], actual[compared])
    error, spread = figures["max_error"], figures["range"]
    if error is None or spread is None or error > SAME * spread:
        raise NoOpError(
            "a fresh conversion gives other outputs than the original too, so it is the converter or the reference "
            "runtime that errs, and not this package alone."
        )
    return ProgramTruth(program, original.scale)


if __name__ == "__main__":
    run(work)
