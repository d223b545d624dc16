"""Proves the packages of one model: each is read back from disk, executed, and compared with its original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coremlbench.conversion.package_results import PROVEN, tell, telling_errors
from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the versions that took part; each package's proof is written beside it as soon as it is known."""
    # coremltools imports TensorFlow when it is there: seconds and memory that a proof has no use for.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import onnxruntime

    for item in request["packages"]:
        if Path(item["package"] + PROVEN).is_file():
            continue
        report("prove", 0, 1, item["key"])
        tell(Path(item["package"]), PROVEN, _prove(item, request, report))
    return {"versions": {"coremltools": coremltools.__version__, "onnxruntime": onnxruntime.__version__}}


def _prove(item: dict[str, Any], request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return what a package is made of and how it compares; or the error that kept it from being executed."""
    from coremlbench.conversion import op_statistics
    from coremlbench.conversion.package_runner import Executed
    from coremlbench.mil_onnx import load_program

    package = Path(item["package"])
    told: dict[str, Any] = {}
    with telling_errors(told):
        program = load_program(package)
        told["ops"] = op_statistics.census(program)
        told["arithmetic"] = op_statistics.arithmetic(program)
        told["precision"] = op_statistics.precision_of(program)
        told["computes_in"] = op_statistics.computes_in(program)
        told["specification"] = program.specification_version
        executed = Executed.of(program)
        told["batch"] = executed.batch
        if item.get("onnx"):
            executed.runtime.save_onnx(Path(item["onnx"]))
        told.update(_compared(item, executed, told["precision"], request, report))
    return told


def _compared(
    item: dict[str, Any], executed: Any, precision: Any, request: dict[str, Any], report: Report
) -> dict[str, Any]:
    """Return the proof of a package, or of a ready one that is compared with nothing its accuracy; and notes on it."""
    import numpy as np

    from coremlbench.conversion.proof import accuracy, worst_of
    from coremlbench.system import serialization
    from coremlbench.types.conversion import OUTPUT

    folder = Path(request["folder"])
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy") if (folder / "labels.npy").is_file() else None
    _check_shapes(executed.shape, samples.shape[1:])
    given = executed.as_taken(samples, request["scale"])
    actual = executed.predict(given, lambda done: report("prove", done, len(samples), f"executing {item['key']}"))
    judged = executed.vector and request["classes"] in {None, actual[OUTPUT].shape[1]}  # else they are of other classes
    if item["alone"]:  # a ready package: there is nothing to compare it with
        return {"alone": True, "accuracy": accuracy(actual[OUTPUT], labels) if judged else None}
    actual, notes = _by_name(actual, [str(each) for each in executed.classes], request.get("labels") or [])
    if executed.pixels and samples.dtype != np.uint8:
        scale = f"{request['scale']:g}"
        notes.append(
            f"The package takes pictures of bytes and the model numbers: bytes times {scale} were given to the model; "
            "if it wants them otherwise, --scale says how."
        )
    with np.load(folder / "expected.npz", allow_pickle=False) as file:
        expected = {name: file[name] for name in file.files}
    proofs = _proofs(item["precision"] or precision, executed, expected, actual, labels if judged else None, request)
    return {"proof": serialization.to_json(worst_of(proofs)), "notes": notes}


def _check_shapes(takes: tuple[int, ...], samples: tuple[int, ...]) -> None:
    """Raise ``CoremlbenchError`` where a package does not take what its original takes, up to dimensions of 1."""
    if [size for size in takes if size != 1] != [size for size in samples if size != 1]:
        own, original = ("x".join(map(str, shape)) or "one number" for shape in (takes, samples))
        raise CoremlbenchError(
            f"The package takes inputs of {own} and its original of {original}: they are not the same model."
        )


def _by_name(actual: dict[str, Any], own: list[str], classes: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a package in the order of the original's classes, where its labels are those."""
    if not own or not classes or own == classes:
        return actual, []
    told = f"The package's labels ({_some(own)})"
    if sorted(own) != sorted(classes) or len(set(own)) < len(own):
        return actual, [f"{told} are not the model's classes ({_some(classes)}): they are compared by their places."]
    order = [own.index(name) for name in classes]
    ordered = {name: value[:, order] if value.shape[1] == len(own) else value for name, value in actual.items()}
    return ordered, [f"{told} stand in another order than the model's classes ({_some(classes)}): compared by name."]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _proofs(
    precision: Any,
    executed: Any,
    expected: dict[str, Any],
    actual: dict[str, Any],
    labels: Any,
    request: dict[str, Any],
) -> list[Any]:
    """Return the proof of each output, judged; ``labels`` are the classes of the samples where they mean something.

    Outputs have units of their own, and a wrong one must not be lost in the range of another.
    """
    import numpy as np

    from coremlbench.conversion.package_runner import RUNTIME
    from coremlbench.conversion.proof import accuracy, agreement, compare, judge
    from coremlbench.types.conversion import LOGITS, OUTPUT, Proof

    compared = LOGITS if LOGITS in expected and LOGITS in actual else OUTPUT
    if expected[compared].shape != actual[compared].shape:
        raise CoremlbenchError(
            f"The package gives {actual[compared].shape[1]} values an image and its original "
            f"{expected[compared].shape[1]}: they are not the same model."
        )
    if not np.isfinite(expected[compared]).any():
        raise CoremlbenchError("The original gives no number for any image: there is nothing to compare with.")
    apart = float(np.abs(expected[OUTPUT] - actual[OUTPUT]).max()) if compared == LOGITS else None
    several = compared == OUTPUT and len(executed.widths) > 1
    ends = [sum(executed.widths[:count]) for count in range(1, len(executed.widths))] if several else []
    parts = zip(*(np.split(values[compared], ends, axis=1) for values in (expected, actual)), strict=True)
    proofs = []
    for number, (true, own) in enumerate(parts):
        what = "logits" if compared == LOGITS else "outputs"
        which = f"; the worst is told, {executed.outputs[number]}" if several else ""
        found = Proof(
            verdict="wrong",
            reason="",
            runtime=RUNTIME,
            original=f"{request['original']}; {what} compared{which}",
            images=len(true),
            data=request["data"],
            agreement=agreement(expected[OUTPUT], actual[OUTPUT]) if executed.vector else None,
            accuracy_before=accuracy(expected[OUTPUT], labels),
            accuracy_after=accuracy(actual[OUTPUT], labels),
            **compare(true, own),  # type: ignore[arg-type]  # its keys are Proof's
        )
        proofs.append(judge(found, precision, request["classes"], outputs_apart=apart))
    return proofs


if __name__ == "__main__":
    run(work)
