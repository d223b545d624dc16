"""The timing story: a matrix of packages, units and rounds, each in a process of its own, saved as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.runs.lifecycle import FAILED, Run, Save, exit_code_of, recorded
from coremlbench.runs.stages import Stages
from coremlbench.runs.steps import worker
from coremlbench.system.files import hash_path
from coremlbench.system.formatting import format_seconds
from coremlbench.timing.kit import check_kit_folder, write_kit
from coremlbench.timing.plan import (
    Package,
    Plan,
    Subject,
    TimingOptions,
    Units,
    WhyNotHere,
    asked_for,
    deviations_of,
    measurements_of,
    plan_cells,
)
from coremlbench.timing.rounds import (
    GO_ON,
    Bench,
    MatrixStoppedError,
    Ticker,
    compile_package,
    plan_of,
    provide_inputs,
    sustain,
    time_round,
    with_round,
)
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import Progress
from coremlbench.types.timing import ComputePlan, Floor, Measurement, Round, Timed, TimingRecord
from coremlbench.types.training_records import Phase

EXPERIMENT = "convert-and-time"
TRIES = 2
"""A cell that failed so often is given up: a crash or a hang each round would take longer than the rest."""

OnRound = Callable[[Measurement, Round], None]


@dataclass(frozen=True)
class Here:
    """What this machine can run, and the commands of the workers that do it; tests put a stand-in there.

    ``stand_in`` says that the stand-in was found where Core ML would be.
    """

    units: Units
    why_not_here: WhyNotHere
    worker: Callable[[str], Sequence[str]] = worker
    stand_in: bool = False


def this_machine() -> Here:
    """Return the runtimes as they are here."""
    from coremlbench.timing.available_units import survey_machine

    found = survey_machine()
    return Here(
        units={name: tuple(units) for name, units in found.why_not.items()},
        why_not_here=lambda runtime, unit: found.why_not[runtime][unit],
        stand_in=found.stand_in,
    )


def time_models(
    subject: Subject,
    options: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    here: Here,
    on_round: OnRound | None = None,
    kit: Path | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the record of a whole matrix and the folder that holds it; ``on_round`` sees each round as it ends.

    ``kit`` is a new folder where the packages are left for another machine before the first round; with it, a matrix
    may have no cell that can run here.

    Raises:
        InputError: nothing that was asked for can run on this machine, or a folder cannot be used.
    """
    plan = plan_cells(subject.packages, options, here.units, here.why_not_here)
    check_here(options, kit, here)
    if not plan.cells and kit is None:
        raise InputError(f"There is nothing to time. {' '.join(plan.notes)}")
    ticker = Ticker(on_progress)

    def work(record: TimingRecord, folder: Path, stages: Stages, save: Save[TimingRecord]) -> TimingRecord:
        bench = Bench(folder, stages, options, here.worker, kit, stand_in=here.stand_in)
        return measure(_planned(record, subject, plan, options), plan, bench, save, ticker, on_round)

    run = run_of(options, command, plan, where(subject, results, plan.not_here, kit))
    return recorded(run, work, results=results, on_progress=ticker)


def check_here(options: TimingOptions, kit: Path | None, here: Here) -> None:
    """Raise ``InputError`` when nothing that was asked for can be done: before the long work."""
    if kit is not None:
        check_kit_folder(kit)
        return
    asked = asked_for(options, here.units, here.why_not_here)
    if not asked:
        raise InputError("No runtime that was asked for has a unit of that name; `--help` lists them.")
    if all(asked.values()):
        reasons = " ".join(dict.fromkeys(asked.values()))
        raise InputError(f"None of what was asked for can be timed on this machine. {reasons}")


def run_of(options: TimingOptions, command: Sequence[str], plan: Plan, packages: dict[str, Any]) -> Run[TimingRecord]:
    """Return what the run is known to be; ``packages`` says where the packages lie."""
    return Run(
        record=TimingRecord,
        experiment=EXPERIMENT,
        engine="+".join(dict.fromkeys(cell.runtime for cell in plan.cells)),
        options=asdict(options) | {"runtimes": list(options.runtimes), "units": list(options.units)} | packages,
        deviations=deviations_of(options),
        command=command,
        limits=options,
    )


def where(subject: Subject, results: Path, not_here: Sequence[str], kit: Path | None) -> dict[str, Any]:
    """Return where things lie, for a resume: packages relative to the results folder when they are in it."""

    def shown(path: Path | None) -> str | None:
        if path is None:
            return None
        path = path.absolute()
        return str(path.relative_to(results.absolute()) if path.is_relative_to(results.absolute()) else path)

    drawn = {model.name for model in subject.models if model.source.kind == "random-weights"}
    packages = [
        {
            "model": package.model,
            "variant": package.variant.name,
            "batch": package.variant.batch,
            "path": shown(package.path),
            "original": shown(package.original),
            # The record tells the hash of any other original; that of random weights is of their name and seed.
            "original_sha256": hash_path(package.original) if package.original and package.model in drawn else None,
        }
        for package in subject.packages
    ]
    return {"packages": packages, "not_here": list(not_here), "kit": str(kit.absolute()) if kit is not None else None}


