"""Worker that asks Core ML for its devices and returns which units this machine can use."""

from __future__ import annotations

import sys
from typing import Any

from coremlbench.runtimes.coreml import NO_NEURAL_ENGINE, devices, is_stand_in
from coremlbench.supervision.worker_main import Report, run
from coremlbench.timing.available_units import static_availability


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001 - the request is empty
    """Return ``unavailable_reasons`` (see ``UnavailableReasons``), ``devices`` and ``stand_in``.

    ``devices`` are Core ML's (``CPU``, ``GPU``, ``NE``), ``None`` without Core ML or before macOS 14.
    """
    report("probe", 0, 1, "asking Core ML for its devices")
    reasons = {name: dict(units) for name, units in static_availability().items()}
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools would import it needlessly
    available = devices()
    if available is not None and "NE" not in available:
        reasons["coreml"]["CPU_AND_NE"] = reasons["coreml"]["CPU_AND_NE"] or NO_NEURAL_ENGINE
    return {"unavailable_reasons": reasons, "devices": available, "stand_in": is_stand_in()}


if __name__ == "__main__":
    run(work)
