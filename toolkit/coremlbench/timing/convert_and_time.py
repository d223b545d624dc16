"""Convert models and time their packages, or time the packages of a kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.runs.lifecycle import INTERRUPTED
from coremlbench.types.process import Progress

if TYPE_CHECKING:
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.timing.available_units import MachineCapabilities
    from coremlbench.timing.kit import Kit
    from coremlbench.timing.matrix import OnRound
    from coremlbench.timing.plan import TimingInput, TimingOptions
    from coremlbench.types.conversion import ModelSource, UnopenedModel
    from coremlbench.types.timing import TimingRecord


@dataclass(frozen=True)
class ConvertedAndTimed:
    """The packages, the exit code of the conversions, and the matrix with its folder.

    ``timing`` is ``None`` when there was no package to time, or the conversions were interrupted.
    """

    timing_input: TimingInput
    exit_code: int
    timing: tuple[TimingRecord, Path] | None


def convert_and_time(
    models: Sequence[str],
    conversion: ConvertOptions,
    timing: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
    shapes: Sequence[tuple[int, ...]] = (),
    kit: Path | None = None,
) -> ConvertedAndTimed:
    """Convert models, and time the packages that are neither failed nor wrong. Without models, the defaults are taken.

    Each model is converted in each of ``shapes``, which are those of one input; with several they are in its name.

    Raises:
        InputError: a model cannot be used, nothing can run on this machine, or a folder cannot be used.
    """
    from coremlbench.conversion import job
    from coremlbench.timing.available_units import detect_units
    from coremlbench.timing.matrix import time_models
    from coremlbench.timing.packages import select_packages
    from coremlbench.timing.sweep import check_shapes, name_by_shape

    check_shapes(models, shapes)
    capabilities = detect_units()
    conversions = []
    exit_code = 0
    for shape in shapes or (conversion.input_shape,):
        sources, options = sources_to_convert(
            models, replace(conversion, input_shape=shape), timing, capabilities, results=results, kit=kit
        )
        conversions += job.convert_models(
            name_by_shape(sources, shape if len(shapes) > 1 else None),
            options,
            results=results,
            command=command,
            on_progress=on_progress,
        )
        exit_code = job.conversion_exit_code([record for record, _ in conversions])
        if exit_code == INTERRUPTED:
            break
    timing_input = select_packages(conversions)
    if not timing_input.packages or exit_code == INTERRUPTED:
        return ConvertedAndTimed(timing_input, exit_code, None)
    timed = time_models(
        timing_input,
        timing,
        results=results,
        command=command,
        on_progress=on_progress,
        capabilities=capabilities,
        on_round=on_round,
        kit=kit,
    )
    return ConvertedAndTimed(timing_input, exit_code, timed)


def sources_to_convert(
    models: Sequence[str],
    conversion: ConvertOptions,
    timing: TimingOptions,
    capabilities: MachineCapabilities,
    *,
    results: Path,
    kit: Path | None,
) -> tuple[Sequence[ModelSource | UnopenedModel], ConvertOptions]:
    """Return the models to convert, the defaults where none is named, and the options of their conversion.

    Raises:
        InputError: a model cannot be used, nothing can run on this machine, or the folder of the kit cannot be used.
    """
    from coremlbench.conversion import job, sources
    from coremlbench.timing.matrix import check_machine

    check_machine(timing, kit, capabilities)
    conversion = replace(conversion, only_core_ml=kit is not None or _has_core_ml(timing, capabilities))
    job.check_options(conversion)
    requested = sources.resolve_models(models, results=results, options=conversion)
    defaults = sources.default_sources
    return requested or defaults(results, timing.seed, only_core_ml=conversion.only_core_ml), conversion


def _has_core_ml(timing: TimingOptions, capabilities: MachineCapabilities) -> bool:
    """Return whether Core ML is to be timed on this machine."""
    from coremlbench.timing.plan import requested_units

    requested = requested_units(timing, capabilities.units, capabilities.reasons(timing.units))
    return any(runtime == "coreml" and not reason for (runtime, _), reason in requested.items())


def time_kit(
    kit: Kit,
    timing: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the matrix of a kit's packages on this machine, and the folder that holds it.

    Raises:
        InputError: none of the packages can run on this machine, or the results folder cannot be used.
    """
    from coremlbench.timing.available_units import detect_units
    from coremlbench.timing.matrix import time_models

    return time_models(
        kit.timing_input,
        timing,
        results=results,
        command=command,
        on_progress=on_progress,
        capabilities=detect_units(),
        on_round=on_round,
    )
