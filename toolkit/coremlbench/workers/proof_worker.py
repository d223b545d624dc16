"""Proves the packages of one model: each is read back from disk, executed, and compared with its original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coremlbench.told import PROVEN, tell, telling_errors
from coremlbench.types import CoremlbenchError
from coremlbench.workers.harness import Report, run


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
    from coremlbench import census
    from coremlbench.executed import Executed
    from coremlbench.mil_onnx import load_program

    package = Path(item["package"])
    told: dict[str, Any] = {}
    with telling_errors(told):
        program = load_program(package)
        told["ops"] = census.census(program)
        told["arithmetic"] = census.arithmetic(program)
        told["precision"] = census.precision_of(program)
        told["computes_in"] = census.computes_in(program)
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
    import numpy as np

    from coremlbench import jsonable
    from coremlbench.coreml_types import Proof
    from coremlbench.executed import RUNTIME
    from coremlbench.originals import LOGITS, OUTPUT
    from coremlbench.proof import accuracy, agreement, compare, judge

    folder = Path(request["folder"])
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy") if (folder / "labels.npy").is_file() else None
    given = executed.as_taken(samples, request["scale"])
    actual = executed.predict(given, lambda done: report("prove", done, len(samples), f"executing {item['key']}"))
    judged = executed.vector and request["classes"] in {
        None,
        actual[OUTPUT].shape[1],
    }  # else the labels are of other classes
    if item["alone"]:  # a ready package: there is nothing to compare it with
        return {"alone": True, "accuracy": accuracy(actual[OUTPUT], labels) if judged else None}
    with np.load(folder / "expected.npz", allow_pickle=False) as file:
        expected = {name: file[name] for name in file.files}
    compared = LOGITS if LOGITS in expected and LOGITS in actual else OUTPUT
    if expected[compared].shape != actual[compared].shape:
        raise CoremlbenchError(
            f"The package gives {actual[compared].shape[1]} values an image and its original "
            f"{expected[compared].shape[1]}: they are not the same model."
        )
    if not np.isfinite(expected[compared]).any():
        raise CoremlbenchError("The original gives no number for any image: there is nothing to compare with.")
    what = "logits" if compared == LOGITS else "outputs"
    found = Proof(
        verdict="wrong",
        reason="",
        runtime=RUNTIME,
        original=f"{request['original']}; {what} compared",
        images=len(samples),
        data=request["data"],
        agreement=agreement(expected[OUTPUT], actual[OUTPUT]) if executed.vector else None,
        accuracy_before=accuracy(expected[OUTPUT], labels) if judged else None,
        accuracy_after=accuracy(actual[OUTPUT], labels) if judged else None,
        **compare(expected[compared], actual[compared]),  # type: ignore[arg-type]  # its keys are Proof's
    )
    return {"proof": jsonable.to_json(judge(found, item["precision"] or precision, request["classes"]))}


if __name__ == "__main__":
    run(work)
