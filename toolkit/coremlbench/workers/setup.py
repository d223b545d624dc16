"""Makes what a Create ML run needs before it starts: Turi Create's environment and the extractor's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the environment's Python and the extractor's files as JSON."""
    from coremlbench.createml.extractors import obtain
    from coremlbench.createml.turicreate_environment import TURICREATE, ensure
    from coremlbench.system import serialization

    cache = Path(request["cache"])
    obtained = obtain(request["extractor"], cache, lambda message: report("setup", 0, 2, message))
    report("setup", 1, 2, f"the extractor is {obtained.extractor.name}")
    python = ensure(TURICREATE, cache, lambda message: report("setup", 1, 2, message))
    report("setup", 2, 2)
    return {"python": str(python), "obtained": serialization.to_json(obtained)}


if __name__ == "__main__":
    run(work)