def _planned(record: TimingRecord, subject: Subject, plan: Plan, options: TimingOptions) -> TimingRecord:
    """Return the record of a matrix before its first round."""
    from coremlbench.timing.roofline import floor_of
    from coremlbench.timing.statistics import orders

    rows, notes = [], [*subject.notes, *(() if subject.kit else plan.notes)]
    for cell, row in zip(plan.cells, measurements_of(plan.cells, subject.models), strict=True):
        if cell.runtime == "coreml":
            floor = floor_of(record.machine, cell.unit, cell.package.variant)
            if isinstance(floor, Floor):
                row = replace(row, floor=floor)  # noqa: PLW2901 - the row with what is known of it
            else:
                notes.append(floor)
        rows.append(row)
    return replace(
        record,
        quick=options.quick,
        seed=options.seed,
        models=subject.models,
        measurements=tuple(rows),
        orders=orders(len(plan.cells), options.rounds, options.seed, blocks=_blocks(plan)),
        kit=subject.kit,
        notes=tuple(dict.fromkeys(notes)),
    )


def _blocks(plan: Plan) -> list[list[int]]:
    """Return the cells of each package: they are compared with each other and stay together in a round."""
    blocks: dict[Path, list[int]] = {}
    for cell in plan.cells:
        blocks.setdefault(cell.package.path, []).append(cell.index)
    return list(blocks.values())


# --- the run ------------------------------------------------------------------------------------------------


def measure(
    record: TimingRecord,
    plan: Plan,
    bench: Bench,
    save: Save[TimingRecord],
    ticker: Ticker,
    on_round: OnRound | None,
) -> TimingRecord:
    """Return the record with all rounds that it does not hold yet; it is saved after each."""
    known = [record]

    def keep(each: TimingRecord) -> TimingRecord:
        known.append(replace(each, peak_bytes=max(each.peak_bytes, bench.stages.peak_bytes)))
        save(known[-1])
        return known[-1]

    try:
        record, plan = _prepared(keep(_marked(record, bench)), plan, bench, keep, ticker)
        record = _all_rounds(record, plan, bench, keep, ticker, on_round)
        if bench.options.sustain is not None:
            record = _sustained(record, plan, bench, keep, ticker)
    except MatrixStoppedError as stopped:
        return replace(known[-1], outcome=stopped.failure)
    except KeyboardInterrupt:  # between two children
        reason = "The run was interrupted between two rounds."
        return replace(known[-1], outcome=Failure("interrupted", reason, GO_ON, Evidence()))
    rows = tuple(_judged(row) for row in record.measurements)
    failed = sum(row.failure is not None for row in rows)
    return replace(
        record,
        measurements=rows,
        versions={row.runtime: row.runtime_version for row in rows if row.runtime_version},
        outcome=Timed(cells=len(rows) - failed, failed=failed, not_here=plan.not_here),
    )


def _prepared(
    record: TimingRecord, plan: Plan, bench: Bench, keep: Callable[[TimingRecord], TimingRecord], ticker: Ticker
) -> tuple[TimingRecord, Plan]:
    """Return the record and the plan with inputs, compiled models and compute plans."""
    ticker.at("inputs", 0, len(plan.packages), "")
    ready, failures, notes = provide_inputs(bench, plan.packages)
    ticker.at("inputs", len(plan.packages), len(plan.packages), "")
    given = {package.path: package for package in ready}
    cells = tuple(replace(cell, package=given[cell.package.path]) for cell in plan.cells)
    record = keep(_with_kit(replace(record, notes=tuple(dict.fromkeys((*record.notes, *notes)))), ready, bench))

    with_coreml = [each for each in ready if any(c.runtime == "coreml" and c.package == each for c in cells)]
    for number, package in enumerate(with_coreml):
        ticker.at("compile", number, len(with_coreml), f"{package.model} {package.variant.name}")
        problem = failures.get(package.path) or compile_package(bench, number, package)
        if problem is not None:
            failures[package.path] = problem

    record = _marked(record, bench)
    rows = list(record.measurements)
    for cell in cells:
        row = rows[cell.index]
        if cell.package.path in failures and (cell.runtime == "coreml" or not _has_inputs(cell.package)):
            rows[cell.index] = replace(row, failure=failures[cell.package.path])
        elif cell.runtime == "coreml" and row.plan is None:
            ticker.at("plan", cell.index, len(cells), cell.title)
            rows[cell.index] = _with_plan(row, plan_of(bench, cell.index, cell.package, cell.unit))
            record = keep(replace(record, measurements=tuple(rows)))
    return keep(replace(record, measurements=tuple(rows))), replace(plan, packages=tuple(ready), cells=cells)


