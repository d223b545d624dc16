"""Decodes, resizes and augments images, and runs the extractor on them, or keeps the pixels for Turi Create.

Features go to ``kept`` with a journal of the images that are done, where a resumed run finds them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from coremlbench.runs.resume_data import FEATURES, JOURNAL
from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the number of rows, how many were there already, and for features their length and network.

    Raises:
        InputError: what a broken run has extracted is not what this one would.
    """
    from coremlbench.createml.feature_extraction import Part, Target, feature_length, write_rows
    from coremlbench.createml.feature_journal import finished, noting
    from coremlbench.createml.network import fingerprint, read_network
    from coremlbench.createml.network_onnx import write_onnx
    from coremlbench.system.files import hash_file

    folder = Path(request["folder"])
    size = (request["size"][0], request["size"][1])
    parts = [
        Part(part["name"], tuple(Path(path) for path in part["paths"]), tuple(part["options"]), part["seed"])
        for part in request["parts"]
    ]
    if request["network"] is None:
        target = Target(folder / "pixels.u8", size)
        rows = write_rows(
            parts,
            target,
            lambda done, total: report("augment", done, total),
            processes=request["processes"],
        )
        return {"rows": rows, "taken": 0}

    import onnxruntime

    network = read_network(Path(request["network"]))
    write_onnx(network, folder / "extractor.onnx", bgr=request["bgr"])
    kept = Path(request["kept"])
    kept.mkdir(exist_ok=True)
    target, journal = Target(kept / FEATURES, size, folder / "extractor.onnx"), kept / JOURNAL
    row_bytes, network_hash = target.row_bytes(), fingerprint(network)
    plan = _plan(request, network_hash, onnxruntime.__version__)
    total = sum(part.rows for part in parts) * row_bytes
    there = finished(journal, target.path, plan=plan, row_bytes=row_bytes, size=total)
    if not there:
        journal.unlink(missing_ok=True)
    with noting(journal, plan) as note:
        rows = write_rows(
            parts,
            target,
            lambda done, total: report("extract", done, total),
            finished=there,
            note=note,
            processes=request["processes"],
        )
    return {
        "rows": rows,
        "taken": sum(there.values()),
        "length": feature_length(folder / "extractor.onnx"),
        "network": network_hash,
        "features_sha256": hash_file(target.path),
        "versions": {"onnxruntime": onnxruntime.__version__},
    }


def _plan(request: dict[str, Any], network: str, onnxruntime: str) -> str:
    """Return the hash of all that decides the features to the last bit."""
    decisive = [request["parts"], request["size"], request["bgr"], network, onnxruntime, request["made of"]]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    run(work)
