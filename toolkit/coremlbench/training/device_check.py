"""Which device TensorFlow would train on here, asked in a child of its own: TensorFlow may crash as it starts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from coremlbench.failures.classify import classify, spoils
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.failure import Failure
from coremlbench.types.process import Limits
from coremlbench.types.training_records import Placement

SILENCE = 120.0


def which_device(requested: str = "auto", *, compare: bool = False, seed: int = 0) -> Placement | Failure:
    """Return the device that would be used and why, or why that cannot be told.

    With ``compare`` a GPU must first learn what the CPU learns; one that does not is a ``Failure`` of the kind
    ``untrusted-device``.
    """
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as folder:
        ended = supervise(
            [sys.executable, "-I", "-m", "coremlbench.workers.device"],
            folder=Path(folder),
            request={"device": requested, "compare": compare, "seed": seed},
            limits=Limits(silence=SILENCE),
            keep=spoils,
        )
    failure = classify(ended)
    if failure is not None:
        return failure
    assert ended.result is not None  # or it would be a failure
    found = ended.result
    return Placement(requested, found["device"], found["name"], found["reason"])
