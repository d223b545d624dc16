"""Find out which device TensorFlow would train on, in a child process because TensorFlow may crash when it starts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from coremlbench.failures.classify import classify, invalidates_run
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.failure import Failure
from coremlbench.types.process import Limits
from coremlbench.types.training_records import Placement

SILENCE = 120.0


def probe_device(requested: str = "auto", *, compare: bool = False, seed: int = 0) -> Placement | Failure:
    """Return the device that a training would use, or the failure of the child process.

    ``requested`` is ``auto``, ``cpu`` or ``gpu``. With ``compare``, a short training on a GPU must give the same losses
    as on the CPU; otherwise the failure is of the kind ``untrusted-device``.
    """
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as folder:
        ended = supervise(
            [sys.executable, "-I", "-m", "coremlbench.workers.device"],
            folder=Path(folder),
            request={"device": requested, "compare": compare, "seed": seed},
            limits=Limits(silence=SILENCE),
            keep=invalidates_run,
        )
    failure = classify(ended)
    if failure is not None:
        return failure
    assert ended.result is not None  # otherwise classify returns a failure
    result = ended.result
    return Placement(requested, result["device"], result["name"], result["reason"])
