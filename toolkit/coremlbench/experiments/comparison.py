"""Compare published and measured figures of each experiment: pure functions from records to table rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from coremlbench.experiments.catalogue import workload_deviations
from coremlbench.experiments.published import PUBLISHED
from coremlbench.system.formatting import format_count
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

    ``machine_id`` tells which runs are this machine's. The reference of the ratios is the run of this machine with the
    fewest workload deviations, of several the newest. A row has a ratio only if its workload is the reference's, and
    a run also only if its engine is. Failed runs have rows too.
    """
    records = sorted(records, key=lambda record: record.started)
    rows: list[ComparisonRow] = []
    for experiment in experiments:
        runs = [record for record in records if record.experiment == experiment.name]
        reference = _reference(runs, experiment, machine_id)
        rows += [
            _with_ratio(_published_row(figure), reference, experiment)
            for figure in PUBLISHED
            if figure.experiment == experiment.name
        ]
        for run in runs:
            row = _measured_row(run, experiment)
            if reference is not None and run.engine == reference.engine:  # other engines do other work for the same
                row = _with_ratio(row, reference, experiment)
            rows.append(replace(row, this_machine=run.machine.id == machine_id, reference=run is reference))
    return tuple(rows)


def compared_seconds(record: TrainingRecord, experiment: Experiment) -> float | None:
    """Return the seconds that the experiment compares, ``None`` for a run that failed, was resumed or has no figure.

    A stand-in's run has none either.

    "seconds per epoch" is the mean of the epochs from the second on. "total seconds" is the time of training and
    testing, without the start of TensorFlow and the preparation of data. "pictures to model" is the time of all phases
    but setup and data, in which only a machine's first run downloads. ``fsum`` gives the same sum on every Python.
    """
    if isinstance(record.outcome, Failure) or record.resumed_from or record.stand_in:
        return None
    if experiment.metric == "seconds per epoch":
        later = [row.seconds for row in record.epochs if row.epoch > 1]
        return statistics.fmean(later) if later else None
    if experiment.metric == "total seconds":
        tested = [phase.seconds for phase in record.phases if phase.name == "evaluate"]
        return math.fsum([*(row.seconds for row in record.epochs), *tested])
    return math.fsum(phase.seconds for phase in record.phases if phase.name in PICTURES_TO_MODEL) or None


def _reference(runs: Sequence[TrainingRecord], experiment: Experiment, machine_id: str) -> TrainingRecord | None:
    """Return this machine's newest run that has a figure, of those with the fewest workload deviations.

    On Linux no run has the protocol's extractor, but one with all images is still preferred to one with a tenth.
    """
    own_runs = [run for run in runs if run.machine.id == machine_id and compared_seconds(run, experiment) is not None]
    return min(reversed(own_runs), key=lambda run: len(workload_deviations(run.deviations)), default=None)


def _with_ratio(row: ComparisonRow, reference: TrainingRecord | None, experiment: Experiment) -> ComparisonRow:
    """Return the row with its ratio to the reference if both have the same workload, else unchanged."""
    base = None if reference is None else compared_seconds(reference, experiment)
    if reference is None or not base or row.seconds is None:
        return row
    same_workload = workload_deviations(row.deviations) == workload_deviations(reference.deviations)
    return replace(row, ratio=row.seconds / base) if same_workload else row


def _published_row(figure: Published) -> ComparisonRow:
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


def _measured_row(record: TrainingRecord, experiment: Experiment) -> ComparisonRow:
    outcome = record.outcome
    failed = isinstance(outcome, Failure) and outcome.kind != "running"
    return ComparisonRow(
        experiment=experiment.name,
        metric=experiment.metric,
        kind="measured",
        machine=_machine_and_device(record),
        figure=_measured_text(record, experiment),
        source=record.id,
        seconds=compared_seconds(record, experiment),
        failed=failed,
        accuracy=None if isinstance(outcome, Failure) else outcome.test_accuracy,
        deviations=record.deviations,
        notes=record.notes,
        test_images=record.dataset.test if record.dataset else 0,
        data=record.dataset.name if record.dataset else "",
    )


def _measured_text(record: TrainingRecord, experiment: Experiment) -> str:
    """Return the figure of a run as "12.3 s (11.9–12.8)", or why it has none."""
    outcome = record.outcome
    if isinstance(outcome, Failure):
        if outcome.kind == "running":
            return "not ended yet"
        done = f" after {format_count(len(record.epochs), 'epoch')}" if record.epochs else ""
        return f"failed{done}: {outcome.reason}"
    if record.resumed_from:
        return f"trained, resumed from {record.resumed_from}: not compared"
    if record.stand_in:
        return f"trained by the tests' stand-in for {record.stood_in_for}: not compared"
    seconds = compared_seconds(record, experiment)
    if seconds is None:
        return "trained, but no epoch after the first"
    later = [row.seconds for row in record.epochs if row.epoch > 1]
    spread = f" ({min(later):.3g}–{max(later):.3g})" if experiment.metric == "seconds per epoch" else ""
    return f"{seconds:.3g} s{spread}" if seconds < 1000 else f"{seconds:,.0f} s{spread}"


def _machine_and_device(record: TrainingRecord) -> str:
    """Return the machine as text, with the device that trained if it is known."""
    device = f", on {record.placement.device.partition(':')[0]}" if record.placement else ""
    return f"{format_machine(record.machine)}{device}"
