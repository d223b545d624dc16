"""The engine ``builtin``: Turi Create's solver in NumPy, on any platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coremlbench.createml.engines.protocol import Setup
from coremlbench.createml.extractors import EXTRACTORS
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import RunContext
from coremlbench.runs import resume_data
from coremlbench.types.errors import InputError
from coremlbench.types.process import Exit
from coremlbench.types.training_records import TrainingRecord


@dataclass(frozen=True)
class BuiltinEngine:
    """A ``FeatureEngine``: the logistic regression of ``createml.solver``.

    It needs neither Turi Create nor its environment. The pipeline runs the networks of Turi Create's extractors, and
    Core ML those that are part of macOS.
    """

    name: str = "builtin"
    trains_on: Literal["features"] = "features"
    tools: tuple[str, ...] = ()
    extractors: tuple[str, ...] = tuple(EXTRACTORS)
    core_ml: bool = True

    def check(self, options: CreateMLOptions) -> None:
        """Check that the settings do not ask for Turi Create's extraction.

        Raises:
            InputError: they do.
        """
        if options.extraction == "turicreate":
            raise InputError(
                "--extraction turicreate needs Turi Create, which --engine builtin does without; leave one of them out."
            )

    def fit(
        self,
        run: RunContext,
        setup: Setup,  # noqa: ARG002  one signature for all engines
        request: Mapping[str, Any],
        *,
        stage: str = "train",
    ) -> Exit:
        """Train in a worker of our own Python, from the state that a resumed run had reached; see ``FeatureEngine``."""
        folder = run.folder / resume_data.RESUME_DIR
        if stage != "train" or not folder.is_dir():  # features that Turi Create extracted are not kept
            folder = run.work
        state = folder / resume_data.SOLVER_STATE_FILE
        return run.run_worker(stage, {**request, "state": str(state)}, module="train_builtin")

    def notes(self, record: TrainingRecord) -> tuple[str, ...]:  # noqa: ARG002  one signature for all engines
        """Return no notes."""
        return ()
