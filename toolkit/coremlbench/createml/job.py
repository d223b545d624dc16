"""The Create ML job: one run, its retries, and how a broken run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from coremlbench.createml.run import CreateMLOptions, deviations_of, train
from coremlbench.experiments.catalogue import select
from coremlbench.runs import resume_data
from coremlbench.runs.lifecycle import Run, recorded
from coremlbench.runs.retries import attempts
from coremlbench.system.paths import cache_folder
from coremlbench.types.errors import InputError
from coremlbench.types.process import Progress
from coremlbench.types.training_records import TrainingRecord


def create_ml(
    options: CreateMLOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    also: Mapping[str, Any] | None = None,
    broken: Path | None = None,
) -> tuple[TrainingRecord, Path]:
    """Return the record of a Create ML run and the folder that holds it; a failed run has a record too.

    ``also`` holds further fields of the record, ``broken`` is the folder of a run that this one goes on with.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    run = Run(
        record=TrainingRecord,
        experiment="createml",
        engine="turicreate",
        options=asdict(options),
        deviations=deviations_of(options),
        command=command,
        limits=options,
        also=also or {},
    )
    return recorded(
        run,
        lambda record, folder, stages, save: train(options, record, folder, cache_folder(), stages, save, broken),
        results=results,
        on_progress=on_progress,
    )


def create_ml_attempts(
    options: CreateMLOptions,
    retries: int,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> list[tuple[TrainingRecord, Path]]:
    """Return the attempts at a Create ML run, oldest first, up to ``retries`` after the first.

    Raises:
        InputError: the results folder or the data cannot be used.
    """
    return attempts(
        lambda each, also: create_ml(each, results=results, command=command, on_progress=on_progress, also=also),
        options,
        retries,
    )


def resume_create_ml(
    wanted: str,
    changes: Mapping[str, Any],
    asked: Mapping[str, Any],
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> tuple[TrainingRecord, Path]:
    """Return the record of a run that goes on with a broken one (the newest, if ``wanted`` is empty), and its folder.

    It has the broken run's settings; ``changes`` are its own limits. ``asked`` are settings that must be the same.

    Raises:
        InputError: there is nothing to go on with, or what was asked for is something else.
    """
    record, broken = resume_data.broken_run(results, ["createml"], wanted)
    resume_data.check_same(record, asked)
    names = {field.name for field in fields(CreateMLOptions)}
    options = CreateMLOptions(**{name: value for name, value in record.options.items() if name in names})
    options = replace(options, augment=tuple(options.augment), **changes)
    return resume_data.go_on(
        record,
        broken,
        lambda: create_ml(
            options,
            results=results,
            command=command,
            on_progress=on_progress,
            also=resume_data.resumed(record),
            broken=broken,
        ),
    )


def counts(dataset: str, train: int | None, test: int | None, scale: float | None) -> tuple[int | None, int | None]:
    """Return how many training and test images to take: those asked for, else the protocol's or a share of them.

    A folder of one's own gives all it has. A share is at least ten images, so that every class has one.

    Raises:
        InputError: a share is asked for of a folder, whose size is not known here.
    """
    from coremlbench_datasets import DATASETS

    if dataset not in DATASETS:
        if scale is not None:
            raise InputError("--scale is a share of the protocol's images; for a folder, use --train and --test.")
        return train, test
    share = 1.0 if scale is None else scale
    (experiment,) = select(["createml"])
    protocol = (max(10, round(experiment.train * share)), max(10, round(experiment.test * share)))
    return train or protocol[0], test or protocol[1]
