"""The conversion story: sources become Core ML packages in several variants, each proven, one record a model."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from coremlbench.conversion.convert_model import convert_one
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import READY
from coremlbench.conversion.variants import TARGETS, find_variants
from coremlbench.runs.lifecycle import FAILED, INTERRUPTED, Run, run_and_record
from coremlbench.system import serialization
from coremlbench.system.files import slug
from coremlbench.system.paths import cache_folder
from coremlbench.system.signals import Signals
from coremlbench.types.conversion import ConversionRecord, Converted, ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress

OPENED = ("keras", "h5", "saved-model")
"""Formats of models whose inputs and outputs options may explain."""

OnProgress = Callable[[Progress], None]


def convert_models(
    sources: Sequence[ModelSource | UnopenedModel],
    options: ConvertOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: OnProgress,
) -> list[tuple[ConversionRecord, Path]]:
    """Return the record of each model and the folder that holds it and its packages, in the order of the sources.

    A model that cannot be converted has a record too. After an interruption the models that had not begun are left
    out.

    Raises:
        InputError: an option is wrong, the results folder cannot be used, or the only model cannot be opened.
    """
    check_options(options)
    options = replace(options, batches=tuple(dict.fromkeys(options.batches)))
    one = partial(_recorded, options=options, results=results, command=command, several=len(sources) > 1)
    jobs = min(len(sources), options.jobs or default_jobs())
    if jobs <= 1:
        found: list[tuple[ConversionRecord, Path]] = []
        for source in sources:
            found.append(one(source, on_progress=on_progress))
            if exit_code([found[-1][0]]) == INTERRUPTED:
                break
        return found
    tell = _Together(len(sources), on_progress)
    with Signals() as signals, ThreadPoolExecutor(jobs, thread_name_prefix="convert") as pool:
        futures = [pool.submit(_unless, signals, one, source, tell) for source in sources]
        return [record for record in (future.result() for future in futures) if record is not None]


def default_jobs() -> int:
    """Return how many models to convert side by side: conversions are mostly one thread, and take a gigabyte or two."""
    import psutil

    by_memory = psutil.virtual_memory().available // (3 << 30)
    return max(1, min(4, os.cpu_count() or 1, int(by_memory)))


def check_options(options: ConvertOptions) -> None:
    """Raise ``InputError`` for options that no model could be converted with."""
    find_variants(options.variants)
    if options.target not in TARGETS:
        raise InputError(f"There is no target {options.target!r}; choose from {', '.join(TARGETS)}.")
    if not options.batches or min(options.batches) < 1:
        raise InputError("A batch holds one input at least: --batch 1,8.")
    if len(set(options.classes)) < len(options.classes) or not all(options.classes):
        raise InputError("Each class has a name of its own: --classes cat,dog.")
    if options.images < 1:
        raise InputError("A proof takes one image at least: --images 500.")


def applied(source: ModelSource, options: ConvertOptions) -> tuple[ModelSource, ConvertOptions, tuple[str, ...]]:
    """Return a source with the classes named for it, the options that mean something for it, and a note on the rest.

    What follows from a training, or stands in a ready package, is not asked for.
    """
    opened = source.format in OPENED
    use = {
        "scale": opened and source.kind == "file",
        "classes": opened and source.kind == "file",
        "input_shape": opened,
        "allow_code": opened,
    }
    unused = [name for name, applies in use.items() if getattr(options, name) and not applies]
    why = "a ready package is taken as it is" if source.format in READY else "that follows from how it was trained"
    notes = tuple(f"--{name.replace('_', '-')} was left out for {called(source)}: {why}." for name in unused)
    left_out: dict[str, Any] = {name: getattr(ConvertOptions(), name) for name in unused}
    meant = replace(options, **left_out)
    return replace(source, classes=meant.classes or source.classes), meant, notes


def called(source: ModelSource | UnopenedModel) -> str:
    """Return what a person calls a model: a file by its whole name, as two may differ in their suffix alone."""
    return Path(source.path).name if isinstance(source, UnopenedModel) or source.kind == "file" else source.name


def exit_code(records: Sequence[ConversionRecord]) -> int:
    """Return 0 when no variant is wrong and none failed, 130 when a conversion was interrupted, else 3."""
    failures = [record.outcome.kind for record in records if isinstance(record.outcome, Failure)]
    if "interrupted" in failures:
        return INTERRUPTED
    bad = any(
        record.outcome.wrong or record.outcome.failed for record in records if isinstance(record.outcome, Converted)
    )
    return FAILED if failures or bad else 0


def _recorded(
    source: ModelSource | UnopenedModel,
    *,
    options: ConvertOptions,
    results: Path,
    command: Sequence[str],
    several: bool,
    on_progress: OnProgress,
) -> tuple[ConversionRecord, Path]:
    run = Run(
        record_type=ConversionRecord,
        experiment=slug(getattr(source, "experiment", "") or source.name),
        engine="coremltools",
        options={**serialization.to_json(options), "model": source.name, "path": source.path},
        deviations=(),
        command=command,
        limits=options,
    )
    if isinstance(source, UnopenedModel):
        failure = source.failure
        return run_and_record(
            run,
            lambda record, _folder, _stages, _save: replace(record, outcome=failure),
            results=results,
            on_progress=on_progress,
        )
    used, meant, notes = applied(source, options)
    return run_and_record(
        run,
        lambda record, folder, stages, save: convert_one(
            used,
            meant,
            replace(record, notes=(*record.notes, *notes)),
            folder,
            cache_folder(),
            stages,
            save,
            keep_going=several,
        ),
        results=results,
        on_progress=on_progress,
    )


def _unless(
    signals: Signals,
    one: Callable[..., tuple[ConversionRecord, Path]],
    source: ModelSource | UnopenedModel,
    tell: _Together,
) -> tuple[ConversionRecord, Path] | None:
    """Convert a model unless somebody asked to stop before it began."""
    if signals.seen:
        return None
    found = one(source, on_progress=partial(tell, called(source)))
    tell.finished()
    return found


class _Together:
    """Merges the progress of models that are converted side by side into one line."""

    def __init__(self, models: int, on_progress: OnProgress) -> None:
        self._models, self._on_progress = models, on_progress
        self._done, self._lock = 0, threading.Lock()

    def __call__(self, model: str, progress: Progress) -> None:
        """Pass on how far one model is."""
        counted = f" {progress.done:,} of {progress.total:,}" if progress.total > 1 else ""
        with self._lock:
            self._on_progress(Progress("convert", self._done, self._models, f"{model}: {progress.phase}{counted}"))

    def finished(self) -> None:
        """Count a model."""
        with self._lock:
            self._done += 1
            self._on_progress(Progress("convert", self._done, self._models))
