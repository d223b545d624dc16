"""What runs the workers of a matrix: Python's, or the native runner for Core ML's cells."""

from __future__ import annotations

from pathlib import Path

from coremlbench.runs.stages import Stages
from coremlbench.timing.available_units import MachineCapabilities
from coremlbench.timing.native_program import ensure_native_runner
from coremlbench.timing.native_rounds import NativeRoundRunner
from coremlbench.timing.plan import TimingOptions
from coremlbench.timing.rounds import RoundRunner


def round_runner(
    folder: Path, stages: Stages, options: TimingOptions, capabilities: MachineCapabilities
) -> RoundRunner:
    """Return what runs the workers of a matrix, as this machine's capabilities and the options say.

    Raises:
        InputError: the native runner was asked for, and there is none on this machine.
    """
    runner = RoundRunner(
        folder,
        stages,
        options,
        capabilities.worker,
        stand_in=capabilities.stand_in,
        read_clocks=capabilities.read_clocks,
    )
    return NativeRoundRunner(**vars(runner), program=ensure_native_runner()) if options.runner == "native" else runner
