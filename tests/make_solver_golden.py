"""Write tests/golden/solver.json: what Turi Create 6.4.1 itself trains on the small problems of the solver's tests.

``python -m tests.make_solver_golden`` makes Turi Create's environment if there is none.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from coremlbench.createml.run_context import TURICREATE_WORKER
from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment
from coremlbench.supervision.supervisor import supervise
from coremlbench.system.paths import cache_folder
from tests.small_solver_problems import GOLDEN, Problem, request

GOLDEN_FILE = Path(__file__).with_name("golden") / "solver.json"


def turicreate_result(python: Path, folder: Path, problem: Problem) -> dict[str, Any]:
    """Return what Turi Create's worker trains."""
    command = [str(python), "-I", str(TURICREATE_WORKER)]
    ended = supervise(command, folder=folder, request=request(folder, problem))
    assert ended.result is not None, ended.log_tail
    names = ("coefficients", "predicted", "test_accuracy", "solver", "solver_status", "solver_iterations")
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in ended.result["iterations"]]
    return {"iterations": rows, **{name: ended.result[name] for name in names}}


if __name__ == "__main__":
    turicreate = ensure_environment(TURICREATE, cache_folder(), print)
    results = {}
    for name, problem in GOLDEN.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = turicreate_result(turicreate, Path(folder), problem)
    GOLDEN_FILE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
