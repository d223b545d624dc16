"""The plans of conversions, and of matrices of their packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from coremlbench.conversion.convert_model import needed_images
from coremlbench.conversion.job import check_options, display_name
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import PACKAGE_FORMATS
from coremlbench.conversion.variants import find_variants
from coremlbench.plans.durations import estimate
from coremlbench.plans.needs import DRAWN_IMAGE_BYTES, dataset_downloads, free_bytes, missing_images
from coremlbench.plans.types import Plan, PlannedRun
from coremlbench.system.files import folder_bytes, slug
from coremlbench.system.formatting import format_bytes, format_count, format_seconds
from coremlbench.timing.available_units import MachineCapabilities
from coremlbench.timing.kit import Kit
from coremlbench.timing.plan import TimedPackage, TimingOptions, plan_cells
from coremlbench.timing.sweep import split_shape
from coremlbench.types.conversion import ModelSource, UnopenedModel, Variant
from coremlbench.types.records import Record

SAMPLE_BYTES = 16
"""Of one timed call: two float64."""
COMPARED_WITH_TENSORFLOW = ("keras", "h5", "keras-2")

Sources = Sequence[ModelSource | UnopenedModel]


def plan_conversions(
    sources: Sources, options: ConvertOptions, *, results: Path, cache: Path, records: Sequence[Record], machine: str
) -> Plan:
    """Return the plan of conversions of these models. ``records`` are past runs, ``machine`` is this machine's id.

    Raises:
        InputError: an option is wrong.
    """
    check_options(options)
    runs = tuple(_conversion(source, options, records, machine) for source in sources)
    downloads: list[str] = []
    notes: list[str] = []
    if options.data:
        training, test = needed_images(options)
        drawn = missing_images(options.data, training + test, cache)
        downloads += dataset_downloads([options.data], list(options.sources), cache)
        if drawn:
            size = format_bytes(drawn * DRAWN_IMAGE_BYTES)
            notes.append(f"{format_count(drawn, 'image')} are drawn first ({size} in the cache).")
    if len(runs) > 1:
        notes.append("Models are converted in parallel as far as cores and memory allow, so that it takes less time.")
    notes.append("Packages that are in the cache already are taken from there.")
    return Plan("convert", runs, str(results), free_bytes(results), tuple(downloads), tuple(notes))


def _conversion(
    source: ModelSource | UnopenedModel, options: ConvertOptions, records: Sequence[Record], machine: str
) -> PlannedRun:
    if isinstance(source, UnopenedModel):
        return PlannedRun(display_name(source), f"cannot be opened: {source.failure.reason}", seconds=0.0)
    variants = planned_variants(source, options)
    names = ", ".join(dict.fromkeys(variant.name for variant in variants)) or "nothing"
    batches = f" in batches of {', '.join(map(str, options.batches))}" if options.batches != (1,) else ""
    verb = f"compare {Path(options.check).name}" if options.check else f"make and prove {names}{batches}"
    experiment = slug(source.experiment or source.name)
    time = estimate(
        records, kind="conversion", experiment=experiment, machine=machine, size=max(1, len(variants)), unit="package"
    )
    return PlannedRun(
        name=_planned_name(source),
        work=f"{verb}, on {format_count(options.images, 'sample')}",
        images=sum(needed_images(options)) if options.data else 0,
        disk_bytes=_model_bytes(source) * max(1, len(variants)),
        seconds=time.seconds,
        time_basis=time.basis,
    )


def _planned_name(source: ModelSource) -> str:
    """Return the name of a model in a plan: that of its file, with the shape where it is one of several."""
    _, shape = split_shape(source.name)
    return f"{display_name(source)} {shape}".rstrip()


def planned_variants(source: ModelSource, options: ConvertOptions) -> list[Variant]:
    """Return the variants that a conversion makes of a model, without their figures."""
    if options.check:
        return [Variant("as-is", 0)]
    is_package = source.format in PACKAGE_FORMATS
    made = [Variant("as-is", 1)] if is_package else []
    for variant in find_variants(options.variants):
        if variant.compression or not is_package:
            made += [Variant(variant.name, batch) for batch in dict.fromkeys(options.batches)]
    return made


def _model_bytes(source: ModelSource) -> int:
    """Return the size of a model's file, which no package of it exceeds; 0 for one that is made first."""
    path = Path(source.path)
    if path.is_dir():
        return folder_bytes(path)
    return path.stat().st_size if path.is_file() else 0


def plan_matrix(
    sources: Sources,
    conversion: ConvertOptions,
    timing: TimingOptions,
    capabilities: MachineCapabilities,
    *,
    results: Path,
    cache: Path,
    records: Sequence[Record],
    machine: str,
) -> Plan:
    """Return the plan of a conversion of models and of the matrix that times their packages."""
    plan = plan_conversions(sources, conversion, results=results, cache=cache, records=records, machine=machine)
    packages = [
        TimedPackage(
            source.name,
            variant,
            Path(f"{source.name}-{variant.name}-{variant.batch}"),
            original=Path(source.path) if source.format in COMPARED_WITH_TENSORFLOW else None,
        )
        for source in sources
        if isinstance(source, ModelSource)
        for variant in planned_variants(source, conversion)
    ]
    matrix, notes = matrix_run(packages, timing, capabilities, records=records, machine=machine)
    return replace(plan, command="convert-and-time", runs=(*plan.runs, matrix), notes=(*plan.notes, *notes))


def plan_kit(
    kit: Kit,
    timing: TimingOptions,
    capabilities: MachineCapabilities,
    *,
    results: Path,
    cache: Path,  # noqa: ARG001 - all plans take the same
    records: Sequence[Record],
    machine: str,
) -> Plan:
    """Return the plan of a matrix of a kit's packages."""
    run, notes = matrix_run(kit.timing_input.packages, timing, capabilities, records=records, machine=machine)
    return Plan("convert-and-time", (run,), str(results), free_bytes(results), notes=notes)


def matrix_run(
    packages: Sequence[TimedPackage],
    timing: TimingOptions,
    capabilities: MachineCapabilities,
    *,
    records: Sequence[Record],
    machine: str,
) -> tuple[PlannedRun, tuple[str, ...]]:
    """Return the plan of a matrix of packages, and notes on what cannot run on this machine."""
    plan = plan_cells(packages, timing, capabilities.units, capabilities.reasons(timing.units))
    cells, rounds = len(plan.cells), timing.rounds * len(plan.cells)
    least = rounds * (timing.seconds + timing.warmup_seconds) + (timing.sustain or 0.0) * cells
    if timing.budget is not None:
        least = min(least, timing.budget)
    time = estimate(
        records, kind="timing", experiment="convert-and-time", machine=machine, size=max(1, rounds), unit="round"
    )
    run = PlannedRun(
        name="timing",
        work=f"{format_count(cells, 'cell')} × {format_count(timing.rounds, 'round')}, at least {timing.calls} calls "
        f"and {timing.seconds:g} s each: {format_seconds(least)} of calls alone",
        cells=cells,
        disk_bytes=rounds * timing.calls * SAMPLE_BYTES,
        seconds=time.seconds,
        time_basis=time.basis,
    )
    return run, (*plan.unavailable, *plan.notes)
