"""What a matrix times, and how: the settings, the packages, and the cells that can run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coremlbench.system.files import slug
from coremlbench.types.conversion import Variant, VariantName
from coremlbench.types.timing import Measurement, RuntimeName, TimedModel, UnitName

ORIGINAL: VariantName = "as-is"
"""The variant of a cell of TensorFlow: it runs the network that the packages were converted from, not a package."""


@dataclass(frozen=True)
class TimingOptions:
    """How much is measured of each cell; empty ``runtimes`` and ``units`` mean all that can run here.

    Every process warms up for at least ``warmup_calls`` and ``warmup_seconds``, then times at least ``calls`` and
    ``seconds``, going through ``samples`` different inputs. No further round begins once those before took ``budget``
    seconds of processes. ``sustain`` adds a process for each cell that runs for so many seconds on end. ``timeout`` is
    for the whole matrix, ``silence`` and ``memory_limit`` for each process. ``allow_code`` lets an original bring code
    of its own.
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


FULL = TimingOptions()
QUICK = TimingOptions(rounds=2, calls=50, seconds=1.0, warmup_calls=5, warmup_seconds=0.2, budget=50.0, quick=True)
"""A first look: enough to see figures, too little to tell small differences from noise."""


@dataclass(frozen=True)
class Package:
    """A package ready to be timed, and the files on this machine that go with it.

    ``original`` is the network it was converted from, as Keras saved it. ``inputs`` and ``expected`` come with a kit;
    without them they are made from the package itself.
    """

    model: str
    variant: Variant
    path: Path
    original: Path | None = None
    inputs: Path | None = None
    expected: Path | None = None


@dataclass(frozen=True)
class Subject:
    """All that a matrix times: the models as they are recorded, and their packages. ``kit`` is its hash, if any."""

    models: tuple[TimedModel, ...]
    packages: tuple[Package, ...]
    kit: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix, by its place among the measurements."""

    index: int
    package: Package
    runtime: RuntimeName
    unit: UnitName

    @property
    def variant(self) -> VariantName:
        """Return what is timed of the model."""
        return ORIGINAL if self.runtime == "tensorflow" else self.package.variant.name

    @property
    def slug(self) -> str:
        """Return a name for the files of this cell; it holds nothing that a path could be made of."""
        parts = (self.package.model, self.variant, self.package.variant.batch, self.runtime, self.unit)
        return f"{self.index:03d}-{file_stem(*parts)}"

    @property
    def title(self) -> str:
        """Return what people see."""
        batch = f" batch {self.package.variant.batch}" if self.package.variant.batch > 1 else ""
        variant = "original" if self.runtime == "tensorflow" else self.variant
        return f"{self.package.model} {variant}{batch}, {self.runtime} {self.unit}"


@dataclass(frozen=True)
class Plan:
    """All packages of a matrix, its cells in the order of its measurements, and what cannot run here (sentences)."""

    packages: tuple[Package, ...]
    cells: tuple[Cell, ...]
    not_here: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Units = dict[RuntimeName, tuple[UnitName, ...]]
WhyNotHere = Callable[[RuntimeName, UnitName], str]


def plan_cells(packages: Sequence[Package], options: TimingOptions, units: Units, why_not_here: WhyNotHere) -> Plan:
    """Return the cells that can run here: every package on every unit that was asked for.

    ``units`` are all that each runtime has; ``why_not_here`` tells in a sentence why one cannot run, "" when it can.
    TensorFlow runs a model's original, once for each batch, whatever the variants.
    """
    wanted = asked_for(options, units, why_not_here)
    cells: dict[tuple[Any, ...], Cell] = {}
    without: dict[str, None] = {}
    for package in packages:
        for (runtime, unit), reason in wanted.items():
            if reason:
                continue
            if runtime == "tensorflow" and package.original is None:
                without[package.model] = None
                continue
            cell = Cell(len(cells), package, runtime, unit)
            cells.setdefault((package.model, cell.variant, package.variant.batch, runtime, unit), cell)
    notes = [f"{model} has no original that TensorFlow can load, so TensorFlow was not timed." for model in without]
    return Plan(
        tuple(packages),
        tuple(cells.values()),
        tuple(dict.fromkeys(reason for reason in wanted.values() if reason)),
        tuple(notes),
    )


def asked_for(
    options: TimingOptions, units: Units, why_not_here: WhyNotHere
) -> dict[tuple[RuntimeName, UnitName], str]:
    """Return the units that were asked for, each with the sentence on why it cannot run here, "" when it can."""
    return {
        (runtime, unit): why_not_here(runtime, unit)
        for runtime in (options.runtimes or tuple(units))
        for unit in units[runtime]
        if not options.units or unit in options.units
    }


def measurements_of(cells: Sequence[Cell], models: Sequence[TimedModel]) -> tuple[Measurement, ...]:
    """Return the cells as they are recorded before the first round."""
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
    """Return in words where less is measured than the method asks for."""
    words = {
        "rounds": "{} rounds",
        "calls": "at least {} calls",
        "seconds": "at least {:g} s a round",
        "warmup_calls": "warm-up of {} calls",
        "warmup_seconds": "warm-up of {:g} s",
    }
    given, full = asdict(options), asdict(FULL)
    found = [text.format(given[name]) for name, text in words.items() if given[name] < full[name]]
    found = ["1 round" if each == "1 rounds" else each for each in found]
    return (*(["quick"] if options.quick else []), *found)


def file_stem(*parts: Any) -> str:
    """Return the parts as a file's name without its suffix."""
    return "_".join(slug(str(part)) for part in parts)
