"""The verification of a Create ML run: the other solver trains on the same features, and both results are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coremlbench.createml.augmentation import copies_per_image
from coremlbench.createml.engines.builtin import BuiltinEngine
from coremlbench.createml.engines.protocol import Engine, FeatureEngine, Setup
from coremlbench.createml.engines.turicreate import TuriCreateEngine, why_unavailable
from coremlbench.createml.extraction_stage import Features
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.createml.solver.agreement import solver_agreement
from coremlbench.createml.train_stage import train_request
from coremlbench.runs.stages import StageFailedError
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.types.training_records import SolverAgreement, TrainingRecord

STAGE = "verify"


def verification_tools(options: CreateMLOptions, engine: Engine) -> tuple[str, ...]:
    """Return the tools that the verification needs besides the engine's own; the run goes on without them."""
    if not options.verify or why_unavailable():
        return ()
    return tuple(tool for tool in TuriCreateEngine().tools if tool not in engine.tools)


def verify_classifier(
    run: RunContext,
    record: TrainingRecord,
    engine: FeatureEngine,
    setup: Setup,
    parts: Parts,
    features: Features,
    trained: Mapping[str, Any],
) -> TrainingRecord:
    """Return the record with the agreement of both solvers, or with why the other one did not train.

    Raises:
        StageFailedError: the user interrupted the stage; after any other failure the run goes on.
    """
    other: FeatureEngine = TuriCreateEngine() if engine.name == BuiltinEngine().name else BuiltinEngine()
    reason = _why_not(other, setup)
    if not reason:
        try:
            ended = other.fit(run, setup, train_request(run, parts, features), stage=STAGE)
        except StageFailedError as failed:
            if failed.failure.kind == "interrupted":
                raise
            reason = failed.failure.reason
        else:
            rows = len(parts["train"]) * copies_per_image(run.options.augment)
            agreement = solver_agreement(other.name, trained, result_of(ended), rows)
            return with_phase(replace(record, verification=agreement), ended, STAGE, rows)
    return replace(record, verification=SolverAgreement(engine=other.name, reason=reason))


def _why_not(other: FeatureEngine, setup: Setup) -> str:
    """Return why the other engine cannot train here; "" when it can."""
    missing = [setup.missing.get(tool) or why_unavailable() for tool in other.tools if tool not in setup.tools]
    return missing[0] if missing else ""
