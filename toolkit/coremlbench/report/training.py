"""The report's rows on training: a row per experiment, machine and settings, and Create ML runs in full."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from coremlbench.experiments.catalogue import EXPERIMENTS, workload_deviations
from coremlbench.experiments.comparison import compared_seconds
from coremlbench.report.types import ClassifierRun, SamplePicture, Source, TrainingRow
from coremlbench.system.formatting import format_count
from coremlbench.types.experiments import Experiment
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import Trained, TrainingRecord

PROTOCOL = "the protocol's work"
_BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}
_RANK = {experiment.name: rank for rank, experiment in enumerate(EXPERIMENTS)}


def training_rows(records: Sequence[TrainingRecord]) -> tuple[TrainingRow, ...]:
    """Return a row for each experiment, machine and settings, in the catalogue's order, the fastest first.

    ``records`` are oldest first. Runs of one machine with the same settings share a row, which has the figure of the
    newest finished run and the range of all runs. Runs in progress are left out.
    """
    groups: dict[tuple[str, ...], list[TrainingRecord]] = {}
    for record in records:
        if not (isinstance(record.outcome, Failure) and record.outcome.kind == "running"):
            key = (record.experiment, record.machine.id, _device(record), *_settings(record))
            groups.setdefault(key, []).append(record)
    rows = _with_ratios([_row(group) for group in groups.values()])
    return tuple(sorted(rows, key=_sort_key))


def _with_ratios(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """Return the rows with the ratio of each time to the fastest one of the same experiment and work."""
    fastest: dict[tuple[str, str], float] = {}
    for row in rows:
        if row.seconds is not None:
            key = (row.experiment, row.work)
            fastest[key] = min(fastest.get(key, row.seconds), row.seconds)
    return [
        replace(row, ratio=row.seconds / fastest[row.experiment, row.work])
        if row.seconds is not None and fastest[row.experiment, row.work] > 0
        else row
        for row in rows
    ]


def _sort_key(row: TrainingRow) -> tuple[int, str, bool, str, bool, float, str]:
    rank = _RANK.get(row.experiment, len(_RANK))
    seconds = float("inf") if row.seconds is None else row.seconds
    return rank, row.experiment, not row.work.startswith(PROTOCOL), row.work, row.seconds is None, seconds, row.machine


def _row(group: Sequence[TrainingRecord]) -> TrainingRow:
    """Return the row of one machine's runs with the same settings, given oldest first."""
    newest_first = list(reversed(group))
    figures = [(record, seconds) for record in newest_first if (seconds := _seconds(record)) is not None]
    newest, seconds = figures[0] if figures else (newest_first[0], None)
    experiment = _BY_NAME.get(newest.experiment)
    outcome = newest.outcome
    all_seconds = [run_seconds for _, run_seconds in figures]
    return TrainingRow(
        record=newest.id,
        machine=newest.machine.id,
        experiment=newest.experiment,
        metric=experiment.metric if experiment else "whole run",
        device=_device(newest),
        work=_work(newest),
        deviations=newest.deviations,
        runs=len(group),
        failed=sum(isinstance(record.outcome, Failure) for record in group),
        records=tuple(record.id for record in newest_first),
        seconds=seconds,
        low=min(all_seconds) if len(all_seconds) > 1 else None,
        high=max(all_seconds) if len(all_seconds) > 1 else None,
        first_epoch=newest.epochs[0].seconds if newest.epochs and not newest.resumed_from else None,
        epochs=tuple(row.seconds for row in newest.epochs),
        accuracy=outcome.test_accuracy if isinstance(outcome, Trained) else None,
        peak_bytes=newest.peak_bytes,
        failure=f"{outcome.kind}: {outcome.reason}" if isinstance(outcome, Failure) else "",
        data=newest.dataset.name if newest.dataset else "",
        test_images=newest.dataset.test if newest.dataset else 0,
    )


