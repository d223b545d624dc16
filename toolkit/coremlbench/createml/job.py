"""A Create ML run as a user starts it: once, with retries, or resumed after a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.createml.engines.choice import ENGINES, EngineChoice, choose_engine
from coremlbench.createml.options import CreateMLOptions, deviations_of
from coremlbench.createml.run import train
from coremlbench.createml.run_context import WorkerCommand
from coremlbench.experiments.catalogue import select
from coremlbench.runs import resume_data
from coremlbench.runs.steps import worker as worker_command
from coremlbench.runs.training_job import Engine, TrainingJob
from coremlbench.system.paths import cache_folder
from coremlbench.types.errors import InputError
from coremlbench.types.process import Progress
from coremlbench.types.training_records import TrainingRecord

EXPERIMENT = "createml"


def _job(
    choice: EngineChoice,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    worker: WorkerCommand,
) -> TrainingJob[CreateMLOptions]:
    """Return the job that runs the chosen engine; ``worker`` is that of ``RunContext``."""
    engine = Engine(
        name=choice.engine.name,
        options_type=CreateMLOptions,
        experiment_of=lambda _: EXPERIMENT,
        deviations_of=deviations_of,
        train=lambda options, record, folder, stages, save, previous_run: train(
            options, choice, record, folder, cache_folder(), stages, save, previous_run, worker=worker
        ),
    )
    return TrainingJob(engine, results, command, on_progress)


def run_createml(
    options: CreateMLOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    worker: WorkerCommand = worker_command,
) -> tuple[TrainingRecord, Path]:
    """Run Create ML's training once; return the record, of a failed run too, and the run's folder.

    ``worker`` is that of ``RunContext``.

    Raises:
        InputError: the engine, the results folder or the data cannot be used; nothing was measured and no record is
            left.
    """
    choice = choose_engine(options)
    options = replace(options, engine=choice.engine.name)
    return _job(choice, results, command, on_progress, worker).run_once(options)


def run_createml_with_retries(
    options: CreateMLOptions,
    retries: int,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> list[tuple[TrainingRecord, Path]]:
    """Run Create ML's training, and repeat it after failures up to ``retries`` times; return all attempts in order.

    Raises:
        InputError: the engine, the results folder or the data cannot be used.
    """
    choice = choose_engine(options)
    options = replace(options, engine=choice.engine.name)
    return _job(choice, results, command, on_progress, worker_command).run_with_retries(options, retries)


def resume_createml(
    run_id: str,
    limits: Mapping[str, Any],
    requested: Mapping[str, Any],
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    worker: WorkerCommand = worker_command,
) -> tuple[TrainingRecord, Path]:
    """Resume a failed run, the newest one if ``run_id`` is ""; return the new record and its folder.

    The settings are those of the failed run, except for ``limits``. ``requested`` are settings given on the command
    line: they must be the same as in the failed run.

    Raises:
        InputError: no run can be resumed, or a requested setting differs.
    """
    failed, failed_folder = resume_data.find_resumable_run(results, [EXPERIMENT], run_id)
    if requested.get("engine") == "auto":
        requested = {name: value for name, value in requested.items() if name != "engine"}
    resume_data.check_same_settings(failed, requested)
    choice = EngineChoice(ENGINES[failed.engine], "the one of the run that this one resumes")
    return _job(choice, results, command, on_progress, worker).resume(failed, failed_folder, limits)


def image_counts(
    dataset: str, train: int | None, test: int | None, scale: float | None
) -> tuple[int | None, int | None]:
    """Return the numbers of training and test images: those given, else the protocol's times ``scale``.

    A scaled number is at least ten, so that every class has an image. For a folder, None means all its images.

    Raises:
        InputError: ``scale`` is given for a folder, whose number of images is not known here.
    """
    from coremlbench_datasets import DATASETS

    if dataset not in DATASETS:
        if scale is not None:
            raise InputError("--scale is a share of the protocol's images; for a folder, use --train and --test.")
        return train, test
    share = 1.0 if scale is None else scale
    (experiment,) = select([EXPERIMENT])
    return (
        train or max(10, round(experiment.train * share)),
        test or max(10, round(experiment.test * share)),
    )
