"""The report's warnings: what a reader must know of the conditions before trusting a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coremlbench.report.labels import MAX_OUTPUT_ERROR, outputs_are_wrong, where, output_error_phrase
from coremlbench.report.types import WarningRow
from coremlbench.types.records import Record
from coremlbench.types.timing import Conditions, Measurement, TimingRecord
from coremlbench.types.training_records import TrainingRecord

FEW_ROUNDS = 3
FEW_CALLS = 64
"""Below so many calls in all, MLPerf's early stopping gives no 90th percentile."""
DRIFT = 0.05


def warning_rows(records: Sequence[Record]) -> tuple[WarningRow, ...]:
    """Return each warning once a machine, with the records it holds for."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        for text in _warnings(record):
            found.setdefault((record.machine.id, text), {})[record.id] = None
    return tuple(WarningRow(machine, text, tuple(ids)) for (machine, text), ids in found.items())


def _warnings(record: Record) -> Iterator[str]:
    if record.machine.rosetta:
        yield "Python ran under Rosetta: these are not the figures of native code."
    if isinstance(record, TrainingRecord):
        yield from _of_training(record)
    if isinstance(record, TimingRecord):
        yield from _of_timing(record)
    yield from record.notes


def _of_training(record: TrainingRecord) -> Iterator[str]:
    if record.resumed_from:
        yield "The run goes on with the work of a broken one: its times are not those of a whole run."
    if record.dataset is not None:
        yield from record.dataset.warnings
        if record.dataset.skipped_count:
            yield f"{record.dataset.skipped_count:,} files of {record.dataset.name} were left out."


def _of_timing(record: TimingRecord) -> Iterator[str]:
    if record.quick:
        yield "A quick look: fewer rounds and calls than the method asks for."
    if less := [each for each in record.deviations if each != "quick"]:
        yield f"Less than the method asks for: {', '.join(less)}."
    if any(cell.stand_in for cell in record.measurements):
        yield "The tests' stand-in for Core ML ran: none of its figures is Core ML's."
    for cell in record.measurements:
        yield from _of_cell(cell)
        for each in cell.rounds:
            for conditions in (each.before, each.after):
                yield from _of_conditions(conditions)
    yield from _of_load(record)


def _of_cell(cell: Measurement) -> Iterator[str]:
    if outputs_are_wrong(cell.output_error):
        yield (
            f"{cell.model} {cell.variant} on {where(cell.unit, cell.ran_on)} gave {wrong_outputs(cell.output_error)}, "
            f"more than the {WRONG_OUTPUTS:.0%} allowed: its times are not those of this model."
        )
    rounds = [each for each in cell.rounds if each.failure is None]
    if cell.failure is not None or not rounds:
        return
    if len(rounds) < FEW_ROUNDS:
        yield f"Some cells have fewer than {FEW_ROUNDS} rounds: their intervals say little."
    if sum(each.calls for each in rounds) < FEW_CALLS:
        yield f"Some cells have fewer than {FEW_CALLS} calls: their 90th and 95th percentiles say little."
    if any(each.drift is not None and abs(each.drift) > DRIFT for each in rounds):
        yield f"Some rounds drifted by more than {DRIFT:.0%} between their first and their last third."
    if any(each.calls and each.outliers > each.calls / 100 for each in rounds):
        yield "Some rounds had more than one outlier in a hundred calls; none was dropped."
    yield from cell.notes


def _of_load(record: TimingRecord) -> Iterator[str]:
    """Yield when the load average was above the number of cores: it counts our own work as well as that of others."""
    rounds = [each for cell in record.measurements for each in cell.rounds]
    first = min(rounds, key=lambda each: (each.round, each.place), default=None)
    if first is not None and _is_busy(first.before, record):
        yield (
            "The load average was above the number of cores before the first round: something else, or a conversion "
            "just before it, kept the machine busy."
        )
    elif any(_is_busy(conditions, record) for each in rounds for conditions in (each.before, each.after)):
        yield (
            "The load average was above the number of cores during the rounds: the timed calls are part of it, other "
            "work may be."
        )


def _is_busy(conditions: Conditions, record: TimingRecord) -> bool:
    return conditions.load_average is not None and conditions.load_average > record.machine.logical_cores


def _of_conditions(conditions: Conditions) -> Iterator[str]:
    if conditions.thermal_state not in (None, "nominal"):
        yield f"The machine was hot: macOS called its thermal state {conditions.thermal_state}."
    if conditions.power_source == "battery":
        yield "The machine ran on battery."
    if conditions.low_power_mode:
        yield "Low power mode was on."
