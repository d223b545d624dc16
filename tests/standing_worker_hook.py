"""Imported by the fork server's groups: forked workers stand at the points that ``POINTS_VARIABLE`` names, if any."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from coremlbench.supervision import worker_main
from tests.standing_worker import POINTS_VARIABLE, standing_work

run_worker = worker_main.run


def run(work: worker_main.Work, **settings: Any) -> NoReturn:
    """Run a worker as ``worker_main.run`` does, with the points of its environment."""
    points = os.environ.get(POINTS_VARIABLE)
    spec = sys.modules["__main__"].__spec__
    if points and spec is not None:
        work = standing_work(work, Path(points), spec.name)
    run_worker(work, **settings)


worker_main.run = run
