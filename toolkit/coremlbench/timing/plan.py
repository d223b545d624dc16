"""What a timing matrix measures and how: its settings, its packages, and the cells that can run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coremlbench.system.files import slug
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import NO_FILE_OPTIONS, ModelFileOptions, Variant, VariantName
from coremlbench.types.timing import Measurement, RunnerName, RuntimeName, TimedModel, UnitName

ORIGINAL: VariantName = "as-is"
"""The variant of a TensorFlow cell: it runs the network that the packages were converted from, not a package."""


@dataclass(frozen=True)
class TimingOptions:
    """How much is measured of each cell. Empty ``runtimes`` and ``units`` mean all that can run on this machine.

    Every process warms up for at least ``warmup_calls`` and ``warmup_seconds``, then times at least ``calls`` and
    ``seconds``, cycling through ``samples`` different inputs. No further round starts once the processes of earlier
    rounds took ``budget`` seconds in total. ``sustain`` adds one process for each cell that calls the model for that
    many seconds without a pause. ``timeout`` limits the whole matrix; ``silence`` and ``memory_limit`` limit each
    process. ``allow_code`` lets an original model file run code of its own. ``runner`` times Core ML's cells.
    ``native_kit`` packs a kit for the native runner, without Python.
    """

    rounds: int = 5
    calls: int = 200
    seconds: float = 5.0
    warmup_calls: int = 20
    warmup_seconds: float = 1.0
    samples: int = 8
    budget: float | None = None
    quick: bool = False
    runtimes: tuple[RuntimeName, ...] = ()
    units: tuple[UnitName, ...] = ()
    seed: int = 0
    sustain: float | None = None
    timeout: float | None = None
    silence: float | None = None
    memory_limit: int | None = None
    allow_code: bool = False
    runner: RunnerName = "python"
    native_kit: bool = False


FULL = TimingOptions()
QUICK = TimingOptions(rounds=2, calls=50, seconds=1.0, warmup_calls=5, warmup_seconds=0.2, budget=50.0, quick=True)
"""The settings of ``--quick``: enough for a first look, too little to tell small differences from noise."""


@dataclass(frozen=True)
class TimedPackage:
    """A package to be timed, and the files on this machine that belong to it.

    ``original`` is the network it was converted from, as Keras saved it, and ``file_options`` tell how it was opened.
    ``inputs`` and ``expected`` are ``.npz`` files; a kit brings them, otherwise they are made from the package itself.
    """

    model: str
    variant: Variant
    path: Path
    original: Path | None = None
    inputs: Path | None = None
    expected: Path | None = None
    file_options: ModelFileOptions = NO_FILE_OPTIONS


@dataclass(frozen=True)
class TimingInput:
    """All that a matrix times: the models as recorded, and their packages. ``kit`` is the kit's SHA-256, if any."""

    models: tuple[TimedModel, ...]
    packages: tuple[TimedPackage, ...]
    kit: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix; ``index`` is its position among the record's measurements."""

    index: int
    package: TimedPackage
    runtime: RuntimeName
    unit: UnitName

    @property
    def variant(self) -> VariantName:
        """Return the variant that is timed; ``ORIGINAL`` for TensorFlow."""
        return ORIGINAL if self.runtime == "tensorflow" else self.package.variant.name

    @property
    def slug(self) -> str:
        """Return a file name for this cell, without any character that could form a path."""
        parts = (self.package.model, self.variant, self.package.variant.batch, self.runtime, self.unit)
        return f"{self.index:03d}-{file_stem(*parts)}"

    @property
    def title(self) -> str:
        """Return the name that users see."""
        batch = f" batch {self.package.variant.batch}" if self.package.variant.batch > 1 else ""
        variant = "original" if self.runtime == "tensorflow" else self.variant
        return f"{self.package.model} {variant}{batch}, {self.runtime} {self.unit}"


@dataclass(frozen=True)
class MatrixPlan:
    """The packages of a matrix and its cells, in the order of the record's measurements.

    ``unavailable`` holds a sentence for each unit that cannot run on this machine.
    """

    packages: tuple[TimedPackage, ...]
    cells: tuple[Cell, ...]
    unavailable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Units = dict[RuntimeName, tuple[UnitName, ...]]
