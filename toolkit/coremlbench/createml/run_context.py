"""What the stages of one Create ML run share: settings, folders, and how their worker processes are started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.turicreate_environment import CHILD_ENVIRONMENT
from coremlbench.runs.stages import Stages
from coremlbench.runs.steps import worker
from coremlbench.types.data import LabelledImage
from coremlbench.types.process import Exit

TURICREATE_WORKER = Path(__file__).parent.parent / "workers" / "turicreate.py"

SILENCE = {
    "setup": 1800.0,  # one download of 600 MB
    "data": 300.0,
    "extract": 300.0,
    "turicreate-extract": 300.0,  # the first batch waits for TensorFlow to start
    "train": 1200.0,  # the solver prints its first iterations and then about every tenth
    "verify": 1200.0,
    "export": 300.0,
    "link": 300.0,
    "createml": 1200.0,  # how often Create ML reports its progress is not documented
}
"""Seconds without progress after which a stage counts as hung."""

WorkerCommand = Callable[[str], Sequence[str]]

Parts = Mapping[str, Sequence[LabelledImage]]
"""The images of a run by part: "train", "validation" and "test"."""


@dataclass(frozen=True)
class RunContext:
    """One Create ML run: its settings, its folder, the cache for downloads, and its stages.

    ``worker`` returns the command line of a worker by its name; tests pass workers whose Core ML is a stand-in.
    """

    options: CreateMLOptions
    folder: Path
    cache: Path
    stages: Stages
    worker: WorkerCommand = worker

    @property
    def work(self) -> Path:
        """Return the folder for the run's temporary files."""
        return self.stages.work

    def run_worker(self, stage: str, request: Mapping[str, Any], *, module: str = "") -> Exit:
        """Run the worker named like the stage, or the one in ``module`` of ``workers``, and return how it ended.

        Raises:
            StageFailedError: the worker failed.
        """
        return self.stages.run(stage, self.worker(module or stage), request, silence=SILENCE[stage])

    def run_turicreate(self, stage: str, python: str, request: Mapping[str, Any]) -> Exit:
        """Run a task of Turi Create's worker in its own Python, and return how it ended.

        Raises:
            StageFailedError: the worker failed.
        """
        command = [python, "-I", str(TURICREATE_WORKER)]
        return self.stages.run(stage, command, request, silence=SILENCE[stage], environment=CHILD_ENVIRONMENT)
