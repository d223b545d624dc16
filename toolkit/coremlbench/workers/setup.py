"""Worker: obtain the feature extractor and create Turi Create's environment, before a Create ML run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the path of the environment's Python and the obtained extractor, as JSON."""
    from coremlbench.createml.extractors import obtain_extractor
    from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment
    from coremlbench.system import serialization

    cache = Path(request["cache"])
    obtained = obtain_extractor(request["extractor"], cache, lambda message: report("setup", 0, 2, message))
    report("setup", 1, 2, f"the extractor is {obtained.extractor.name}")
    python = ensure_environment(TURICREATE, cache, lambda message: report("setup", 1, 2, message))
    report("setup", 2, 2)
    return {"python": str(python), "extractor": serialization.to_json(obtained)}


if __name__ == "__main__":
    run(work)
