"""Worker that compiles a Core ML model once, for all its rounds. Core ML executes compiled models only."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from coremlbench.runtimes.core_ml_values import readable
from coremlbench.runtimes.coreml import CoreML, ModelLoadError, is_stand_in
from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the path of the compiled model and the seconds that Core ML took to compile it.

    The request holds ``package``, the ``.mlpackage`` or ``.mlmodel``, and ``compiled``, the ``.mlmodelc`` to write; an
    existing one is replaced.

    Raises:
        ModelLoadError: Core ML could not compile it; the message includes Core ML's error.
    """
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools would import it needlessly
    package, compiled = Path(request["package"]), Path(request["compiled"])
    report("compile", 0, 1, f"compiling '{package.name}'")
    runtime = CoreML()
    runtime.start("CPU_ONLY")
    from coremltools.models.utils import compile_model

    start = time.perf_counter()
    try:
        temporary = compile_model(str(package))  # in a temporary folder; moving it is not timed
    except RuntimeError as problem:
        raise ModelLoadError(f"Core ML could not compile '{package.name}': {readable(str(problem))}") from problem
    seconds = time.perf_counter() - start
    shutil.rmtree(compiled, ignore_errors=True)
    compiled.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(temporary, compiled)
    return {
        "compiled": compiled,
        "compile_seconds": seconds,
        "runtime_version": runtime.version,
        "stand_in": is_stand_in(),
    }


if __name__ == "__main__":
    run(work)
