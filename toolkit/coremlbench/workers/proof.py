"""Read each package of a model from disk, run it on the reference runtime, and compare it with the original."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coremlbench.conversion.package_results import PROOF_SUFFIX, capture_error, write_result
from coremlbench.supervision.worker_main import Report, run
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import Caveat
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
    from coremlbench.conversion.known_deviations import find_deviations
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
        deviations = find_deviations(program)
        result["known_deviations"] = [row.name for row in deviations]
        runner = PackageRunner.from_program(program, several=True, batchless=request.get("batchless", ()))
        result["batch"] = runner.batch
        if package.get("onnx"):
            runner.runtime.save_onnx(Path(package["onnx"]))
        result.update(_compare(package, runner, result["precision"], request, report))
        _add_caveats(result, [row.caveat for row in deviations])
    return result


def _add_caveats(result: dict[str, Any], caveats: list[Caveat]) -> None:
    """Add caveats on the package to its proof; to the notes of a package without an original, which has no proof."""
    from coremlbench.conversion.proof import with_caveats
    from coremlbench.system import serialization
    from coremlbench.types.conversion import Proof

    if "proof" in result:
        proof = serialization.from_json(Proof, result["proof"])
        result["proof"] = serialization.to_json(with_caveats(proof, caveats))
    else:
        result["notes"] = [*result.get("notes", []), *(caveat.text for caveat in caveats)]


def _compare(
    package: dict[str, Any], runner: Any, found_precision: Any, request: dict[str, Any], report: Report
) -> dict[str, Any]:
    """Return a package's ``proof``, ``notes`` and ``first_sample``; for one without an original, its ``accuracy``.

    ``first_sample`` is the row at which the samples begin that decided the verdict.
    """
    import numpy as np

    from coremlbench.conversion.proof import accuracy, worst_proof
    from coremlbench.conversion.proof_hints import HINT_SAMPLES, difference_hint
    from coremlbench.conversion.sample_ranges import compared_ranges, split, worst_range
    from coremlbench.types.conversion import OUTPUT, Proof

    folder = Path(request["folder"])
    precision = _judged_precision(package, found_precision)
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    ranges = compared_ranges(folder, len(samples), one_only=runner.pixels or precision == "int8-activations")
    samples = samples[: sum(item.rows for item in ranges)]
    labels = np.load(folder / "labels.npy") if (folder / "labels.npy").is_file() else None
    runner = runner.for_samples(samples)
    _check_shapes(runner.shape, samples.shape[1:])
    actual = runner.predict(
        runner.to_package_input(samples, request["scale"]),
        lambda done: report("prove", done, len(samples), f"executing {package['key']}"),
    )
    if not runner.vector or request["classes"] not in {None, actual[OUTPUT].shape[1]}:
        labels = None  # the outputs are no values of these classes
    if package["without_original"]:
        return {"without_original": True, "accuracy": accuracy(actual[OUTPUT][: ranges[0].rows], labels)}
    with np.load(folder / "expected.npz", allow_pickle=False) as file:
        expected = {name: file[name][: len(samples)] for name in file.files}
    first_samples: list[int] = []

    def prove(values: dict[str, Any]) -> Any:
        proofs: list[Proof | None] = []
        for number, parts in enumerate(zip(split(expected, ranges), split(values, ranges), strict=True)):
            if _has_numbers(expected) and not _has_numbers(parts[0]):
                proofs.append(None)
                continue
            judged = _proofs(precision, runner, *parts, labels if number == 0 else None, request)
            proofs.append(worst_proof(judged, runner.outputs if len(judged) > 1 else ()))
        proof, first_sample = worst_range(proofs, ranges)
        first_samples.append(first_sample)
        return proof

    result = _compare_with_labels(runner, actual, request, prove, ready=package["precision"] is None)
    result["first_sample"] = first_samples[0]
    if runner.pixels and samples.dtype != np.uint8:
        result["notes"].append(_pixel_scale_note(request["scale"]))
    if result["proof"]["verdict"] == "wrong":
        few = runner.to_package_input(samples[:HINT_SAMPLES], request["scale"])
        hint = difference_hint(expected, actual, few, runner.predict)
        result["notes"] += [hint] if hint else []
    return result


def _compare_with_labels(
    runner: Any,
    actual: dict[str, Any],
    request: dict[str, Any],
    prove: Callable[[dict[str, Any]], Any],
    *,
    ready: bool,
) -> dict[str, Any]:
    """Return the ``proof`` of a package's values and labels, ``notes``, and ``only_labels_wrong``.

    ``prove`` returns the proof of values in the order of the original's. ``ready`` tells that the package was not
    converted here.
    """
    from coremlbench.conversion.label_comparison import compare_labels, judge_labels, uncompared_caveat, unlabelled_note
    from coremlbench.conversion.proof import with_caveats
    from coremlbench.system import serialization

    labels, classes = [str(label) for label in runner.classes], request["labels"]
    notes: list[str] = []
    by_index = proof = prove(actual)
    if labels and len(labels) == len(classes):
        comparison = compare_labels(labels, classes)
        by_name = prove(_in_order(actual, comparison.order)) if comparison.moved else by_index
        proof, notes = judge_labels(comparison, by_index, by_name, request["class_origin"])
    elif labels:
        proof = with_caveats(by_index, [uncompared_caveat(labels)])
    elif classes and ready:
        notes = [unlabelled_note(classes)]
    labels_alone = proof.verdict == "wrong" and by_index.verdict != "wrong"
    return {"proof": serialization.to_json(proof), "notes": notes, "only_labels_wrong": labels_alone}


def _in_order(values: dict[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """Return values (n, classes) in another order of the classes; other values stay as they are."""
    rows = list(order)
    return {name: array[:, rows] if array.shape[1] == len(rows) else array for name, array in values.items()}


def _judged_precision(package: dict[str, Any], precision: Any) -> Any:
    """Return the variant by whose thresholds a package is judged: the requested one, unless nothing was compressed.

    ``precision`` is that of the package's program, which also decides for a package that was given.
    """
    from coremlbench.conversion.proof import UNCOMPRESSED

    requested = package["precision"]
    return (
        precision if requested is None or (precision in UNCOMPRESSED and requested not in UNCOMPRESSED) else requested
    )


def _has_numbers(predictions: dict[str, Any]) -> bool:
    """Return whether a prediction of an original has a finite value."""
    import numpy as np

    return any(bool(np.isfinite(values).any()) for values in predictions.values())


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

    from coremlbench.conversion.output_kinds import is_constant, judge_constants, judge_indices
    from coremlbench.conversion.package_runner import RUNTIME_LABEL
    from coremlbench.conversion.proof import accuracy, agreement, judge
    from coremlbench.conversion.value_statistics import compare_values
    from coremlbench.types.conversion import LOGITS, OUTPUT, Proof

    compared = LOGITS if LOGITS in expected and LOGITS in actual else OUTPUT
    _check_values(expected[compared], actual[compared])
    output_difference = _largest_difference(expected[OUTPUT], actual[OUTPUT]) if compared == LOGITS else None
    several = compared == OUTPUT and len(runner.widths) > 1
    borders = [sum(runner.widths[:count]) for count in range(1, len(runner.widths))] if several else []
    outputs = zip(*(np.split(values[compared], borders, axis=1) for values in (expected, actual)), strict=True)
    inputs, proofs = request.get("inputs", "data"), []
    for number, (expected_values, actual_values) in enumerate(outputs):
        values = compare_values(expected_values, actual_values)
        what = "logits" if compared == LOGITS else "outputs"
        worst = f"; the worst output is {runner.outputs[number]}" if several else ""
        proof = Proof(
            verdict="wrong",
            reason="",
            runtime=RUNTIME_LABEL,
            original=f"{request['original']}; {what} compared{worst}",
            images=len(expected_values),
            data=request["data"],
            # Outputs behind a softmax can be equal in float16 where their logits differ.
            agreement=agreement(expected[compared], actual[compared]) if runner.vector else None,
            accuracy_before=accuracy(expected[OUTPUT], labels),
            accuracy_after=accuracy(actual[OUTPUT], labels),
            **values.figures(),
        )
        constant = compared == OUTPUT and number in runner.batchless and is_constant(expected_values)
        if compared == OUTPUT and number in runner.batchless and not constant:
            _check_batch(runner, number)
        if constant:
            proofs.append(judge_constants(proof, expected_values, actual_values, precision))
        elif compared == OUTPUT and number in runner.discrete:
            proofs.append(judge_indices(proof, expected_values, actual_values, precision, inputs))
        else:
            figures = {"values": values, "output_difference": output_difference, "inputs": inputs}
            proofs.append(judge(proof, precision, request["classes"], **figures))
    return proofs


def _check_batch(runner: Any, number: int) -> None:
    """Raise ``CoremlbenchError`` for an output of one array that depends on all samples of a batch of several."""
    if runner.batch > 1:
        raise CoremlbenchError(
            f"Its output {runner.outputs[number]} is computed from all samples of a batch together, which can be "
            "compared with --batch 1 only."
        )


def _largest_difference(expected: Any, actual: Any) -> float:
    """Return the largest absolute difference; infinite where numbers are not finite and the original's are."""
    from coremlbench.conversion.value_statistics import compare_values

    return compare_values(expected, actual).max_error


def _check_values(expected: Any, actual: Any) -> None:
    """Raise ``CoremlbenchError`` if package and original give another number of values for an image."""
    if expected.shape != actual.shape:
        raise CoremlbenchError(
            f"The package gives {format_count(actual.shape[1], 'value')} a sample and its original "
            f"{expected.shape[1]}: they are not the same model."
        )


if __name__ == "__main__":
    run(work)
