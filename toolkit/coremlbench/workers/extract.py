"""Worker: decode, resize and augment images, and extract their features, or write the pixels for Turi Create.

Features go to the run's resume folder together with a journal of the finished images, so that a resumed run reuses
them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runs.resume_data import FEATURES_FILE, JOURNAL_FILE
from coremlbench.supervision.worker_main import Report, run

if TYPE_CHECKING:
    from coremlbench.createml.feature_extraction import Part


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the numbers of rows and of reused rows; for features also their length and what they depend on.

    Raises:
        InputError: the features of the run to resume were computed from something else.
    """
    from coremlbench.createml.feature_extraction import Part

    parts = [
        Part(part["name"], tuple(Path(path) for path in part["paths"]), tuple(part["options"]), part["seed"])
        for part in request["parts"]
    ]
    if request["network"] is None:
        return _write_pixels(request, parts, report)
    return _extract_features(request, parts, report)


def _write_pixels(request: dict[str, Any], parts: list[Part], report: Report) -> dict[str, Any]:
    """Write the prepared pixels of all images to ``pixels.u8``, for Turi Create's own extractor."""
    from coremlbench.createml.feature_extraction import Target, write_rows

    target = Target(Path(request["folder"]) / "pixels.u8", (request["size"][0], request["size"][1]))
    rows = write_rows(parts, target, lambda done, total: report("augment", done, total), processes=request["processes"])
    return {"rows": rows, "reused_rows": 0}


def _extract_features(request: dict[str, Any], parts: list[Part], report: Report) -> dict[str, Any]:
    """Run the network on all images and write the features; images in the journal are skipped."""
    import onnxruntime

    from coremlbench.createml.feature_extraction import Target, feature_length, write_rows
    from coremlbench.createml.feature_journal import open_journal, read_finished_rows
    from coremlbench.createml.network import fingerprint, read_network
    from coremlbench.createml.network_onnx import write_onnx
    from coremlbench.system.files import hash_file

    network_file = Path(request["folder"]) / "extractor.onnx"
    network = read_network(Path(request["network"]))
    write_onnx(network, network_file, bgr=request["bgr"])
    resume_folder = Path(request["resume_folder"])
    resume_folder.mkdir(exist_ok=True)
    journal = resume_folder / JOURNAL_FILE
    target = Target(resume_folder / FEATURES_FILE, (request["size"][0], request["size"][1]), network_file)
    row_bytes, network_hash = target.row_bytes(), fingerprint(network)
    features_fingerprint = _features_fingerprint(request, network_hash, onnxruntime.__version__)
    finished = read_finished_rows(
        journal,
        target.path,
        fingerprint=features_fingerprint,
        row_bytes=row_bytes,
        size=sum(part.rows for part in parts) * row_bytes,
    )
    if not finished:
        journal.unlink(missing_ok=True)
    with open_journal(journal, features_fingerprint) as append:
        rows = write_rows(
            parts,
            target,
            lambda done, total: report("extract", done, total),
            finished=finished,
            on_written=append,
            processes=request["processes"],
        )
    return {
        "rows": rows,
        "reused_rows": sum(finished.values()),
        "length": feature_length(network_file),
        "network": network_hash,
        "features_sha256": hash_file(target.path),
        "versions": {"onnxruntime": onnxruntime.__version__},
    }


def _features_fingerprint(request: dict[str, Any], network: str, onnxruntime: str) -> str:
    """Return a hash of everything that determines the features bit for bit."""
    inputs = [request["parts"], request["size"], request["bgr"], network, onnxruntime, request["origin"]]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    run(work)