def _marked(record: TimingRecord, bench: Bench) -> TimingRecord:
    """Return the record with every row of the stand-in marked as its own, also those that it will never answer for."""
    if not bench.stand_in:
        return record
    rows = tuple(replace(row, stand_in=True) if row.runtime == "coreml" else row for row in record.measurements)
    return replace(record, measurements=rows)


def _has_inputs(package: Package) -> bool:
    return package.inputs is not None and package.inputs.is_file()


def _with_kit(record: TimingRecord, packages: Sequence[Package], bench: Bench) -> TimingRecord:
    """Return the record with the hash of the kit that is left for another machine, when one is wanted."""
    if bench.kit is None:
        return record
    usable = tuple(package for package in packages if _has_inputs(package))
    try:
        return replace(record, kit=write_kit(Subject(record.models, usable), bench.options, bench.kit))
    except InputError as problem:
        return replace(record, notes=(*record.notes, str(problem)))


def _with_plan(row: Measurement, plan: ComputePlan) -> Measurement:
    from coremlbench.timing.compute_plan import ran_on

    return replace(row, plan=plan, ran_on=ran_on(plan, row.unit))


def _all_rounds(
    record: TimingRecord,
    plan: Plan,
    bench: Bench,
    keep: Callable[[TimingRecord], TimingRecord],
    ticker: Ticker,
    on_round: OnRound | None,
) -> TimingRecord:
    total = sum(map(len, record.orders))
    done = 0
    for number, order in enumerate(record.orders):
        if _over_budget(record, number, bench.options):
            record = keep(_cut_short(record, number, bench.options))
            break
        for place, index in enumerate(order):
            row, cell = record.measurements[index], plan.cells[index]
            ticker.at("time", done, total, f"round {number + 1} of {len(record.orders)}, {cell.title}")
            done += 1
            if given_up(row) or any(each.round == number for each in row.rounds):
                continue
            each, result = time_round(bench, cell, number, place)
            row = with_round(row, each, result)
            rows = (*record.measurements[:index], row, *record.measurements[index + 1 :])
            record = keep(replace(record, measurements=rows))
            if on_round is not None:
                on_round(row, each)
    ticker.at("time", done, done, "")
    phases = tuple(phase for phase in record.phases if phase.name != "time")
    return replace(record, phases=(*phases, Phase("time", _seconds(record), done, bench.stages.peak_bytes)))


def _seconds(record: TimingRecord) -> float:
    """Return what all rounds of all cells took."""
    return sum(each.seconds for row in record.measurements for each in row.rounds)


def _over_budget(record: TimingRecord, number: int, options: TimingOptions) -> bool:
    begun = any(each.round == number for row in record.measurements for each in row.rounds)
    return number > 0 and not begun and options.budget is not None and _seconds(record) >= options.budget


def _cut_short(record: TimingRecord, number: int, options: TimingOptions) -> TimingRecord:
    took = format_seconds(_seconds(record))
    note = (
        f"The first look ended after {number} of {len(record.orders)} rounds, which took {took}: name fewer models, or "
        "leave out --quick, for more."
    )
    return replace(
        record,
        orders=record.orders[:number],
        deviations=deviations_of(replace(options, rounds=number)),
        notes=(*record.notes, note),
    )


def _sustained(
    record: TimingRecord, plan: Plan, bench: Bench, keep: Callable[[TimingRecord], TimingRecord], ticker: Ticker
) -> TimingRecord:
    """Return the record with a sustained run of each cell that has figures and was not given up."""
    for cell in plan.cells:
        row = record.measurements[cell.index]
        if row.sustained or given_up(row) or not any(each.failure is None for each in row.rounds):
            continue
        ticker.at("sustain", cell.index, len(plan.cells), cell.title)
        found = sustain(bench, cell)
        if isinstance(found, Failure):
            row = replace(row, notes=(*row.notes, f"The sustained run failed: {found.reason}"))
        else:
            row = replace(row, sustained=found)
        rows = (*record.measurements[: cell.index], row, *record.measurements[cell.index + 1 :])
        record = keep(replace(record, measurements=rows))
    return record


def given_up(row: Measurement) -> bool:
    """Return whether a cell is not tried any more."""
    return row.failure is not None or sum(each.failure is not None for each in row.rounds) >= TRIES


def _judged(row: Measurement) -> Measurement:
    """Return a cell as it ended: failed when it was given up or has no figures, else noted where a round failed."""
    failures = [each.failure for each in row.rounds if each.failure is not None]
    if row.failure is not None or not failures:
        return row
    if given_up(row) or len(failures) == len(row.rounds):
        return replace(row, failure=failures[-1])
    note = f"{len(failures)} of {len(row.rounds)} rounds failed: {failures[-1].reason}"
    return replace(row, notes=(*row.notes, note))


def exit_code(record: TimingRecord) -> int:
    """Return 0 unless all cells failed, 3 when they did or the matrix failed, 130 when it was interrupted."""
    if isinstance(record.outcome, Timed):
        return FAILED if record.outcome.failed and not record.outcome.cells else 0
    return exit_code_of(record)
