"""Run a worker that handles packages one by one, so that a crash in one package does not lose the others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.options import RequestedPackage
from coremlbench.conversion.package_results import CONVERSION_SUFFIX, PROOF_SUFFIX, write_result
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.runs.steps import worker
from coremlbench.system import serialization
from coremlbench.types.process import Exit

SILENCE_LIMITS = {"data": 300.0, "convert": 900.0, "prove": 900.0}
"""Seconds without progress after which a stage is stopped; coremltools is silent while it optimises a large network."""

STOPPED_KINDS = ("interrupted", "deadline")
"""Kinds of failures that end the conversion of the whole model, not only of a variant."""


@dataclass(frozen=True)
class PackageStage:
    """A stage whose worker handles one package after the other and writes a result file with ``suffix`` for each.

    A crash in one of ``phases`` concerns the package that the worker was handling; any other crash the whole stage.
    """

    name: str
    worker: str
    suffix: str
    phases: tuple[str, ...]


CONVERT = PackageStage("convert", "convert", CONVERSION_SUFFIX, ("convert", "calibrate"))
PROVE = PackageStage("prove", "proof", PROOF_SUFFIX, ("prove",))


def run_isolating_crashes(
    stage: PackageStage, packages: Sequence[RequestedPackage], request: Mapping[str, Any], stages: Stages
) -> Exit:
    """Run a worker until every package has a result file; a crash becomes the result of the package at work.

    Returns the exit of the last worker, with the seconds of all workers and the highest peak of memory.

    Raises:
        StageFailedError: the stage was stopped, or failed for a reason that concerns no single package.
    """
    exits: list[Exit] = []
    while True:
        name = f"{stage.name}-{len(exits) + 1}" if exits else stage.name
        try:
            exits.append(stages.run(name, worker(stage.worker), request, silence=SILENCE_LIMITS[stage.name]))
            return replace(
                exits[-1],
                seconds=sum(ended.seconds for ended in exits),
                peak_bytes=max(ended.peak_bytes for ended in exits),
            )
        except StageFailedError as failed:
            exits.append(failed.ended)
            crashed = _package_at_work(stage, packages, failed)
            if crashed is None:
                raise
            if stage is CONVERT:
                shutil.rmtree(crashed.path, ignore_errors=True)
            write_result(crashed.path, stage.suffix, {"failure": serialization.to_json(failed.failure)})


def _package_at_work(
    stage: PackageStage, packages: Sequence[RequestedPackage], failed: StageFailedError
) -> RequestedPackage | None:
    """Return the package that a crashed worker was handling, ``None`` when the failure concerns no single package."""
    if failed.ended.phase not in stage.phases or failed.failure.kind in STOPPED_KINDS:
        return None
    return next((package for package in packages if not Path(f"{package.path}{stage.suffix}").is_file()), None)