UnavailableReason = Callable[[RuntimeName, UnitName], str]
"""Returns a sentence that says why a unit cannot be used on this machine, "" when it can."""


def plan_cells(
    packages: Sequence[TimedPackage], options: TimingOptions, units: Units, unavailable_reason: UnavailableReason
) -> MatrixPlan:
    """Return the cells that can run on this machine: every package on every requested unit.

    ``units`` lists all units of each runtime. TensorFlow runs a model's original: one cell for each batch size,
    whatever the variants.
    """
    requested = requested_units(options, units, unavailable_reason)
    cells: dict[tuple[Any, ...], Cell] = {}
    without_original: dict[str, None] = {}
    only_core_ml: dict[str, None] = {}
    for package in packages:
        for (runtime, unit), reason in requested.items():
            if reason:
                continue
            if package.variant.only_core_ml and runtime != "coreml":
                only_core_ml[package.model] = None
                continue
            if runtime == "tensorflow" and package.original is None:
                without_original[package.model] = None
                continue
            cell = Cell(len(cells), package, runtime, unit)
            cells.setdefault((package.model, cell.variant, package.variant.batch, runtime, unit), cell)
    return MatrixPlan(
        packages=tuple(packages),
        cells=tuple(cells.values()),
        unavailable=tuple(dict.fromkeys(reason for reason in requested.values() if reason)),
        notes=(
            *(
                f"{model} has no original that TensorFlow can load, so TensorFlow was not timed."
                for model in without_original
            ),
            *(f"Only Core ML executes {model}, so no other runtime was timed." for model in only_core_ml),
        ),
    )


def requested_units(
    options: TimingOptions, units: Units, unavailable_reason: UnavailableReason
) -> dict[tuple[RuntimeName, UnitName], str]:
    """Return the requested units, each with the reason why it cannot run on this machine, "" when it can."""
    return {
        (runtime, unit): unavailable_reason(runtime, unit)
        for runtime in (options.runtimes or tuple(units))
        for unit in units[runtime]
        if not options.units or unit in options.units
    }


def unproven_notes(models: Sequence[TimedModel]) -> tuple[str, ...]:
    """Return the notes on models that only Core ML executes, which are timed without a proof of the whole."""
    return tuple(
        f"{model.name}: {note}"
        for model in models
        for variant in model.variants
        if variant.only_core_ml
        for note in (*variant.notes, *([f"not judged: {variant.proof.reason}"] if variant.proof else []))
    )


def initial_measurements(cells: Sequence[Cell], models: Sequence[TimedModel]) -> tuple[Measurement, ...]:
    """Return one measurement without rounds for each cell, in the same order."""
    sources = {model.name: model.source for model in models}
    return tuple(
        Measurement(
            model=cell.package.model,
            variant=cell.variant,
            batch=cell.package.variant.batch,
            runtime=cell.runtime,
            unit=cell.unit,
            package_sha256=sources[cell.package.model].sha256
            if cell.runtime == "tensorflow"
            else cell.package.variant.sha256,
        )
        for cell in cells
    )


def deviations_of(options: TimingOptions) -> tuple[str, ...]:
    """Return a phrase for each setting that measures less than the full method, ``quick`` first."""
    phrases_by_name = {
        "rounds": format_count(options.rounds, "round"),
        "calls": f"at least {format_count(options.calls, 'call')}",
        "seconds": f"at least {options.seconds:g} s a round",
        "warmup_calls": f"warm-up of {format_count(options.warmup_calls, 'call')}",
        "warmup_seconds": f"warm-up of {options.warmup_seconds:g} s",
    }
    values, full = asdict(options), asdict(FULL)
    phrases = [phrase for name, phrase in phrases_by_name.items() if values[name] < full[name]]
    return (*(["quick"] if options.quick else []), *phrases)


def file_stem(*parts: Any) -> str:
    """Return the parts joined to a file name without a suffix."""
    return "_".join(slug(str(part)) for part in parts)
