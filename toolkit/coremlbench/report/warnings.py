"""The report's warnings: conditions and settings that limit how far figures can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coremlbench.report.labels import MAX_OUTPUT_ERROR, output_error_phrase, outputs_are_wrong, unit_phrase
from coremlbench.report.types import WarningRow
from coremlbench.system.condition_texts import condition_problems, start_problems
from coremlbench.system.formatting import format_count, format_seconds
from coremlbench.types.conditions import Conditions
from coremlbench.types.records import Record
from coremlbench.types.timing import Measurement, TimingRecord
from coremlbench.types.training_records import TrainingRecord

FEW_ROUNDS = 3
FEW_CALLS = 64
"""The calls that MLPerf's early stopping needs for a 90th percentile."""
MAX_DRIFT = 0.05
"""The largest change of the median from the first to the last third of a round without a warning."""


def warning_rows(records: Sequence[Record]) -> tuple[WarningRow, ...]:
    """Return each warning once per machine, with the ids of the records it applies to."""
    ids_by_warning: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        for text in _warnings(record):
            ids_by_warning.setdefault((record.machine.id, text), {})[record.id] = None
    return tuple(WarningRow(machine, text, tuple(ids)) for (machine, text), ids in ids_by_warning.items())


def _warnings(record: Record) -> Iterator[str]:
    if record.machine.rosetta:
        yield "Python ran under Rosetta: these are not the figures of native code."
    if record.machine.virtual_machine:
        yield "macOS ran in a virtual machine: these are not the figures of a Mac, and it has no Neural Engine."
    if isinstance(record, TrainingRecord):
        yield from _training_warnings(record)
    if isinstance(record, TimingRecord):
        yield from _timing_warnings(record)
    yield from record.notes


def _training_warnings(record: TrainingRecord) -> Iterator[str]:
    if record.stand_in:
        yield "The tests' stand-in for Core ML or Create ML ran: none of its features and figures is Apple's."
    if record.resumed_from:
        yield "The run goes on with the work of a broken one: its times are not those of a whole run."
    yield from condition_warnings(record)
    if record.dataset is not None:
        yield from record.dataset.warnings
        if record.dataset.skipped_count:
            yield f"{format_count(record.dataset.skipped_count, 'file')} of {record.dataset.name} left out."


def condition_warnings(record: TrainingRecord) -> tuple[str, ...]:
    """Return what speaks against the conditions in which a training started and ended, each once."""
    texts = [*_start_warnings(record), *_condition_warnings(record.conditions_after)]
    if _is_busy(record.conditions_before, record):
        texts.append(
            "The load average was above the number of cores before the start: something else, or a run just "
            "before it, kept the machine busy."
        )
    return tuple(dict.fromkeys(texts))


def _timing_warnings(record: TimingRecord) -> Iterator[str]:
    if record.quick:
        yield "A quick look: fewer rounds and calls than the method asks for."
    if reductions := [deviation for deviation in record.deviations if deviation != "quick"]:
        yield f"Less than the method asks for: {', '.join(reductions)}."
    if any(cell.runner == "native" for cell in record.measurements):
        yield (
            "Timed by the native runner: a call does without Python, so its times are not compared with those that "
            "Python measured."
        )
    if any(cell.stand_in for cell in record.measurements):
        yield "The tests' stand-in for Core ML ran: none of its figures is Core ML's."
    yield from _start_warnings(record)
    for cell in record.measurements:
        yield from _cell_warnings(cell)
        for timed in cell.rounds:
            for conditions in (timed.before, timed.after):
                yield from _condition_warnings(conditions)
    if gaps := [timed.clock_gap_seconds for cell in record.measurements for timed in cell.repeated]:
        yield (
            f"Rounds were repeated ({len(gaps)}): the machine slept within them, or its clock was set, by "
            f"{format_seconds(max(map(abs, gaps)))} at most."
        )
    yield from _load_warnings(record)


def _cell_warnings(cell: Measurement) -> Iterator[str]:
    if outputs_are_wrong(cell.output_error):
        yield (
            f"{cell.model} {cell.variant} on {unit_phrase(cell.unit, cell.ran_on)} gave "
            f"{output_error_phrase(cell.output_error)}, "
            f"more than the {MAX_OUTPUT_ERROR:.0%} allowed: its times are not those of this model."
        )
    rounds = [timed for timed in cell.rounds if timed.failure is None]
    if cell.failure is not None or rounds:
        yield from cell.notes
    if cell.failure is not None or not rounds:
        return
    if len(rounds) < FEW_ROUNDS:
        yield f"Some cells have fewer than {FEW_ROUNDS} rounds: their intervals say little."
    if sum(timed.calls for timed in rounds) < FEW_CALLS:
        yield f"Some cells have fewer than {FEW_CALLS} calls: their 90th and 95th percentiles say little."
    if any(timed.drift is not None and abs(timed.drift) > MAX_DRIFT for timed in rounds):
        yield f"Some rounds drifted by more than {MAX_DRIFT:.0%} between their first and their last third."
    if any(timed.calls and timed.outliers > timed.calls / 100 for timed in rounds):
        yield "Some rounds had more than one outlier in a hundred calls; none was dropped."


def _load_warnings(record: TimingRecord) -> Iterator[str]:
    """Yield a warning if the load average exceeded the number of cores, before the first round or later.

    The load average includes the timed calls themselves, so that only the one before the first round shows other work.
    """
    rounds = [timed for cell in record.measurements for timed in cell.rounds]
    first = min(rounds, key=lambda timed: (timed.round, timed.place), default=None)
    if first is not None and _is_busy(first.before, record):
        yield (
            "The load average was above the number of cores before the first round: something else, or a conversion "
            "just before it, kept the machine busy."
        )
    elif any(_is_busy(conditions, record) for timed in rounds for conditions in (timed.before, timed.after)):
        yield (
            "The load average was above the number of cores during the rounds: the timed calls are part of it, other "
            "work may be."
        )


def _is_busy(conditions: Conditions, record: TimingRecord | TrainingRecord) -> bool:
    return conditions.load_average is not None and conditions.load_average > record.machine.logical_cores


def _start_warnings(record: TimingRecord | TrainingRecord) -> Iterator[str]:
    """Yield what spoke against the conditions in which a run was started."""
    problems = start_problems(record.conditions_before, record.machine.logical_cores)
    yield from (problem.after for problem in problems if problem.after)


def _condition_warnings(conditions: Conditions) -> Iterator[str]:
    yield from (problem.after for problem in condition_problems(conditions) if problem.after)
