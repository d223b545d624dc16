"""What the gate compares: the timed cells and the packages of saved records, one side of the comparison each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from coremlbench.runs import store
from coremlbench.runs.lookup import find_run, run_ids
from coremlbench.system.advised_commands import advised_command
from coremlbench.types.conversion import ConversionRecord, Variant
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record
from coremlbench.types.timing import Measurement, Round, RunnerName, TimingRecord


class PackageName(NamedTuple):
    """What a package is called on both sides."""

    model: str
    variant: str
    batch: int

    def __str__(self) -> str:
        """Return "lenet fp16", with the batch size unless it is 1."""
        return f"{self.model} {self.variant}" + (f", batch {self.batch}" if self.batch != 1 else "")


class CellName(NamedTuple):
    """What a cell is called on both sides. ``stand_in`` keeps figures of the tests' Core ML apart from Core ML's."""

    machine: str
    stand_in: bool
    package: PackageName
    runtime: str
    unit: str
    runner: RunnerName


@dataclass(frozen=True)
class TimedCell:
    """A cell as one record has it."""

    record: TimingRecord
    cell: Measurement

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Return the rounds that have a median, in the order in which they ran."""
        finished = (timed for timed in self.cell.rounds if timed.failure is None and timed.p50)
        return tuple(sorted(finished, key=lambda timed: timed.round))

    @property
    def medians(self) -> tuple[float, ...]:
        """Return the medians of these rounds in seconds."""
        return tuple(timed.p50 for timed in self.rounds if timed.p50)

    @property
    def failed(self) -> bool:
        """Return whether the cell has no figure that counts."""
        return self.cell.failure is not None or not self.rounds

    @property
    def failure_text(self) -> str:
        """Return why there is no figure."""
        failures = [timed.failure for timed in self.cell.rounds if timed.failure is not None]
        failure = self.cell.failure or (failures[-1] if failures else None)
        return f"{failure.kind}: {failure.reason}" if failure is not None else "no round has ended."


@dataclass(frozen=True)
class Side:
    """One side of the comparison: its cells, each in all runs that timed it, oldest first, and its packages."""

    name: str
    cells: dict[CellName, tuple[TimedCell, ...]]
    packages: dict[PackageName, Variant]


def side_of_records(name: str, records: Iterable[Record]) -> Side:
    """Return the side that records make up; of each package the newest record counts. Trainings are left out."""
    cells: dict[CellName, tuple[TimedCell, ...]] = {}
    packages: dict[PackageName, Variant] = {}
    for record in sorted(records, key=lambda record: (record.started, record.id)):
        if isinstance(record, ConversionRecord):
            model = record.source.name if record.source else record.experiment
            _add_packages(packages, model, record.variants)
        elif isinstance(record, TimingRecord):
            for timed_model in record.models:
                _add_packages(packages, timed_model.name, timed_model.variants)
            for cell in record.measurements:
                if cell.runtime != "tensorflow":  # it runs the original, not a package
                    package = PackageName(cell.model, cell.variant, cell.batch)
                    key = CellName(record.machine.id, cell.stand_in, package, cell.runtime, cell.unit, cell.runner)
                    cells[key] = (*cells.get(key, ()), TimedCell(record, cell))
    return Side(name, cells, packages)


def _add_packages(packages: dict[PackageName, Variant], model: str, variants: Sequence[Variant]) -> None:
    for variant in variants:
        if variant.failure is None:
            packages[PackageName(model, variant.name, variant.batch)] = variant


def rename_single_package(before: Side, after: Side) -> Side:
    """Return the side ``after`` with the name of its package from ``before`` where each side has one package.

    A new version of a file often has another name, and then there is no doubt what is to be compared.
    """
    names = [_package_names(side) for side in (before, after)]
    if any(len(set(packages)) != 1 for packages in names) or names[0] == names[1]:
        return after
    old, new = names[0][0], names[1][0]
    return replace(
        after,
        cells={name._replace(package=old): cells for name, cells in after.cells.items() if name.package == new},
        packages=dict.fromkeys([old], after.packages[new]) if new in after.packages else {},
    )


def _package_names(side: Side) -> list[PackageName]:
    return list(dict.fromkeys((*side.packages, *(name.package for name in side.cells))))


def read_records(name: str, results: Path) -> list[Record] | None:
    """Return the records that ``name`` means, or ``None`` if it is not the name of records.

    It is a ``run.json``, the folder of a run, the beginning of a run's id below ``results``, or a folder of runs.

    Raises:
        UnreadableRecordError: a record cannot be read.
        InputError: ``name`` is empty, the beginning of several ids, or a folder of runs of which none can be read.
    """
    if not name:
        raise InputError("--gate compares two records or packages, and the name of one is empty.")
    for path in (Path(name).expanduser(), results / name):
        if path.name == store.RECORD_FILE or (path / store.RECORD_FILE).is_file():
            return [store.load(path)]
        if path.is_dir() and any((folder / store.RECORD_FILE).is_file() for folder in path.iterdir()):
            records, problems = store.load_all(path)
            if not records:
                raise InputError(f"No run in {path} can be read. {problems[0]}")
            return records
    if any(run_id.startswith(name) for run_id in run_ids(results)):
        return [find_run(name, results)[0]]
    return None


def check_sides(before: Side, after: Side) -> None:
    """Check that something can be compared.

    Raises:
        InputError: a side has nothing, or the two have no package in common.
    """
    for side in (before, after):
        if not side.packages and not side.cells:
            command = advised_command("convert-and-time", "lenet")
            raise InputError(f"{side.name} holds no converted or timed model; `{command}` makes such a record.")
    names = [_package_names(side) for side in (before, after)]
    if not set(names[0]) & set(names[1]):
        listed = [", ".join(map(str, packages)) for packages in names]
        raise InputError(
            f"{before.name} and {after.name} have no package in common: there is {listed[0]} in the first, and "
            f"{listed[1]} in the second; name records of the same models."
        )
