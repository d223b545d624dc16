"""TensorFlow runs as a user starts them: the settings, single runs, batch ladders and resumed runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.experiments.catalogue import select
from coremlbench.failures.retry import Retry, retry_after
from coremlbench.runs import resume_data
from coremlbench.runs.lifecycle import FAILED, INTERRUPTED
from coremlbench.runs.training_job import Engine, TrainingJob
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.paths import cache_folder
from coremlbench.training.run import TensorFlowOptions, deviations_of, protocol_options, train
from coremlbench.types.errors import InputError
from coremlbench.types.experiments import Experiment
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import Trained, TrainingRecord


@dataclass(frozen=True)
class Overrides:
    """Settings that replace those of the experiments' protocols; None keeps the protocol's.

    ``scale`` is the share of the images to use; with at most a tenth of them, at most three epochs are trained.
    ``dataset`` and ``image_size`` apply to experiments on image files only. ``sources`` maps a dataset's name to the
    path of a local copy. ``timeout`` and ``silence`` are seconds, ``memory_limit`` is bytes.
    """

    scale: float | None = None
    train: int | None = None
    test: int | None = None
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    image_size: int | None = None
    dataset: str | None = None
    sources: Mapping[str, str] | None = None
    weights: str | None = None
    device: str = "auto"
    check_device: bool = False
    seed: int = 0
    timeout: float | None = None
    silence: float | None = None
    memory_limit: int | None = None


def resolve_options(experiment: Experiment, overrides: Overrides, results: Path | None = None) -> TensorFlowOptions:
    """Return the settings of a run: the experiment's protocol with the overrides that apply to it.

    For a folder of images, all images are used unless counts are given. ``results`` is the folder of records, for the
    command that a message advises.

    Raises:
        InputError: the experiment is not a TensorFlow one, or ``scale`` is given for a folder without counts.
    """
    if experiment.family != "tensorflow":
        command = advised_command(experiment.name, results=results)
        raise InputError(f"{experiment.name} is not a TensorFlow experiment; run it with `{command}`.")
    from coremlbench_datasets import DATASETS

    defaults = protocol_options(experiment)
    on_images = experiment.takes == "images"
    dataset = (overrides.dataset or "drawn-food") if on_images else experiment.dataset
    is_folder = on_images and dataset not in DATASETS
    if is_folder and overrides.scale is not None and None in (overrides.train, overrides.test):
        raise InputError("--scale is a share of the protocol's images; for a folder, use --train and --test.")
    side, channels = overrides.image_size, defaults.input_shape[2]
    return replace(
        defaults,
        dataset=dataset,
        source=(overrides.sources or {}).get(dataset),
        train=_image_count(None if is_folder else defaults.train, overrides.train, overrides.scale),
        test=_image_count(None if is_folder else defaults.test, overrides.test, overrides.scale),
        epochs=overrides.epochs or _scaled_epochs(defaults.epochs, overrides.scale),
        batch=overrides.batch or defaults.batch,
        learning_rate=defaults.learning_rate if overrides.learning_rate is None else overrides.learning_rate,
        input_shape=(side, side, channels) if on_images and side else defaults.input_shape,
        weights=_absolute_weights(overrides.weights or defaults.weights) if defaults.weights else None,
        device=overrides.device,
        check_device=overrides.check_device,
        seed=overrides.seed,
        timeout=overrides.timeout,
        silence=overrides.silence,
        memory_limit=overrides.memory_limit,
    )


def _absolute_weights(weights: str) -> str:
    """Return "imagenet" and "random" unchanged, and the path of a file as an absolute path."""
    return weights if weights in {"imagenet", "random"} else str(Path(weights).expanduser().absolute())


def _image_count(protocol_count: int | None, requested: int | None, scale: float | None) -> int | None:
    """Return the number of images, None for all; a scaled number is at least ten, so that every class has an image."""
    if requested is not None or protocol_count is None:
        return requested
    return protocol_count if scale is None else min(protocol_count, max(10, round(protocol_count * scale)))


def _scaled_epochs(protocol_epochs: int, scale: float | None) -> int:
    return protocol_epochs if scale is None or scale > 0.1 else min(protocol_epochs, 3)


TENSORFLOW_ENGINE = Engine(
    name="tensorflow",
    options_type=TensorFlowOptions,
    experiment_of=lambda options: options.experiment,
    deviations_of=deviations_of,
    train=lambda options, record, folder, stages, save, previous_run: train(
        options, record, folder, cache_folder(), stages, save, previous_run
    ),
)


def train_once(
    options: TensorFlowOptions, *, results: Path, command: Sequence[str], on_progress: Callable[[Progress], None]
) -> tuple[TrainingRecord, Path]:
    """Train once; return the record, of a failed run too, and the run's folder.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    return TrainingJob(TENSORFLOW_ENGINE, results, command, on_progress).run_once(options)


def train_with_ladder(
    options: TensorFlowOptions,
    batches: Sequence[int],
    *,
    retries: int = 0,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> list[tuple[TrainingRecord, Path]]:
    """Train with the largest of ``batches``, and after a failure for memory with the next smaller one; return all runs.

    Without ``batches``, the batch size of the options is used, with up to ``retries`` attempts after the first; with
    them, each batch size has one attempt. Every run has its own record. A failure for another reason ends the ladder,
    since a smaller batch would not avoid it. (The author of the article did the same on the M1 by hand.)

    Raises:
        InputError: the results folder or the data cannot be used.
    """
    job = TrainingJob(TENSORFLOW_ENGINE, results, command, on_progress)
    if not batches:
        return job.run_with_retries(options, retries)
    runs = []
    for batch in sorted(set(batches), reverse=True):
        runs.append(job.run_once(replace(options, batch=batch)))
        outcome = runs[-1][0].outcome
        if not (isinstance(outcome, Failure) and retry_after(outcome.kind) is Retry.LESS_MEMORY):
            break
    return runs


def resume_training(
    run_id: str,
    experiments: Collection[str],
    limits: Mapping[str, Any],
    requested: Callable[[Experiment], Mapping[str, Any]],
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> tuple[TrainingRecord, Path]:
    """Resume a failed run, the newest one of the ``experiments`` if ``run_id`` is ""; return record and folder.

    The settings are those of the failed run, except for ``limits``. ``requested`` returns the settings given on the
    command line, as they are for an experiment: they must be the same as in the failed run.

    Raises:
        InputError: no run can be resumed, or a requested setting differs.
    """
    failed, failed_folder = resume_data.find_resumable_run(results, experiments, run_id)
    (experiment,) = select([failed.experiment])
    resume_data.check_same_settings(failed, requested(experiment))
    return TrainingJob(TENSORFLOW_ENGINE, results, command, on_progress).resume(failed, failed_folder, limits)


def tensorflow_experiments() -> tuple[Experiment, ...]:
    """Return the experiments that TensorFlow trains, in the catalogue's order."""
    return tuple(experiment for experiment in select() if experiment.family == "tensorflow")


def training_exit_code(records: Sequence[TrainingRecord]) -> int:
    """Return 0 if all runs trained, 130 if one was interrupted, 3 if one failed.

    A failed step of a batch ladder does not count when a later step of the same experiment trained.
    """
    trained = {record.experiment for record in records if isinstance(record.outcome, Trained)}
    failures = [
        record.outcome.kind
        for record in records
        if isinstance(record.outcome, Failure) and record.experiment not in trained
    ]
    if "interrupted" in failures:
        return INTERRUPTED
    return FAILED if failures else 0
