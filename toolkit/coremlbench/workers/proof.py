"""Read each package of a model from disk, run it on the reference runtime, and compare it with the original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coremlbench.conversion.package_results import PROOF_SUFFIX, capture_error, write_result
from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the versions of the libraries; each package's proof is written to its result file at once."""
    # coremltools imports TensorFlow if it is installed; a proof does not need it.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import onnxruntime

    for package in request["packages"]:
        path = Path(package["package"])
        if not Path(f"{path}{PROOF_SUFFIX}").is_file():
            report("prove", 0, 1, package["key"])
            write_result(path, PROOF_SUFFIX, _prove(package, request, report))
    return {"versions": {"coremltools": coremltools.__version__, "onnxruntime": onnxruntime.__version__}}


def _prove(package: dict[str, Any], request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return a package's op statistics and its proof, or the ``error`` that prevented them."""
    import numpy as np

    from coremlbench.conversion import op_statistics
    from coremlbench.conversion.package_runner import PackageRunner
    from coremlbench.mil_onnx import load_program
    from coremlbench.mil_onnx.flexible_shapes import fix_input_shape

    result: dict[str, Any] = {}
    with capture_error(result):
        samples = np.load(Path(request["folder"]) / "samples.npy", mmap_mode="r")
        program = fix_input_shape(load_program(Path(package["package"])), samples.shape[1:])
        result["ops"] = op_statistics.count_ops(program)
        result["arithmetic"] = op_statistics.multiply_adds(program)
        result["precision"] = op_statistics.matching_variant(program)
        result["computes_in"] = op_statistics.compute_precision(program)
        result["specification"] = program.specification_version
        runner = PackageRunner.from_program(program)
        result["batch"] = runner.batch
        if package.get("onnx"):
            runner.runtime.save_onnx(Path(package["onnx"]))
        result.update(_compare(package, runner, result["precision"], request, report))
    return result


def _compare(
    package: dict[str, Any], runner: Any, found_precision: Any, request: dict[str, Any], report: Report
) -> dict[str, Any]:
    """Return a package's ``proof`` and ``notes``; for one without an original, its ``accuracy``."""
    import numpy as np

    from coremlbench.conversion.proof import accuracy, worst_proof
    from coremlbench.system import serialization
    from coremlbench.types.conversion import OUTPUT

    folder = Path(request["folder"])
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy") if (folder / "labels.npy").is_file() else None
    _check_shapes(runner.shape, samples.shape[1:])
    actual = runner.predict(
        runner.to_package_input(samples, request["scale"]),
        lambda done: report("prove", done, len(samples), f"executing {package['key']}"),
    )
    if not runner.vector or request["classes"] not in {None, actual[OUTPUT].shape[1]}:
        labels = None  # the outputs are no values of these classes
    if package["without_original"]:
        return {"without_original": True, "accuracy": accuracy(actual[OUTPUT], labels)}
    own_labels, classes = [str(label) for label in runner.classes], request.get("labels") or []
    actual, notes = _in_class_order(actual, own_labels, classes)
    if runner.pixels and samples.dtype != np.uint8:
        notes.append(_pixel_scale_note(request["scale"]))
    with np.load(folder / "expected.npz", allow_pickle=False) as file:
        expected = {name: file[name] for name in file.files}
    proofs = _proofs(package["precision"] or found_precision, runner, expected, actual, labels, request)
    return {"proof": serialization.to_json(worst_proof(proofs)), "notes": notes}


def _pixel_scale_note(scale: float) -> str:
    return (
        f"The package takes 8-bit images and the model numbers: pixel values times {scale:g} were given to the model; "
        "--scale sets another factor."
    )


def _check_shapes(package: tuple[int, ...], original: tuple[int, ...]) -> None:
    """Raise ``CoremlbenchError`` if the input shapes differ; dimensions of 1 are ignored."""
    if [size for size in package if size != 1] != [size for size in original if size != 1]:
        package_text, original_text = ("x".join(map(str, shape)) or "one number" for shape in (package, original))
        raise CoremlbenchError(
            f"The package takes inputs of {package_text} and its original of {original_text}: they are not the same "
            "model."
        )


def _in_class_order(
    actual: dict[str, Any], own_labels: list[str], classes: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return a package's values in the order of the original's classes, and notes.

    The order stays where the package's labels are not the original's classes.
    """
    if not own_labels or not classes or own_labels == classes:
        return actual, []
    subject = f"The package's labels ({_first_names(own_labels)})"
    if sorted(own_labels) != sorted(classes) or len(set(own_labels)) < len(own_labels):
        note = f"{subject} are not the model's classes ({_first_names(classes)}): they are compared by position."
        return actual, [note]
    order = [own_labels.index(name) for name in classes]
    ordered = {
        name: values[:, order] if values.shape[1] == len(own_labels) else values for name, values in actual.items()
    }
    note = f"{subject} are in another order than the model's classes ({_first_names(classes)}): compared by name."
    return ordered, [note]


def _first_names(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _proofs(
    precision: Any,
    runner: Any,
    expected: dict[str, Any],
    actual: dict[str, Any],
    labels: Any,
    request: dict[str, Any],
) -> list[Any]:
    """Return one judged proof for each output; ``labels`` are the samples' classes, ``None`` where there are none.

    Outputs are compared one by one because they may have different ranges.
    """
    import numpy as np

    from coremlbench.conversion.package_runner import RUNTIME_LABEL
    from coremlbench.conversion.proof import accuracy, agreement, compare_outputs, judge
    from coremlbench.types.conversion import LOGITS, OUTPUT, Proof

    compared = LOGITS if LOGITS in expected and LOGITS in actual else OUTPUT
    _check_values(expected[compared], actual[compared])
    output_difference = float(np.abs(expected[OUTPUT] - actual[OUTPUT]).max()) if compared == LOGITS else None
    several = compared == OUTPUT and len(runner.widths) > 1
    borders = [sum(runner.widths[:count]) for count in range(1, len(runner.widths))] if several else []
    outputs = zip(*(np.split(values[compared], borders, axis=1) for values in (expected, actual)), strict=True)
    proofs = []
    for number, (expected_values, actual_values) in enumerate(outputs):
        what = "logits" if compared == LOGITS else "outputs"
        worst = f"; the worst output is {runner.outputs[number]}" if several else ""
        proof = Proof(
            verdict="wrong",
            reason="",
            runtime=RUNTIME_LABEL,
            original=f"{request['original']}; {what} compared{worst}",
            images=len(expected_values),
            data=request["data"],
            agreement=agreement(expected[OUTPUT], actual[OUTPUT]) if runner.vector else None,
            accuracy_before=accuracy(expected[OUTPUT], labels),
            accuracy_after=accuracy(actual[OUTPUT], labels),
            **compare_outputs(expected_values, actual_values),  # type: ignore[arg-type]  # its keys are Proof's
        )
        proofs.append(judge(proof, precision, request["classes"], output_difference=output_difference))
    return proofs


def _check_values(expected: Any, actual: Any) -> None:
    """Raise ``CoremlbenchError`` if values (images, values) cannot be compared: other shape, or none is finite."""
    import numpy as np

    if expected.shape != actual.shape:
        raise CoremlbenchError(
            f"The package gives {actual.shape[1]} values an image and its original {expected.shape[1]}: they are not "
            "the same model."
        )
    if not np.isfinite(expected).any():
        raise CoremlbenchError("The original gives no number for any image: there is nothing to compare with.")


if __name__ == "__main__":
    run(work)
