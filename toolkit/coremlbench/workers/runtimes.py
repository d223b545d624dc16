"""Says what can run on this machine: in a child, since Core ML is asked for its devices."""

from __future__ import annotations

import sys
from typing import Any

from coremlbench.runtimes.coreml import NO_NEURAL_ENGINE, devices, is_stand_in
from coremlbench.supervision.worker_main import Report, run
from coremlbench.timing.available_units import expected


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001 - there is nothing to ask
    """Return ``why_not`` as a ``WhyNot``, ``devices`` and ``stand_in``.

    ``devices`` are Core ML's own, of ``CPU``, ``GPU`` and ``NE``; ``None`` where there are none or macOS does not tell.
    """
    report("survey", 0, 1, "looking for what can run here")
    why_not = {name: dict(units) for name, units in expected().items()}
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools would import it for nothing
    found = devices()
    if found is not None and "NE" not in found:
        why_not["coreml"]["CPU_AND_NE"] = why_not["coreml"]["CPU_AND_NE"] or NO_NEURAL_ENGINE
    return {"why_not": why_not, "devices": found, "stand_in": is_stand_in()}


if __name__ == "__main__":
    run(work)
