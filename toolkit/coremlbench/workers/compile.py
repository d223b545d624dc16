"""Compiles a Core ML model once for all its rounds: what Core ML itself takes and runs is the compiled one."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from coremlbench.runtimes.coreml import CoreML, ModelLoadError, is_stand_in
from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return where the compiled model is and how long Core ML took to make it.

    The request holds ``package``, the ``.mlpackage`` or ``.mlmodel``, and ``compiled``, the ``.mlmodelc`` to make.

    Raises:
        ModelLoadError: Core ML could not compile it; the message holds what it said.
    """
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools would import it for nothing
    package, compiled = Path(request["package"]), Path(request["compiled"])
    report("compile", 0, 1, f"compiling '{package.name}'")
    runtime = CoreML()
    runtime.start("CPU_ONLY")
    from coremltools.models.utils import compile_model

    began = time.perf_counter()
    try:
        made = compile_model(str(package))  # into a temporary folder: moving it is not Core ML's time
    except RuntimeError as problem:
        raise ModelLoadError(f"Core ML could not compile '{package.name}': {problem}") from problem
    seconds = time.perf_counter() - began
    shutil.rmtree(compiled, ignore_errors=True)
    compiled.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, compiled)
    return {
        "compiled": compiled,
        "compile_seconds": seconds,
        "runtime_version": runtime.version,
        "stand_in": is_stand_in(),
    }


if __name__ == "__main__":
    run(work)
