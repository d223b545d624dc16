"""The stories, each a short list of plain calls: the Create ML run, and converting and timing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench import kept
from coremlbench.catalogue import select
from coremlbench.engines.turicreate import CreateMLOptions, deviations_of, train
from coremlbench.paths import cache_folder
from coremlbench.recording import INTERRUPTED, Run, recorded
from coremlbench.retries import attempts
from coremlbench.types import InputError, Progress, TrainingRecord

if TYPE_CHECKING:
    from coremlbench.convert import ConvertOptions
    from coremlbench.coreml_types import TimingRecord
    from coremlbench.kit import Kit
    from coremlbench.timing import OnRound
    from coremlbench.timing_plan import Subject, TimingOptions


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
    record, broken = kept.broken_run(results, ["createml"], wanted)
    kept.check_same(record, asked)
    names = {field.name for field in fields(CreateMLOptions)}
    options = CreateMLOptions(**{name: value for name, value in record.options.items() if name in names})
    options = replace(options, augment=tuple(options.augment), **changes)
    return kept.go_on(
        record,
        broken,
        lambda: create_ml(
            options,
            results=results,
            command=command,
            on_progress=on_progress,
            also=kept.resumed(record),
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


# --- converting and timing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConvertedAndTimed:
    """What came of it: the packages, the exit code of the conversions, and the matrix unless there was none to time."""

    subject: Subject
    exit_code: int
    timing: tuple[TimingRecord, Path] | None


def convert_and_time(
    models: Sequence[str],
    conversion: ConvertOptions,
    timing: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
    kit: Path | None = None,
) -> ConvertedAndTimed:
    """Return the matrix of what the models were converted to; packages that failed or are wrong are not timed.

    Raises:
        InputError: a model cannot be used, nothing can run here, or a folder cannot be used.
    """
    from coremlbench import convert, sources
    from coremlbench.timing import check_here, this_machine, time_models
    from coremlbench.timing_subjects import subject_of

    here = this_machine()
    check_here(timing, kit, here)
    found = sources.resolve_all(models, results=results, allow_code=conversion.allow_code)
    conversions = convert.convert_models(
        found or sources.default_sources(results, timing.seed),
        conversion,
        results=results,
        command=command,
        on_progress=on_progress,
    )
    subject, code = subject_of(conversions), convert.exit_code([record for record, _ in conversions])
    if not subject.packages or code == INTERRUPTED:
        return ConvertedAndTimed(subject, code, None)
    timed = time_models(
        subject,
        timing,
        results=results,
        command=command,
        on_progress=on_progress,
        here=here,
        on_round=on_round,
        kit=kit,
    )
    return ConvertedAndTimed(subject, code, timed)


def time_kit(
    kit: Kit,
    timing: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the matrix of a kit's packages on this machine.

    Raises:
        InputError: nothing of it can run here, or the results folder cannot be used.
    """
    from coremlbench.timing import this_machine, time_models

    return time_models(
        kit.subject,
        timing,
        results=results,
        command=command,
        on_progress=on_progress,
        here=this_machine(),
        on_round=on_round,
    )
