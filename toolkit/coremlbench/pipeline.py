"""The stories: what each main command does, step by step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

from coremlbench import __version__, store
from coremlbench.catalogue import deviations, select
from coremlbench.engines import turicreate
from coremlbench.machine import describe_machine
from coremlbench.paths import cache_folder
from coremlbench.stages import StageFailedError, Stages
from coremlbench.types import Evidence, Failure, InputError, Progress, Trained, TrainingRecord

UNFINISHED = Failure(
    kind="unfinished",
    reason="The run did not come to its end: it is still running, or it was killed from outside.",
    hint="Run it again.",
    evidence=Evidence(),
)


def create_ml(
    options: turicreate.CreateMLOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> tuple[TrainingRecord, Path]:
    """Return the record of a Create ML run and the folder that holds it; a failed run has a record too.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    store.check_results_folder(results)
    store.sweep(results)
    started = datetime.now(timezone.utc)
    folder = store.new_run_folder(results, "createml", started)
    clock = time.monotonic()
    stages = Stages(
        folder / "work",
        on_progress,
        timeout=options.timeout,
        memory_bytes=options.memory_limit,
        silence=options.silence,
    )
    record = _begin(options, folder, started, command)
    known = [record]

    def save(each: TrainingRecord) -> None:
        """Keep what is known so far; the run stays marked as unfinished until its end."""
        known.append(each)
        store.save(replace(each, outcome=UNFINISHED), folder)

    with store.hold(folder):
        save(record)
        try:
            record = turicreate.train(options, record, folder, cache_folder(), stages, save)
        except StageFailedError as failed:
            if (failed.ended.error or {}).get("type") == "InputError":
                shutil.rmtree(folder, ignore_errors=True)
                raise InputError(str((failed.ended.error or {})["message"])) from failed
            record = replace(
                known[-1], outcome=failed.failure, peak_bytes=max(known[-1].peak_bytes, failed.ended.peak_bytes)
            )
        finally:
            store.put_away(stages.work, folder)
        record = replace(record, seconds=time.monotonic() - clock, ended=datetime.now(timezone.utc).isoformat())
        saved = store.save(record, folder)
    return record, saved.parent


def scaled(count: int, scale: float | None) -> int:
    """Return a share of the protocol's number of images, at least ten, so that every class has one."""
    return count if scale is None else max(10, round(count * scale))


def exit_code(record: TrainingRecord) -> int:
    """Return 0 for a trained run, 3 for a failed one, 130 for one that Ctrl-C ended."""
    if isinstance(record.outcome, Trained):
        return 0
    return 130 if record.outcome.kind == "interrupted" else 3


def _begin(
    options: turicreate.CreateMLOptions, folder: Path, started: datetime, command: Sequence[str]
) -> TrainingRecord:
    (experiment,) = select(["createml"])
    settings = asdict(options)
    return TrainingRecord(
        id=folder.name,
        experiment=experiment.name,
        started=started.isoformat(),
        command=("coremlbench", *command[1:]),
        coremlbench=__version__,
        machine=describe_machine(),
        engine="turicreate",
        options=settings,
        outcome=UNFINISHED,
        deviations=deviations(
            experiment,
            {
                "dataset": options.dataset,
                "train": options.train,
                "test": options.test,
                "iterations": options.iterations,
                "augmentation": tuple(sorted(options.augment)),
            },
        ),
    )
