"""The TensorFlow story: from a protocol and what the person at the keyboard changes in it to saved records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from coremlbench.experiments.catalogue import select
from coremlbench.runs import resume_data
from coremlbench.runs.lifecycle import FAILED, INTERRUPTED, Run, recorded
from coremlbench.runs.retries import MEMORY, attempts
from coremlbench.system.paths import cache_folder
from coremlbench.training.run import TensorFlowOptions, deviations_of, protocol, train
from coremlbench.types.errors import InputError
from coremlbench.types.experiments import Experiment
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import Trained, TrainingRecord


@dataclass(frozen=True)
class Changes:
    """What is changed of every experiment's protocol; ``None`` keeps the protocol's.

    ``scale`` takes a share of the images, and from a tenth down at most three epochs: a first look. ``dataset`` and
    ``image_size`` are for the experiments on pictures; ``sources`` maps a dataset's name to a local copy of it.
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


def plan(experiment: Experiment, changes: Changes) -> TensorFlowOptions:
    """Return the settings of one run: the experiment's protocol, with the changes that concern it.

    A folder of one's own gives all it has, unless counts are asked for.

    Raises:
        InputError: The experiment is not one of TensorFlow's, or a share is asked for of a folder.
    """
    if experiment.family != "tensorflow":
        raise InputError(
            f"{experiment.name} is not a TensorFlow experiment; run it with `coremlbench {experiment.name}`."
        )
    from coremlbench_datasets import DATASETS

    own = protocol(experiment)
    pictures = experiment.takes == "images"
    dataset = (changes.dataset or "drawn-food") if pictures else experiment.dataset
    side, channels = changes.image_size, own.input_shape[2]
    folder = pictures and dataset not in DATASETS
    if folder and changes.scale is not None and None in (changes.train, changes.test):
        raise InputError("--scale is a share of the protocol's images; for a folder, use --train and --test.")
    return replace(
        own,
        dataset=dataset,
        source=(changes.sources or {}).get(dataset),
        train=_count(None if folder else own.train, changes.train, changes.scale),
        test=_count(None if folder else own.test, changes.test, changes.scale),
        epochs=changes.epochs or (own.epochs if changes.scale is None or changes.scale > 0.1 else min(own.epochs, 3)),
        batch=changes.batch or own.batch,
        learning_rate=own.learning_rate if changes.learning_rate is None else changes.learning_rate,
        input_shape=(side, side, channels) if pictures and side else own.input_shape,
        weights=_weights(changes.weights or own.weights) if own.weights else None,
        device=changes.device,
        check_device=changes.check_device,
        seed=changes.seed,
        timeout=changes.timeout,
        silence=changes.silence,
        memory_limit=changes.memory_limit,
    )


def _weights(wanted: str) -> str:
    """Return the name of weights as it is, and the path of a file as an absolute one."""
    return wanted if wanted in {"imagenet", "random"} else str(Path(wanted).expanduser().absolute())


def _count(protocol_count: int | None, wanted: int | None, scale: float | None) -> int | None:
    """Return how many images to take, ``None`` for all: at least ten of a share, so that every class has one."""
    if wanted is not None or protocol_count is None:
        return wanted
    return protocol_count if scale is None else min(protocol_count, max(10, round(protocol_count * scale)))


def train_once(
    options: TensorFlowOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    also: Mapping[str, Any] | None = None,
    broken: Path | None = None,
) -> tuple[TrainingRecord, Path]:
    """Return the record of one run and the folder that holds it; a failed run has a record too.

    ``also`` holds further fields of the record, ``broken`` is the folder of a run that this one goes on with.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    run = Run(
        record=TrainingRecord,
        experiment=options.experiment,
        engine="tensorflow",
        options=asdict(options) | {"input_shape": list(options.input_shape)},  # as JSON has it
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


def train_with_ladder(
    options: TensorFlowOptions,
    batches: Sequence[int],
    *,
    retries: int = 0,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> list[tuple[TrainingRecord, Path]]:
    """Return the runs of a batch ladder: the largest batch first, each in fresh processes, until one fits in memory.

    Without a ladder, ``retries`` attempts may follow the first; with one, each batch has its one attempt.

    Every run is a record of its own: those that failed for memory, and the first that worked. Another failure ends
    the ladder, since a smaller batch would not mend it. The article's author did the same on the M1 by hand.

    Raises:
        InputError: the results folder or the data cannot be used.
    """
    if not batches:
        return attempts(
            lambda each, also: train_once(each, results=results, command=command, on_progress=on_progress, also=also),
            options,
            retries,
        )
    runs = []
    for batch in sorted(set(batches), reverse=True):
        step = replace(options, batch=batch)
        runs.append(train_once(step, results=results, command=command, on_progress=on_progress))
        outcome = runs[-1][0].outcome
        if not (isinstance(outcome, Failure) and outcome.kind in MEMORY):
            break
    return runs


def resume(
    wanted: str,
    experiments: Collection[str],
    changes: Mapping[str, Any],
    asked: Callable[[Experiment], Mapping[str, Any]],
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> tuple[TrainingRecord, Path]:
    """Return the record of a run that goes on with a broken one (the newest, if ``wanted`` is empty), and its folder.

    It has the broken run's settings; ``changes`` are its own limits. ``asked`` gives the settings of its experiment
    that must be the same.

    Raises:
        InputError: there is nothing to go on with, or what was asked for is something else.
    """
    record, broken = resume_data.broken_run(results, experiments, wanted)
    (experiment,) = select([record.experiment])
    resume_data.check_same(record, asked(experiment))
    names = {field.name for field in fields(TensorFlowOptions)}
    options = TensorFlowOptions(**{name: value for name, value in record.options.items() if name in names})
    height, width, channels = options.input_shape
    options = replace(options, input_shape=(height, width, channels), **changes)
    return resume_data.go_on(
        record,
        broken,
        lambda: train_once(
            options,
            results=results,
            command=command,
            on_progress=on_progress,
            also=resume_data.resumed(record),
            broken=broken,
        ),
    )


def planned() -> tuple[Experiment, ...]:
    """Return the experiments of TensorFlow, in the catalogue's order."""
    return tuple(experiment for experiment in select() if experiment.family == "tensorflow")


def exit_code(records: Sequence[TrainingRecord]) -> int:
    """Return 0 when all trained, 130 when one was interrupted, 3 when one failed.

    A batch that failed for memory is a result of its ladder, not a failure, when a later step of it trained.
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
