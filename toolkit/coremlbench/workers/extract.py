"""Worker: decode, resize and augment images, and extract their features, or write the pixels for Turi Create.

ONNX Runtime runs the network of an extractor with weights, Core ML an extractor that is part of macOS.

Features go to the run's resume folder together with a journal of the finished images, so that a resumed run reuses
them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runs.resume_data import FEATURES_FILE, JOURNAL_FILE
from coremlbench.supervision.worker_main import Report, run

if TYPE_CHECKING:
    from coremlbench.createml.feature_extraction import Extract, Part, Target


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
    if request["core_ml"] is not None:
        return _extract_with_core_ml(request, parts, report)
    if request["network"] is None:
        return _write_pixels(request, parts, report)
    return _extract_with_onnxruntime(request, parts, report)


def _write_pixels(request: dict[str, Any], parts: list[Part], report: Report) -> dict[str, Any]:
    """Write the prepared pixels of all images to ``pixels.u8``, for Turi Create's own extractor."""
    from coremlbench.createml.feature_extraction import Target, write_rows

    target = Target(Path(request["folder"]) / "pixels.u8", (request["size"][0], request["size"][1]))
    rows = write_rows(parts, target, lambda done, total: report("augment", done, total), processes=request["processes"])
    return {"rows": rows, "reused_rows": 0}


def _extract_with_onnxruntime(request: dict[str, Any], parts: list[Part], report: Report) -> dict[str, Any]:
    """Run the network on all images and write the features; images in the journal are skipped."""
    import onnxruntime

    from coremlbench.createml.feature_extraction import Target, feature_length
    from coremlbench.createml.network import fingerprint, read_network
    from coremlbench.createml.network_onnx import write_onnx

    network_file = Path(request["folder"]) / "extractor.onnx"
    network = read_network(Path(request["network"]))
    write_onnx(network, network_file, bgr=request["bgr"])
    network_hash = fingerprint(network)
    target = Target(_features_file(request), (request["size"][0], request["size"][1]), network_file)
    features_fingerprint = _features_fingerprint(request, network_hash, onnxruntime.__version__)
    return {
        **_write_features(request, parts, target, features_fingerprint, report),
        "length": feature_length(network_file),
        "network": network_hash,
        "versions": {"onnxruntime": onnxruntime.__version__},
    }


def _extract_with_core_ml(request: dict[str, Any], parts: list[Part], report: Report) -> dict[str, Any]:
    """Let Core ML run Apple's extractor on all images and write the features; images in the journal are skipped."""
    # Keep coremltools from importing TensorFlow: it takes seconds and memory.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]

    from coremlbench.createml.core_ml_extraction import CoreMLExtraction
    from coremlbench.createml.feature_extraction import Target
    from coremlbench.createml.vision_feature_print import SCENES, FeaturePrint, save_extractor
    from coremlbench.runtimes.coreml import CoreML, is_stand_in
    from coremlbench.system.files import hash_file

    scene, units = SCENES[request["core_ml"]["scene"]], request["core_ml"]["units"]
    model = Path(request["folder"]) / "extractor.mlmodel"
    save_extractor(scene, model)
    report("extract", 0, sum(part.rows for part in parts), f"loading Apple's extractor for {units}")
    extractor = FeaturePrint.load(scene, model, units)
    target = Target(_features_file(request), scene.size, length=scene.features)
    extraction = CoreMLExtraction(extractor.features, request["processes"])
    version = CoreML().version
    features_fingerprint = _features_fingerprint(request, hash_file(model), version)
    return {
        **_write_features(request, parts, target, features_fingerprint, report, extraction),
        "length": scene.features,
        "network": hash_file(model),
        "versions": {"core ml": version},
        "stand_in": is_stand_in(),
    }


def _features_file(request: dict[str, Any]) -> Path:
    """Return the path of the features in the run's resume folder, which is made."""
    folder = Path(request["resume_folder"])
    folder.mkdir(exist_ok=True)
    return folder / FEATURES_FILE


def _write_features(
    request: dict[str, Any],
    parts: list[Part],
    target: Target,
    fingerprint: str,
    report: Report,
    extract: Extract | None = None,
) -> dict[str, Any]:
    """Write the features of all images that the journal does not list; return what every extraction returns.

    ``fingerprint`` identifies what the features are computed from, ``extract`` is that of ``write_rows``.
    """
    from coremlbench.createml.feature_extraction import write_rows
    from coremlbench.createml.feature_journal import open_journal, read_finished_rows
    from coremlbench.system.files import hash_file

    journal, row_bytes = target.path.with_name(JOURNAL_FILE), target.row_bytes()
    finished = read_finished_rows(
        journal,
        target.path,
        fingerprint=fingerprint,
        row_bytes=row_bytes,
        size=sum(part.rows for part in parts) * row_bytes,
    )
    if not finished:
        journal.unlink(missing_ok=True)
    with open_journal(journal, fingerprint) as append:
        rows = write_rows(
            parts,
            target,
            lambda done, total: report("extract", done, total),
            finished=finished,
            on_written=append,
            processes=request["processes"],
            extract=extract,
        )
    return {"rows": rows, "reused_rows": sum(finished.values()), "features_sha256": hash_file(target.path)}


def _features_fingerprint(request: dict[str, Any], network: str, runtime: str) -> str:
    """Return a hash of everything that determines the features bit for bit; ``runtime`` is that which runs them."""
    inputs = [request["parts"], request["size"], request["bgr"], network, runtime, request["origin"]]
    if request["core_ml"] is not None:
        inputs.append(request["core_ml"])
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    run(work)
