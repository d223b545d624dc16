"""The engine ``createml``: Apple's Create ML itself, which is part of macOS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coremlbench.createml.engines.protocol import Save, Setup
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.types.data import ImageSet
from coremlbench.types.errors import InputError
from coremlbench.types.training_records import TrainingRecord

UNAVAILABLE = "Create ML is part of macOS, and this release cannot start it yet; use --engine builtin or turicreate."


@dataclass(frozen=True)
class CreateMLEngine:
    """An ``ImageEngine``: Create ML extracts, trains, evaluates and saves the model by itself."""

    name: str = "createml"
    trains_on: Literal["images"] = "images"
    tools: tuple[str, ...] = ()
    extractors: tuple[str, ...] = ("VisionFeaturePrint_Scene",)

    def check(self, options: CreateMLOptions) -> None:  # noqa: ARG002  one signature for all engines
        """Raise ``InputError``: it cannot be started yet."""
        raise InputError(UNAVAILABLE)

    def train(
        self,
        run: RunContext,  # noqa: ARG002
        record: TrainingRecord,  # noqa: ARG002
        setup: Setup,  # noqa: ARG002
        images: ImageSet,  # noqa: ARG002
        parts: Parts,  # noqa: ARG002
        save: Save,  # noqa: ARG002
    ) -> TrainingRecord:
        """Raise ``InputError``: it cannot be started yet."""
        raise InputError(UNAVAILABLE)
