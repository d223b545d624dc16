"""The Create ML story: from the article's protocol and what the person at the keyboard changes in it to a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from coremlbench.catalogue import deviations, select
from coremlbench.engines.turicreate import CreateMLOptions, train
from coremlbench.paths import cache_folder
from coremlbench.recording import Run, recorded
from coremlbench.types import Progress, Trained, TrainingRecord

FAILED, INTERRUPTED = 3, 130


def create_ml(
    options: CreateMLOptions, *, results: Path, command: Sequence[str], on_progress: Callable[[Progress], None]
) -> tuple[TrainingRecord, Path]:
    """Return the record of a Create ML run and the folder that holds it; a failed run has a record too.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    (experiment,) = select(["createml"])
    settings = {"dataset": options.dataset, "train": options.train, "test": options.test}
    settings |= {"iterations": options.iterations, "augmentation": tuple(sorted(options.augment))}
    run = Run(
        experiment=experiment.name,
        engine="turicreate",
        options=asdict(options),
        deviations=deviations(experiment, settings),
        command=command,
        timeout=options.timeout,
        memory_limit=options.memory_limit,
        silence=options.silence,
    )
    return recorded(
        run,
        lambda record, folder, stages, save: train(options, record, folder, cache_folder(), stages, save),
        results=results,
        on_progress=on_progress,
    )


def scaled(count: int, scale: float | None) -> int:
    """Return a share of the protocol's number of images, at least ten, so that every class has one."""
    return count if scale is None else max(10, round(count * scale))


def exit_code(record: TrainingRecord) -> int:
    """Return 0 for a trained run, 3 for a failed one, 130 for one that Ctrl-C ended."""
    if isinstance(record.outcome, Trained):
        return 0
    return INTERRUPTED if record.outcome.kind == "interrupted" else FAILED
