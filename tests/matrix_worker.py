"""Imitates every worker of a matrix in a real child process, quickly: the protocol is real, the figures are invented.

The command line is: matrix_worker.py <behaviour's JSON file> <name of the worker> <folder> <progress descriptor>. The
behaviour maps "<model> <unit>" to a deed, and ``seconds`` units to how long a prediction is said to take. ``second``
may say that the second of all rounds is to "stand" until it is ended.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError


def inputs(request: dict[str, Any], behaviour: dict[str, Any], report: Report) -> dict[str, Any]:
    for entry in request["packages"]:
        if behaviour.get(f"{Path(entry['package']).stem} inputs") == "raise":
            raise CoremlbenchError("This package has no inputs.")
        np.savez(entry["expected"], y=np.zeros((request["samples"], 3)))
        np.savez(entry["inputs"], x=np.zeros((request["samples"], 3)))
    return {"notes": []}


def compile_(request: dict[str, Any], behaviour: dict[str, Any], report: Report) -> dict[str, Any]:
    if behaviour.get(f"{Path(request['package']).stem} compile") == "raise":
        raise CoremlbenchError("Core ML could not compile it.")
    Path(request["compiled"]).mkdir()
    (Path(request["compiled"]) / "name").write_text(Path(request["package"]).stem)
    return {"compiled": request["compiled"], "compile_seconds": 0.25, "stand_in": True}


def plan(request: dict[str, Any], behaviour: dict[str, Any], report: Report) -> dict[str, Any]:
    assert Path(request["compiled"]).suffix == ".mlmodelc"
    device = {"CPU_AND_NE": "NE", "CPU_AND_GPU": "GPU"}.get(request["unit"], "CPU")
    return {"ops": {device: 5}, "cost": {device: 1.0}, "elsewhere": [], "failure": "", "stand_in": True}


def timing(request: dict[str, Any], behaviour: dict[str, Any], report: Report) -> dict[str, Any]:
    name = Path(request["package"] or request["original"]).stem
    with Path(behaviour["trace"]).open("a") as trace:
        trace.write(f"{name} {request['unit']}\n")
    report("load", 0, 2)
    if behaviour.get("second") == "stand" and Path(behaviour["trace"]).read_text().count("\n") == 2:
        time.sleep(600)
    time.sleep(behaviour.get("wait", 0))
    do(behaviour.get(f"{name} {request['unit']}", ""), behaviour)
    random = np.random.default_rng(len(Path(behaviour["trace"]).read_text().splitlines()))
    middle = behaviour["seconds"].get(request["unit"], 1e-3)
    wall = middle * random.lognormal(0, 0.02, request["calls"])
    own = {"own": wall * 0.9} if request["runtime"] == "coreml" else {}
    np.savez(request["samples"], wall=wall, **own)
    digest = hashlib.sha256(Path(request["samples"]).read_bytes()).hexdigest()
    if behaviour.get(f"{name} {request['unit']}") == "lie":
        np.savez(request["samples"], wall=wall[:1])
    sustained = []
    if request["sustain_seconds"]:
        sustained = [{"seconds": 1.0, "p50": middle, "p95": middle, "calls": 10, "thermal_state": None}]
    return {
        "runtime_version": "made up",
        "stand_in": request["runtime"] == "coreml",
        "first_load_seconds": 0.5,
        "second_load_seconds": 0.1,
        "first_predict_seconds": 0.2,
        "warmup_calls": request["warmup_calls"],
        "warmup_seconds": request["warmup_seconds"],
        "calls": len(wall),
        "samples_sha256": digest,
        "sustained": sustained,
        "output_error": 0.001 if request["expected"] else None,
        "notes": [f"timed on {request['unit']}"],
    }


def do(deed: str, behaviour: dict[str, Any]) -> None:
    if deed == "once":  # fails in its first process only
        mark = Path(behaviour["trace"]).with_suffix(".once")
        if mark.exists():
            return
        mark.touch()
    if deed == "later":  # fails in all but its first process
        mark = Path(behaviour["trace"]).with_suffix(".later")
        if not mark.exists():
            mark.touch()
            return
    if deed in ("kill", "once", "later"):
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "hang":
        time.sleep(600)
    if deed == "raise":
        raise CoremlbenchError("It cannot be loaded.")
    if deed == "interrupt":  # as Ctrl-C in the terminal of the supervising process
        os.kill(behaviour["supervisor"], signal.SIGINT)
        time.sleep(600)


if __name__ == "__main__":
    behaviour, worker = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    del sys.argv[1:3]
    roles = {"inputs": inputs, "compile": compile_, "plan": plan, "timing": timing}
    run(lambda request, report: roles[worker](request, behaviour, report))
