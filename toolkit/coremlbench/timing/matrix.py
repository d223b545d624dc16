"""Run a matrix of packages, units and rounds. Each round of a cell is one process; the record is saved after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.runs.lifecycle import FAILED, Run, Save, exit_code_of, run_and_record
from coremlbench.runs.stages import Stages
from coremlbench.system import macos
from coremlbench.system.conditions import read_conditions
from coremlbench.system.files import hash_path
from coremlbench.system.formatting import format_bytes
from coremlbench.timing.available_units import MachineCapabilities
from coremlbench.timing.inputs import has_inputs, provide_inputs
from coremlbench.timing.kit import check_kit_folder, write_kit
from coremlbench.timing.large_models import large_model_note
from coremlbench.timing.native_kit import write_native_kit
from coremlbench.timing.native_program import ensure_native_runner
from coremlbench.timing.plan import (
    Cell,
    MatrixPlan,
    TimedPackage,
    TimingInput,
    TimingOptions,
    deviations_of,
    plan_cells,
    requested_units,
)
from coremlbench.timing.records import (
    add_compute_plan,
    add_notes,
    add_round,
    drop_rounds,
    has_round,
    is_given_up,
    is_over_budget,
    mark_stand_in,
    plan_record,
    replace_row,
    settle_cell,
    total_seconds,
)
from coremlbench.timing.round_runners import round_runner
from coremlbench.timing.rounds import MatrixStoppedError, RoundRunner, clock_failure, resume_hint
from coremlbench.types.conditions import UNKNOWN_CONDITIONS
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import Progress
from coremlbench.types.timing import Measurement, Round, Timed, TimingRecord
from coremlbench.types.training_records import Phase

EXPERIMENT = "convert-and-time"

MAX_ATTEMPTS = 3
"""How often one round of a cell is tried when the machine sleeps or its clock is set within it."""

OnRound = Callable[[Measurement, Round], None]


class MatrixProgress:
    """Reports the progress of the whole matrix; the messages of a worker are added to that of the current phase."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self._current = Progress("inputs", 0, 0)

    def update(self, phase: str, done: int, total: int, title: str = "") -> None:
        """Report which part of the matrix starts now."""
        self._current = Progress(phase, done, total, title)
        self._on_progress(self._current)

    def __call__(self, progress: Progress) -> None:
        """Report the progress of the current worker."""
        step = progress.message or progress.phase
        message = f"{self._current.message} ({step})" if self._current.message else step
        self._on_progress(replace(self._current, message=message, figures=progress.figures))


# --- a new matrix -------------------------------------------------------------------------------------------


