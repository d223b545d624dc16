"""The engine ``turicreate``: Turi Create 6.4.1 in its own Python environment."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coremlbench.createml.engines.protocol import Setup
from coremlbench.createml.extractors import AUTOMATIC, SCENE_PRINT_2
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import RunContext
from coremlbench.types.errors import InputError
from coremlbench.types.process import Exit
from coremlbench.types.training_records import TrainingRecord


@dataclass(frozen=True)
class TuriCreateEngine:
    """A ``FeatureEngine``: Turi Create's ``logistic_classifier``, as its ``image_classifier`` calls it."""

    name: str = "turicreate"
    trains_on: Literal["features"] = "features"
    tools: tuple[str, ...] = ("turicreate",)
    extractors: tuple[str, ...] = AUTOMATIC
    core_ml: bool = False

    def check(self, options: CreateMLOptions) -> None:
        """Check that there is a Turi Create for this machine, and that it knows the extractor.

        Raises:
            InputError: there is none, or it does not.
        """
        if options.extractor == SCENE_PRINT_2:
            raise InputError(
                f"Turi Create does not know {SCENE_PRINT_2}; use --engine builtin, which trains the same classifier."
            )
        reason = why_unavailable()
        if reason:
            raise InputError(f"{reason}; use --engine builtin, which trains the same classifier.")

    def fit(self, run: RunContext, setup: Setup, request: Mapping[str, Any], *, stage: str = "train") -> Exit:
        """Train in Turi Create's own Python; see ``FeatureEngine``."""
        return run.run_turicreate(stage, setup.tools["turicreate"], request)

    def notes(self, record: TrainingRecord) -> tuple[str, ...]:
        """Return a note if Turi Create ran under Rosetta."""
        if record.machine.architecture == "arm64" and record.versions["turicreate architecture"] == "x86_64":
            return ("Turi Create ran under Rosetta: it has no build for Apple silicon.",)
        return ()


def why_unavailable() -> str:
    """Return why Turi Create cannot run here, as the beginning of a sentence; "" when it can.

    On Apple silicon it can, under Rosetta.
    """
    if platform.system() == "Darwin" or platform.machine() in ("x86_64", "AMD64"):
        return ""
    return f"There is no Turi Create for {platform.machine()}"


def runs_natively() -> bool:
    """Return whether there is a Turi Create for this machine's own processor."""
    return platform.system() in ("Linux", "Darwin") and platform.machine() in ("x86_64", "AMD64")
