"""Published and measured figures of each experiment side by side: pure functions from records to rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from coremlbench.experiments.catalogue import workload_deviations
from coremlbench.experiments.published import PUBLISHED
from coremlbench.system.machine import format_machine
from coremlbench.types.experiments import ComparisonRow, Experiment, Published
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord

PICTURES_TO_MODEL = frozenset({"augment", "extract", "train", "evaluate", "export"})
"""The phases of a Create ML run that are compared."""


def comparison_rows(
    experiments: Iterable[Experiment], records: Iterable[TrainingRecord], machine_id: str
) -> tuple[ComparisonRow, ...]:
    """Return the rows of each experiment: published figures first, then every measured run, oldest first.

    A run is this machine's when it has its ``machine_id``. Ratios are over the reference: this machine's newest run
    that trained, one whose work is nearer to the protocol's before others. There is a ratio only between like amounts
    of work: a run on a tenth of the images has none to a published figure, while other pictures or weights change
    nothing of the time. Failures stand among the rows.
    """
    records = sorted(records, key=lambda record: record.started)
    rows: list[ComparisonRow] = []
    for experiment in experiments:
        runs = [record for record in records if record.experiment == experiment.name]
        reference = _reference(runs, experiment, machine_id)
        rows += [
            _with_ratio(_published(each), reference, experiment)
            for each in PUBLISHED
            if each.experiment == experiment.name
        ]
        for run in runs:
            row = _with_ratio(_measured(run, experiment), reference, experiment)
            rows.append(replace(row, this_machine=run.machine.id == machine_id, reference=run is reference))
    return tuple(rows)


def compared_seconds(record: TrainingRecord, experiment: Experiment) -> float | None:
    """Return the figure that the experiment compares, or ``None`` where the run has none.

    Seconds per epoch are the mean of the epochs from the second on; total seconds are those of training and testing,
    without starting TensorFlow or preparing data; from pictures to the model it is all but setting up and preparing
    data, which a first run on a machine spends minutes of downloads on and a second one nothing. A run that went on
    with a broken one has no such figure: a part of its work was not timed, and its second half began as cold as a
    first. Sums are rounded once, so that a record has the same figure on every Python.
    """
    if isinstance(record.outcome, Failure) or record.resumed_from:
        return None
    if experiment.metric == "seconds per epoch":
        later = [row.seconds for row in record.epochs if row.epoch > 1]
        return statistics.fmean(later) if later else None
    if experiment.metric == "total seconds":
        tested = [phase.seconds for phase in record.phases if phase.name == "evaluate"]
        return math.fsum([*(row.seconds for row in record.epochs), *tested])
    return math.fsum(phase.seconds for phase in record.phases if phase.name in PICTURES_TO_MODEL) or None


def _reference(runs: Sequence[TrainingRecord], experiment: Experiment, machine_id: str) -> TrainingRecord | None:
    """Return this machine's newest run that has a figure, of those whose work leaves the protocol in fewest points.

    Away from macOS none has the protocol's own extractor, and a whole run is still worth more than a tenth of one.
    """
    mine = [run for run in runs if run.machine.id == machine_id and compared_seconds(run, experiment) is not None]
    return min(reversed(mine), key=lambda run: len(workload_deviations(run.deviations)), default=None)


def _with_ratio(row: ComparisonRow, reference: TrainingRecord | None, experiment: Experiment) -> ComparisonRow:
    """Return the row with its ratio to the reference, if both did the same amount of work."""
    base = None if reference is None else compared_seconds(reference, experiment)
    if reference is None or not base or row.seconds is None:
        return row
    alike = workload_deviations(row.deviations) == workload_deviations(reference.deviations)
    return replace(row, ratio=row.seconds / base) if alike else row


def _published(figure: Published) -> ComparisonRow:
    seconds = None if figure.low is None or figure.high is None else (figure.low + figure.high) / 2
    if seconds is None:
        text = figure.note
    elif figure.low == figure.high:
        text = f"{figure.low:g} s"
    else:
        text = f"{figure.low:g}–{figure.high:g} s"
    return ComparisonRow(
        experiment=figure.experiment,
        metric=figure.metric,
        kind="published",
        machine=figure.machine,
        figure=text,
        source=figure.source,
        seconds=seconds,
        failed=figure.failed,
        notes=(figure.note,) if figure.note and seconds is not None else (),
    )


def _measured(record: TrainingRecord, experiment: Experiment) -> ComparisonRow:
    seconds = compared_seconds(record, experiment)
    outcome = record.outcome
    running = isinstance(outcome, Failure) and outcome.kind == "running"
    if running:
        text = "not ended yet"
    elif isinstance(outcome, Failure):
        done = f" after {len(record.epochs)} epochs" if record.epochs else ""
        text = f"failed{done}: {outcome.reason}"
    elif record.resumed_from:
        text = f"trained, resumed from {record.resumed_from}: not compared"
    elif seconds is None:
        text = "trained, but no epoch after the first"
    else:
        later = [row.seconds for row in record.epochs if row.epoch > 1]
        spread = f" ({min(later):.3g}–{max(later):.3g})" if experiment.metric == "seconds per epoch" else ""
        text = f"{seconds:.3g} s{spread}" if seconds < 1000 else f"{seconds:,.0f} s{spread}"
    return ComparisonRow(
        experiment=experiment.name,
        metric=experiment.metric,
        kind="measured",
        machine=_machine(record),
        figure=text,
        source=record.id,
        seconds=seconds,
        failed=isinstance(outcome, Failure) and not running,
        accuracy=None if isinstance(outcome, Failure) else outcome.test_accuracy,
        deviations=record.deviations,
        notes=record.notes,
    )


def _machine(record: TrainingRecord) -> str:
    """Return the machine in words, with the device that trained where it is known."""
    device = f", on {record.placement.device.partition(':')[0]}" if record.placement else ""
    return f"{format_machine(record.machine)}{device}"
