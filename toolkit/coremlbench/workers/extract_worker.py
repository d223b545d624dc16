"""Decodes, resizes and augments images, and runs the extractor on them, or keeps the pixels for Turi Create."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from coremlbench.workers.harness import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the number of rows written, their length, and which network they come from."""
    from coremlbench.features import Extractor, Part, produce, producers

    folder = Path(request["folder"])
    parts = [
        Part(part["name"], tuple(Path(path) for path in part["paths"]), tuple(part["options"]), part["seed"])
        for part in request["parts"]
    ]
    rows = sum(part.rows for part in parts)
    size = (request["size"][0], request["size"][1])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    report("extract", 0, rows)
    started = time.perf_counter()
    if request["network"] is None:
        sink = PixelFile(folder / "pixels.u8", rows, report)
        produce(parts, size, folder / "ring.u8", sink, processes=cores)
        sink.close()
        return {"rows": rows, "seconds": time.perf_counter() - started}

    from coremlbench.network import fingerprint, read_network
    from coremlbench.network_onnx import write_onnx

    network = read_network(Path(request["network"]))
    write_onnx(network, folder / "extractor.onnx", bgr=request["bgr"])
    extractor = Extractor(
        folder / "extractor.onnx",
        folder / "features.f32",
        rows,
        threads=cores,
        report=lambda done, total: report("extract", done, total),
    )
    produce(parts, size, folder / "ring.u8", extractor, processes=producers(cores))
    extractor.close()
    import onnxruntime

    return {
        "rows": rows,
        "length": extractor.length,
        "network": fingerprint(network),
        "seconds": time.perf_counter() - started,
        "versions": {"onnxruntime": onnxruntime.__version__},
    }


class PixelFile:
    """Keeps prepared pixels in a file, for Turi Create's own extraction."""

    def __init__(self, path: Path, rows: int, report: Report) -> None:
        self._file, self._rows, self._done, self._report = path.open("wb"), rows, 0, report

    def __call__(self, pixels: Any) -> None:
        """Append some rows."""
        self._file.write(pixels.tobytes())
        self._done += len(pixels)
        self._report("prepare", self._done, self._rows)

    def close(self) -> None:
        """Bring the pixels to disk."""
        self._file.close()


if __name__ == "__main__":
    run(work)
