"""Convert models to Core ML packages in several variants and compare each package; one record for each model."""

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
from coremlbench.conversion.sources import PACKAGE_FORMATS
from coremlbench.conversion.tensorflow_sources import without_unopenable
from coremlbench.conversion.variants import TARGETS, find_variants
from coremlbench.model_files.formats import CHECK_FORMATS
from coremlbench.runs.lifecycle import FAILED, INTERRUPTED, Run, run_and_record
from coremlbench.system import serialization
from coremlbench.system.files import hash_file, slug
from coremlbench.system.paths import cache_folder
from coremlbench.system.signals import StopSignals
from coremlbench.types.conversion import ConversionRecord, Converted, ModelFileOptions, ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress

FRAMEWORK_FORMATS = ("keras", "h5", "keras-2", "saved-model")
"""Formats whose inputs and outputs can be described by options."""

LEFT_OUT_REASONS = {
    "mlpackage": "a ready package is taken as it is",
    "mlmodel": "a ready package is taken as it is",
    "onnx": "the package that it is compared with decides",
    "npz": "its inputs and outputs are recorded",
}
"""Why an option does not apply to a model of these formats."""

BYTES_PER_JOB = 3 << 30
"""Free memory that each parallel conversion should have; a conversion takes 1 to 2 GiB."""

OnProgress = Callable[[Progress], None]
Conversion = tuple[ConversionRecord, Path]
"""The record of one model, and the folder that holds the record and the packages."""


def convert_models(
    sources: Sequence[ModelSource | UnopenedModel],
    options: ConvertOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: OnProgress,
) -> list[Conversion]:
    """Return the record and the folder of each model, in the order of the sources.

    A model that cannot be converted has a failed record. After an interruption the models that were not started are
    missing.

    Raises:
        InputError: an option is wrong, the results folder cannot be used, or the only model cannot be opened; also if
            all of them need TensorFlow, which is not installed.
    """
    check_options(options)
    sources = without_unopenable(sources)
    options = replace(options, batches=tuple(dict.fromkeys(options.batches)))
    convert = partial(_convert_and_record, options=options, results=results, command=command, several=len(sources) > 1)
    jobs = min(len(sources), options.jobs or default_jobs())
    if jobs > 1:
        return _convert_in_parallel(sources, convert, jobs, on_progress)
    conversions: list[Conversion] = []
    for source in sources:
        conversions.append(convert(source, on_progress=on_progress))
        if conversion_exit_code([conversions[-1][0]]) == INTERRUPTED:
            break
    return conversions


def _convert_in_parallel(
    sources: Sequence[ModelSource | UnopenedModel],
    convert: Callable[..., Conversion],
    jobs: int,
    on_progress: OnProgress,
) -> list[Conversion]:
    progress = CombinedProgress(len(sources), on_progress)
    with StopSignals() as signals, ThreadPoolExecutor(jobs, thread_name_prefix="convert") as pool:
        futures = [pool.submit(_convert_unless_stopped, signals, convert, source, progress) for source in sources]
        return [conversion for conversion in (future.result() for future in futures) if conversion is not None]


def _convert_unless_stopped(
    signals: StopSignals,
    convert: Callable[..., Conversion],
    source: ModelSource | UnopenedModel,
    progress: CombinedProgress,
) -> Conversion | None:
    """Convert a model; return ``None`` when a signal arrived before it was started."""
    if signals.seen:
        return None
    conversion = convert(source, on_progress=partial(progress, display_name(source)))
    progress.model_finished()
    return conversion


class CombinedProgress:
    """Combines the progress of models that are converted in parallel into one line."""

    def __init__(self, models: int, on_progress: OnProgress) -> None:
        self._models, self._on_progress = models, on_progress
        self._finished, self._lock = 0, threading.Lock()

    def __call__(self, model: str, progress: Progress) -> None:
        """Report the progress of one model."""
        counts = f" {progress.done:,} of {progress.total:,}" if progress.total > 1 else ""
        message = f"{model}: {progress.phase}{counts}"
        with self._lock:
            self._on_progress(Progress("convert", self._finished, self._models, message))

    def model_finished(self) -> None:
        """Report that one more model is finished."""
        with self._lock:
            self._finished += 1
            self._on_progress(Progress("convert", self._finished, self._models))


def default_jobs() -> int:
    """Return how many models to convert in parallel, from cores and free memory; a conversion mostly uses one core."""
    import psutil

    by_memory = psutil.virtual_memory().available // BYTES_PER_JOB
    return max(1, min(4, os.cpu_count() or 1, int(by_memory)))