def time_models(
    timing_input: TimingInput,
    options: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    capabilities: MachineCapabilities,
    on_round: OnRound | None = None,
    kit: Path | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the record of a whole matrix and the folder that holds it; ``on_round`` gets each round as it ends.

    ``kit`` is a new folder; the packages are packed there for another machine before the first round. With a kit, a
    matrix may have no cell that can run on this machine.

    Raises:
        InputError: nothing that was requested can run on this machine, or a folder cannot be used.
    """
    plan = plan_cells(timing_input.packages, options, capabilities.units, capabilities.reasons(options.units))
    check_machine(options, kit, capabilities)
    if not plan.cells and kit is None:
        only_core_ml = dict.fromkeys(package.model for package in plan.packages if package.variant.only_core_ml)
        if only_core_ml:
            raise InputError(
                f"Only Core ML executes {', '.join(only_core_ml)}, so that it is not judged and not timed here; add "
                "`--kit kit` to pack it for a Mac."
            )
        raise InputError(f"There is nothing to time. {' '.join(plan.notes)}")
    progress = MatrixProgress(on_progress)

    def work(record: TimingRecord, folder: Path, stages: Stages, save: Save[TimingRecord]) -> TimingRecord:
        runner = round_runner(folder, stages, options, capabilities)
        planned = plan_record(record, timing_input, plan, options)
        return MatrixRun(planned, plan, runner, save, progress, on_round, kit).run()

    locations = package_locations(timing_input, results, plan.unavailable, kit)
    return run_and_record(describe_run(options, command, plan, locations), work, results=results, on_progress=progress)


def check_machine(options: TimingOptions, kit: Path | None, capabilities: MachineCapabilities) -> None:
    """Check that something can be timed, or the kit's folder be used; called before conversions, which take long.

    Raises:
        InputError: no requested unit can run on this machine, the folder of the kit cannot be used, or the native
            runner was asked for and there is none.
    """
    if options.runner == "native":
        ensure_native_runner()
    if kit is not None:
        check_kit_folder(kit)
        return
    requested = requested_units(options, capabilities.units, capabilities.reasons(options.units))
    if not requested:
        raise InputError("No runtime that was asked for has a unit of that name; `--help` lists them.")
    if all(requested.values()):
        reasons = " ".join(dict.fromkeys(requested.values()))
        raise InputError(f"None of what was asked for can be timed on this machine. {reasons}")


def describe_run(
    options: TimingOptions, command: Sequence[str], plan: MatrixPlan, locations: dict[str, Any]
) -> Run[TimingRecord]:
    """Return the description of a run before it starts; ``locations`` is from ``package_locations``."""
    return Run(
        record_type=TimingRecord,
        experiment=EXPERIMENT,
        engine="+".join(dict.fromkeys(cell.runtime for cell in plan.cells)),
        options=asdict(options) | {"runtimes": list(options.runtimes), "units": list(options.units)} | locations,
        deviations=deviations_of(options),
        command=command,
        limits=options,
    )


def package_locations(
    timing_input: TimingInput, results: Path, unavailable: Sequence[str], kit: Path | None
) -> dict[str, Any]:
    """Return the recorded options that a resume needs: ``packages``, ``not_here`` and ``kit``.

    Paths below the results folder are relative to it, others are absolute. The record of a model has the hash of its
    original; for random weights that hash covers only the name and the seed, so the hash of the file is added here.
    """
    random_models = {model.name for model in timing_input.models if model.source.kind == "random-weights"}
    return {
        "packages": [
            _package_location(package, results, hash_original=package.model in random_models)
            for package in timing_input.packages
        ],
        "not_here": list(unavailable),
        "kit": str(kit.absolute()) if kit is not None else None,
    }


def _package_location(package: TimedPackage, results: Path, *, hash_original: bool) -> dict[str, Any]:
    original = package.original
    return {
        "model": package.model,
        "variant": package.variant.name,
        "batch": package.variant.batch,
        "path": _relative_to(results, package.path),
        "original": _relative_to(results, original) if original else None,
        "original_sha256": hash_path(original) if original and hash_original else None,
    }


def _relative_to(results: Path, path: Path) -> str:
    path, results = path.absolute(), results.absolute()
    return str(path.relative_to(results) if path.is_relative_to(results) else path)


# --- the run ------------------------------------------------------------------------------------------------


@dataclass
class MatrixRun:
    """A matrix while it runs, new or resumed. ``record`` is its current state; rounds it already has are not repeated.

    ``kit`` is the folder in which to pack the packages as soon as they have inputs.
    """

    record: TimingRecord
    plan: MatrixPlan
    runner: RoundRunner
    save: Save[TimingRecord]
    progress: MatrixProgress
    on_round: OnRound | None = None
    kit: Path | None = None

    def run(self) -> TimingRecord:
        """Return the record with all rounds; it is saved after each. A matrix that was stopped has a failure."""
        if self.record.conditions_before == UNKNOWN_CONDITIONS:
            self.record = replace(self.record, conditions_before=read_conditions())
        record = self._run()
        return replace(record, conditions_after=read_conditions())

    def _run(self) -> TimingRecord:
        try:
            self._update(self.record)
            self._prepare()
            self._time_rounds()
            if self.runner.options.sustain is not None:
                self._time_sustained()
        except MatrixStoppedError as stopped:
            return replace(self.record, outcome=stopped.failure)
        except KeyboardInterrupt:  # between two child processes
            reason = "The run was interrupted between two rounds."
            hint = resume_hint(self.runner.folder)
            return replace(self.record, outcome=Failure("interrupted", reason, hint, Evidence()))
        return self._finish()

    def _update(self, record: TimingRecord) -> None:
        """Save another state of the record, with all that is known of the stand-in and of memory."""
        if self.runner.stand_in:
            record = mark_stand_in(record)
        self.record = replace(record, peak_bytes=max(record.peak_bytes, self.runner.stages.peak_bytes))
        self.save(self.record)

    # Before the first round: inputs, the kit, compiled models and compute plans.

    def _prepare(self) -> None:
        failures = self._provide_inputs()
        self._pack_kit()
        self._compile_packages(failures)
        self._mark_failures(failures)
        self._read_compute_plans()

    def _provide_inputs(self) -> dict[Path, Failure]:
        """Provide inputs and expected outputs; return the failures by the path of the package."""
        total = len(self.plan.packages)
        self.progress.update("inputs", 0, total)
        provided = provide_inputs(self.runner, self.plan.packages)
        self.progress.update("inputs", total, total)
        packages = {package.path: package for package in provided.packages}
        cells = tuple(replace(cell, package=packages[cell.package.path]) for cell in self.plan.cells)
        self.plan = replace(self.plan, packages=provided.packages, cells=cells)
        self._update(add_notes(self.record, *provided.notes))
        return provided.failures

    def _pack_kit(self) -> None:
        """Write the kit, if one was requested, and note its hash in the record, or why it could not be written."""
        if self.kit is None:
            return
        usable = tuple(package for package in self.plan.packages if has_inputs(package))
        packed = TimingInput(self.record.models, usable)
        try:
            write = write_native_kit if self.runner.options.native_kit else write_kit
            sha256 = write(packed, self.runner.options, self.kit, self._announce_kit)
        except InputError as problem:
            self._update(replace(self.record, notes=(*self.record.notes, str(problem))))
        else:
            self._update(replace(self.record, kit=sha256))

    def _announce_kit(self, size: int) -> None:
        self.progress.update("kit", 0, 0, f"writing {format_bytes(size)} to {self.kit}")

    def _compile_packages(self, failures: dict[Path, Failure]) -> None:
        """Compile each package that Core ML is to run; add what could not be compiled to ``failures``."""
        used = {cell.package.path for cell in self.plan.cells if cell.runtime == "coreml"}
        packages = [package for package in self.plan.packages if package.path in used]
        for number, package in enumerate(packages):
            self.progress.update("compile", number, len(packages), f"{package.model} {package.variant.name}")
            failure = failures.get(package.path) or self.runner.compile(number, package)
            if failure is not None:
                failures[package.path] = failure
        if packages:
            self.progress.update("compile", len(packages), len(packages))
        self._note_large_models()

    def _note_large_models(self) -> None:
        """Note in each Core ML cell whose compiled model is too large for other units what this macOS makes of it."""
        version = macos.version_numbers(macos.product_version())
        for cell in self.plan.cells:
            note = large_model_note(self.runner.compiled_bytes.get(cell.package.path, 0), version)
            row = self.record.measurements[cell.index]
            if note and cell.runtime == "coreml" and cell.unit != "CPU_ONLY" and note not in row.notes:
                self.record = replace_row(self.record, cell.index, replace(row, notes=(*row.notes, note)))

    def _mark_failures(self, failures: dict[Path, Failure]) -> None:
        """Mark the cells that cannot run, because inputs or a compiled model are missing."""
        record = self.record
        for cell in self.plan.cells:
            failure = failures.get(cell.package.path)
            if failure is not None and (cell.runtime == "coreml" or not has_inputs(cell.package)):
                row = replace(record.measurements[cell.index], failure=failure)
                record = replace_row(record, cell.index, row)
        self._update(record)

    def _read_compute_plans(self) -> None:
        """Read the compute plan of each Core ML cell that can run and has none."""
        rows = self.record.measurements
        compiled = [cell for cell in self.plan.cells if cell.package.path in self.runner.compiled]
        cells = [cell for cell in compiled if cell.runtime == "coreml" and rows[cell.index].plan is None]
        for number, cell in enumerate(cells):
            self.progress.update("plan", number, len(cells), cell.title)
            plan = self.runner.compute_plan(cell.index, cell.package, cell.unit)
            row = self.record.measurements[cell.index]
            self._update(replace_row(self.record, cell.index, add_compute_plan(row, plan)))
        if cells:
            self.progress.update("plan", len(cells), len(cells))

    # The rounds.

    def _time_rounds(self) -> None:
        """Time every cell once in each round, in the recorded orders, until the budget is used up."""
        total = sum(map(len, self.record.orders))
        done = 0
        for number, order in enumerate(self.record.orders):
            if is_over_budget(self.record, number, self.runner.options.budget):
                self._update(drop_rounds(self.record, number, self.runner.options))
                break
            for position, index in enumerate(order):
                title = f"round {number + 1} of {len(self.record.orders)}, {self.plan.cells[index].title}"
                self.progress.update("time", done, total, title)
                self._time_cell(self.plan.cells[index], number, position)
                done += 1
        self.progress.update("time", done, done)
        timing = Phase("time", total_seconds(self.record), done, self.runner.stages.peak_bytes)
        others = (phase for phase in self.record.phases if phase.name != "time")
        self.record = replace(self.record, phases=(*others, timing))

    def _time_cell(self, cell: Cell, number: int, position: int) -> None:
        """Time one round of a cell, unless the cell was given up or a resumed record has this round.

        A round within which the machine slept or its clock was set is repeated, and fails after ``MAX_ATTEMPTS``.
        """
        row = self.record.measurements[cell.index]
        if is_given_up(row) or has_round(row, number):
            return
        for _ in range(MAX_ATTEMPTS):
            timed, result = self.runner.time_round(cell, number, position)
            if not timed.clock_gap_seconds:
                break
            row = replace(row, repeated=(*row.repeated, timed))
            self._keep(cell, row, timed)
        else:
            timed = replace(timed, failure=clock_failure(timed.clock_gap_seconds))
        self._keep(cell, add_round(row, timed, result), timed)

    def _keep(self, cell: Cell, row: Measurement, timed: Round) -> None:
        """Save a cell with its newest round, and report the round."""
        self._update(replace_row(self.record, cell.index, row))
        if self.on_round is not None:
            self.on_round(row, timed)

    def _time_sustained(self) -> None:
        """Add a sustained run to each cell that has figures and was not given up."""
        for cell in self.plan.cells:
            row = self.record.measurements[cell.index]
            if row.sustained or is_given_up(row) or all(timed.failure is not None for timed in row.rounds):
                continue
            self.progress.update("sustain", cell.index, len(self.plan.cells), cell.title)
            points = self.runner.sustain(cell)
            if isinstance(points, Failure):
                row = replace(row, notes=(*row.notes, f"The sustained run failed: {points.reason}"))
            else:
                row = replace(row, sustained=points)
            self._update(replace_row(self.record, cell.index, row))

    def _finish(self) -> TimingRecord:
        """Return the record of a matrix that came to its end."""
        rows = tuple(settle_cell(row) for row in self.record.measurements)
        failed = sum(row.failure is not None for row in rows)
        return replace(
            self.record,
            measurements=rows,
            versions={row.runtime: row.runtime_version for row in rows if row.runtime_version},
            outcome=Timed(cells=len(rows) - failed, failed=failed, not_here=self.plan.unavailable),
        )


def matrix_exit_code(record: TimingRecord) -> int:
    """Return 0 unless all cells failed, 3 when they did or the matrix failed, 130 when it was interrupted."""
    if isinstance(record.outcome, Timed):
        return FAILED if record.outcome.failed and not record.outcome.cells else 0
    return exit_code_of(record)
