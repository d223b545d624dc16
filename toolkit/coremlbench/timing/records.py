"""How the record of a matrix changes: the planned record, one more round of a cell, and the final state of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.known_deviations import deviation_notes
from coremlbench.system.formatting import format_count, format_seconds
from coremlbench.timing.chips import accelerator_note
from coremlbench.timing.plan import (
    Cell,
    MatrixPlan,
    TimingInput,
    TimingOptions,
    deviations_of,
    initial_measurements,
    unproven_notes,
)
from coremlbench.types.timing import ComputePlan, Measurement, RooflineBound, Round, TimingRecord

MAX_FAILED_ROUNDS = 2
"""A cell with so many failed rounds is given up: repeated crashes or hangs would take longer than all other cells."""


GPU_UNITS = ("CPU_AND_GPU", "ALL")


def plan_record(
    record: TimingRecord, timing_input: TimingInput, plan: MatrixPlan, options: TimingOptions
) -> TimingRecord:
    """Return the record of a matrix before its first round.

    Each Core ML cell has its least possible time, and notes on what is known to deviate on its unit.
    """
    from coremlbench.timing.roofline import roofline_bound
    from coremlbench.timing.statistics import orders

    rows, notes = (
        [],
        [*timing_input.notes, *unproven_notes(timing_input.models), *(() if timing_input.kit else plan.notes)],
    )
    if any(cell.runtime == "coreml" and cell.unit in GPU_UNITS for cell in plan.cells):
        notes += [note for note in (accelerator_note(record.machine.chip),) if note]
    for cell, row in zip(plan.cells, initial_measurements(plan.cells, timing_input.models), strict=True):
        bound = roofline_bound(record.machine, cell.unit, cell.package.variant) if cell.runtime == "coreml" else None
        if isinstance(bound, str):
            notes.append(bound)
        floor = bound if isinstance(bound, RooflineBound) else None
        runner = options.runner if cell.runtime == "coreml" else "python"
        rows.append(replace(row, floor=floor, notes=_notes(cell), runner=runner))
    return replace(
        record,
        quick=options.quick,
        seed=options.seed,
        models=timing_input.models,
        measurements=tuple(rows),
        orders=orders(len(plan.cells), options.rounds, options.seed, blocks=_package_blocks(plan.cells)),
        kit=timing_input.kit,
        notes=tuple(dict.fromkeys(notes)),
    )


def _notes(cell: Cell) -> tuple[str, ...]:
    """Return notes on the known deviations that Core ML can show in a cell; none for other runtimes."""
    if cell.runtime != "coreml":
        return ()
    variant = cell.package.variant
    return deviation_notes(cell.package.model, variant.name, variant.known_deviations, cell.unit)


def _package_blocks(cells: Sequence[Cell]) -> list[list[int]]:
    """Return the indices of the cells of each package: they are compared, so they stay together in a round."""
    blocks: dict[Path, list[int]] = {}
    for cell in cells:
        blocks.setdefault(cell.package.path, []).append(cell.index)
    return list(blocks.values())


def replace_row(record: TimingRecord, index: int, row: Measurement) -> TimingRecord:
    """Return the record with another measurement at ``index``."""
    return replace(record, measurements=(*record.measurements[:index], row, *record.measurements[index + 1 :]))


def add_notes(record: TimingRecord, *notes: str) -> TimingRecord:
    """Return the record with more notes, each once."""
    return replace(record, notes=tuple(dict.fromkeys((*record.notes, *notes))))


def mark_stand_in(record: TimingRecord) -> TimingRecord:
    """Return the record with every Core ML row marked as the stand-in's, also rows that will never have figures."""
    rows = (replace(row, stand_in=True) if row.runtime == "coreml" else row for row in record.measurements)
    return replace(record, measurements=tuple(rows))


def add_compute_plan(row: Measurement, plan: ComputePlan) -> Measurement:
    """Return the measurement with its compute plan and the device that it therefore ran on."""
    from coremlbench.timing.compute_plan import ran_on

    return replace(row, plan=plan, ran_on=ran_on(plan, row.unit))


def add_round(row: Measurement, timed: Round, result: dict[str, Any]) -> Measurement:
    """Return the measurement with one more round and the result of its worker, empty when the round failed."""
    row = replace(row, rounds=(*row.rounds, timed))
    if not result:
        return row
    errors = [error for error in (row.output_error, result["output_error"]) if error is not None]
    return replace(
        row,
        runtime_version=result["runtime_version"],
        stand_in=row.stand_in or result["stand_in"],
        output_error=max(errors, default=None),
        notes=tuple(dict.fromkeys((*row.notes, *result["notes"]))),
    )


def has_round(row: Measurement, number: int) -> bool:
    """Return whether a cell has been timed in round ``number``, successfully or not."""
    return any(timed.round == number for timed in row.rounds)


def is_given_up(row: Measurement) -> bool:
    """Return whether no further round of a cell is tried."""
    return row.failure is not None or sum(timed.failure is not None for timed in row.rounds) >= MAX_FAILED_ROUNDS


def settle_cell(row: Measurement) -> Measurement:
    """Return the final state of a cell.

    It failed when it was given up or no round succeeded; otherwise failed rounds become a note.
    """
    failures = [timed.failure for timed in row.rounds if timed.failure is not None]
    if row.failure is not None or not failures:
        return row
    if is_given_up(row) or len(failures) == len(row.rounds):
        return replace(row, failure=failures[-1])
    note = f"{len(failures)} of {format_count(len(row.rounds), 'round')} failed: {failures[-1].reason}"
    return replace(row, notes=(*row.notes, note))


def total_seconds(record: TimingRecord) -> float:
    """Return the seconds that all rounds of all cells took, repeated ones included."""
    return sum(timed.seconds for row in record.measurements for timed in (*row.rounds, *row.repeated))


def is_over_budget(record: TimingRecord, number: int, budget: float | None) -> bool:
    """Return whether round ``number`` must not start because earlier rounds used up the budget (seconds).

    The first round always starts, and a round that has started is finished.
    """
    started = any(has_round(row, number) for row in record.measurements)
    return number > 0 and not started and budget is not None and total_seconds(record) >= budget


def drop_rounds(record: TimingRecord, number: int, options: TimingOptions) -> TimingRecord:
    """Return the record of a matrix that ends after ``number`` rounds because its budget is used up."""
    note = (
        f"The first look ended after {number} of {format_count(len(record.orders), 'round')}, which took "
        f"{format_seconds(total_seconds(record))}: name fewer models, or leave out --quick, for more."
    )
    return replace(
        record,
        orders=record.orders[:number],
        deviations=deviations_of(replace(options, rounds=number)),
        notes=(*record.notes, note),
    )