def check_options(options: ConvertOptions) -> None:
    """Raise ``InputError`` for options that are wrong for every model."""
    find_variants(options.variants)
    if options.target not in TARGETS:
        raise InputError(f"There is no target {options.target!r}; choose from {', '.join(TARGETS)}.")
    if not options.batches or min(options.batches) < 1:
        raise InputError("A batch holds one input at least: --batch 1,8.")
    if len(set(options.classes)) < len(options.classes) or not all(options.classes):
        raise InputError("Each class has a name of its own: --classes cat,dog.")
    if options.images < 1:
        raise InputError("A proof takes one image at least: --images 500.")
    if options.custom_objects and not options.allow_code:
        raise InputError(
            f"--custom-objects runs the code in {Path(options.custom_objects).name} on this machine; if you trust it, "
            "add --allow-code."
        )


def drop_inapplicable(
    source: ModelSource, options: ConvertOptions
) -> tuple[ModelSource, ConvertOptions, tuple[str, ...]]:
    """Return the source with the classes of the options, the options without inapplicable ones, and notes on those.

    What is known from a training run or from a ready package is not taken from options.
    """
    from_framework = source.format in FRAMEWORK_FORMATS
    is_package = source.format in PACKAGE_FORMATS
    is_file = source.kind == "file"
    applicable = {
        "scale": (from_framework or source.format == "onnx") and is_file,
        "classes": (from_framework or source.format in CHECK_FORMATS) and is_file,
        "input_shape": from_framework or is_package,
        "allow_code": from_framework,
        "signature": source.format == "saved-model",
        "custom_objects": from_framework and source.format != "saved-model" and is_file,
        "data": source.format != "npz",
    }
    reasons = {
        "signature": "only a SavedModel has signatures",
        "custom_objects": "only Keras files need classes of their own",
    }
    dropped = [name for name, applies in applicable.items() if getattr(options, name) and not applies]
    reason = LEFT_OUT_REASONS.get(source.format, "that follows from how it was trained")
    notes = tuple(
        f"--{name.replace('_', '-')} was left out for {display_name(source)}: {reasons.get(name, reason)}."
        for name in dropped
    )
    defaults: dict[str, Any] = {name: getattr(ConvertOptions(), name) for name in dropped}
    options = replace(options, **defaults)
    file_options = file_options_of(options) if is_file else source.file_options
    source = replace(source, file_options=file_options)
    if options.classes:
        source = replace(source, classes=options.classes, classes_from="")
    return source, options, notes


def file_options_of(options: ConvertOptions) -> ModelFileOptions:
    """Return how a model file is opened with these options, as it is recorded.

    Raises:
        InputError: the file of the model's own classes cannot be read.
    """
    custom_objects = options.custom_objects or ""
    try:
        digest = hash_file(Path(custom_objects)) if custom_objects else ""
    except OSError as error:
        raise InputError(
            f"{custom_objects} cannot be read ({error.strerror}); give --custom-objects a Python file."
        ) from error
    return ModelFileOptions(
        scale=options.scale,
        input_shape=options.input_shape or (),
        signature=options.signature or "",
        custom_objects=custom_objects,
        custom_objects_sha256=digest,
    )


def display_name(source: ModelSource | UnopenedModel) -> str:
    """Return the name of a model in messages: that of a file with its suffix, as two may differ in that alone."""
    return Path(source.path).name if isinstance(source, UnopenedModel) or source.kind == "file" else source.name


def conversion_exit_code(records: Sequence[ConversionRecord]) -> int:
    """Return 0 when no variant is wrong or failed, 130 when a conversion was interrupted, else 3."""
    failures = [record.outcome.kind for record in records if isinstance(record.outcome, Failure)]
    if "interrupted" in failures:
        return INTERRUPTED
    outcomes = [record.outcome for record in records if isinstance(record.outcome, Converted)]
    bad_variants = any(outcome.wrong or outcome.failed for outcome in outcomes)
    return FAILED if failures or bad_variants else 0


def _convert_and_record(
    source: ModelSource | UnopenedModel,
    *,
    options: ConvertOptions,
    results: Path,
    command: Sequence[str],
    several: bool,
    on_progress: OnProgress,
) -> Conversion:
    """Convert one model as a run of its own; ``several`` tells that it is not the only one."""
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
    model, applicable, notes = drop_inapplicable(source, options)
    return run_and_record(
        run,
        lambda record, folder, stages, save: convert_one(
            model,
            applicable,
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