def _seconds(record: TrainingRecord) -> float | None:
    """Return the seconds that the experiment compares, or those of the whole run for an unknown experiment.

    ``None`` for a failed run, or one without an epoch after the first.
    """
    if isinstance(record.outcome, Failure):
        return None
    experiment: Experiment | None = _BY_NAME.get(record.experiment)
    return record.seconds if experiment is None else compared_seconds(record, experiment)


def _device(record: TrainingRecord) -> str:
    return record.placement.device.partition(":")[0] if record.placement else ""


def _settings(record: TrainingRecord) -> tuple[str, ...]:
    return (record.engine, _work(record), *sorted(record.deviations))


def _work(record: TrainingRecord) -> str:
    """Return what was computed as a text; runs with equal texts did equal work and can be compared."""
    other = workload_deviations(record.deviations)
    parts = [deviation for deviation in record.deviations if deviation in other] or [PROTOCOL]
    extractor = record.options.get("extractor")
    if extractor and extractor != "auto" and f"extractor {extractor}" not in other:  # not twice; auto says nothing
        parts.append(f"features of {extractor}")
    if record.stand_in:
        parts.append(f"the tests' stand-in, not {record.stood_in_for}")
    elif record.engine == "createml":  # it is the protocol's, and its times are not those of Turi Create
        parts.append("engine createml")
    if record.resumed_from:
        parts.append("resumed, so not a whole run")
    return ", ".join(parts)


def classifier_runs(sources: Sequence[Source]) -> tuple[ClassifierRun, ...]:
    """Return the newest finished Create ML run of each machine and settings, those with most images first."""
    newest: dict[tuple[str, ...], ClassifierRun] = {}
    for source in sources:
        record = source.record
        if isinstance(record, TrainingRecord) and record.experiment == "createml":
            run = _classifier(record, source)
            if run is not None:
                newest[(record.machine.id, *_settings(record))] = run
    return tuple(sorted(newest.values(), key=lambda run: (-(run.train + run.validation), run.machine, run.record)))


def _engine_prefix(record: TrainingRecord) -> str:
    """Return the engine and its version as the beginning of a text; "" for a record of an earlier release."""
    version = record.versions.get(record.engine, "")
    return f"{record.engine}{version and f' {version}'}, " if "engine chosen" in record.options else ""


def _classifier(record: TrainingRecord, source: Source) -> ClassifierRun | None:
    """Return a finished run with its images; ``None`` for a failed one."""
    outcome, data = record.outcome, record.dataset
    if not isinstance(outcome, Trained) or data is None:
        return None
    solver = outcome.solver
    agreement = record.model.agreement if record.model else None
    samples = [
        SamplePicture(
            sample.actual, sample.predicted, sample.mistake, base64.b64encode(source.pictures[sample.path]).decode()
        )
        for sample in outcome.samples
        if sample.path in source.pictures
    ]
    return ClassifierRun(
        record=record.id,
        machine=record.machine.id,
        data=data.name,
        extractor=str(record.options.get("extractor", "")),
        seconds=record.seconds,
        test_accuracy=outcome.test_accuracy,
        validation_accuracy=outcome.validation_accuracy,
        training_accuracy=outcome.training_accuracy,
        train=data.train,
        validation=data.validation,
        test=data.test,
        solver=f"{_engine_prefix(record)}{solver.name}, {solver.iterations} of at most "
        f"{format_count(solver.max_iterations, 'iteration')}: {solver.status}"
        if solver
        else "",
        model=f"{record.model.format}, {record.model.precision}; predicts what was trained for {agreement.equal:,} of "
        f"{agreement.images:,} test pictures, run on: {agreement.runtime}"
        if record.model and agreement
        else "",
        deviations=record.deviations,
        phases=record.phases,
        iterations=record.iterations,
        per_class=outcome.per_class,
        confusion=outcome.confusion,
        samples=tuple(samples),
    )
