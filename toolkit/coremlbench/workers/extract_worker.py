"""Decodes, resizes and augments images, and runs the extractor on them, or keeps the pixels for Turi Create."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from coremlbench.workers.harness import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the number of rows written, and for features their length and which network they come from."""
    from coremlbench.features import Part, Target, feature_length, write_rows
    from coremlbench.files import hash_file
    from coremlbench.network import fingerprint, read_network
    from coremlbench.network_onnx import write_onnx

    folder = Path(request["folder"])
    size = (request["size"][0], request["size"][1])
    parts = [
        Part(part["name"], tuple(Path(path) for path in part["paths"]), tuple(part["options"]), part["seed"])
        for part in request["parts"]
    ]
    started = time.perf_counter()
    if request["network"] is None:
        target = Target(folder / "pixels.u8", size)
        rows = write_rows(parts, target, lambda done, total: report("augment", done, total))
        return {"rows": rows, "seconds": time.perf_counter() - started}

    import onnxruntime

    network = read_network(Path(request["network"]))
    write_onnx(network, folder / "extractor.onnx", bgr=request["bgr"])
    target = Target(folder / "features.f32", size, folder / "extractor.onnx")
    rows = write_rows(parts, target, lambda done, total: report("extract", done, total))
    return {
        "rows": rows,
        "length": feature_length(folder / "extractor.onnx"),
        "network": fingerprint(network),
        "features_sha256": hash_file(target.path),
        "seconds": time.perf_counter() - started,
        "versions": {"onnxruntime": onnxruntime.__version__},
    }


if __name__ == "__main__":
    run(work)
