"""Find the models to convert: an experiment, a run, a file, or a network with random weights, as a ``ModelSource``.

No machine-learning library is imported here. A model file is checked before it is opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from coremlbench.conversion.options import ConvertOptions
from coremlbench.experiments.catalogue import EXPERIMENTS, select
from coremlbench.model_files.core_ml_kinds import check_ml_program
from coremlbench.model_files.formats import (
    CHECK_FORMATS,
    TENSORFLOW_FORMATS,
    Format,
    check,
    identify_format,
    read_config,
)
from coremlbench.model_files.keras2_safety import check_keras_2
from coremlbench.model_files.keras_versions import is_keras_2
from coremlbench.model_files.label_files import labels_beside
from coremlbench.model_files.onnx_files import hash_onnx
from coremlbench.runs import store
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import hash_path
from coremlbench.types.conversion import ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.training_records import Trained, TrainingRecord

PACKAGE_FORMATS: tuple[Format, ...] = ("mlpackage", "mlmodel")
"""Formats of models that are Core ML packages already."""

DEFAULTS = ConvertOptions()

RANDOM_PREFIX = "random:"
"""Prefix of a source's path that is not a file: ``random:lenet:0`` is LeNet with random weights of seed 0."""

ORIGINAL_MODEL_FILE = "original.keras"
"""File in the run's folder to which a network with random weights is saved."""


def resolve_model(model: str, *, results: Path, options: ConvertOptions = DEFAULTS) -> ModelSource:
    """Return the source named by ``model``: an experiment (its newest trained run), the id of a run, or a path.

    ``options`` tell which files may be opened.

    Raises:
        InputError: it is none of these, the run has no model, or the file must not be opened.
    """
    return _trained_source(model, results, options) or source_of_file(_model_path(model, results), options, results)


def resolve_models(
    models: Sequence[str], *, results: Path, options: ConvertOptions = DEFAULTS
) -> tuple[ModelSource | UnopenedModel, ...]:
    """Return the source of each model in order, without duplicates.

    If there are several models, one whose file cannot be opened becomes an ``UnopenedModel``, so that the others can
    be converted.

    Raises:
        InputError: a name is unknown, or the only model cannot be opened.
    """
    sources: dict[str, ModelSource | UnopenedModel] = {}
    for model in models:
        source = _source_or_unopened(model, results, options)
        sources.setdefault(os.path.realpath(source.path), source)
    first = next(iter(sources.values()), None)
    if len(sources) == 1 and isinstance(first, UnopenedModel):
        raise InputError(first.failure.reason)
    return tuple(sources.values())


def _source_or_unopened(model: str, results: Path, options: ConvertOptions) -> ModelSource | UnopenedModel:
    """Return a model's source, or an ``UnopenedModel`` with the reason; an unknown name raises ``InputError``."""
    trained = _trained_source(model, results, options)
    if trained is not None:
        return trained
    path = _model_path(model, results)
    try:
        return source_of_file(path, options, results)
    except InputError as error:
        if not path.exists():
            raise
        evidence = Evidence(phase="open", exception=f"InputError: {error}")
        failure = Failure("input", str(error), "Correct the input and run it again.", evidence)
        return UnopenedModel(name=path.stem or path.name, path=str(path), failure=failure)


def _trained_source(model: str, results: Path, options: ConvertOptions) -> ModelSource | None:
    """Return the source of an experiment's name or of a run's id, ``None`` for any other name."""
    source = _source_of_name(model, results)
    if source is not None and source.format in PACKAGE_FORMATS and not options.only_core_ml:
        check_ml_program(Path(source.path), results)
    return source


def _source_of_name(model: str, results: Path) -> ModelSource | None:
    if model in {experiment.name for experiment in EXPERIMENTS}:
        record = _newest_trainings(results).get(model)
        if record is None:
            words = ("createml",) if model == "createml" else ("train", "--experiment", model)
            command = advised_command(*words, results=results)
            raise InputError(f"There is no trained run of {model} under {results}; `{command}` makes one.")
        return source_of_run(record, results / record.id)
    if "/" not in model and (results / model / store.RECORD_FILE).is_file():
        run = store.load(results / model)
        if not isinstance(run, TrainingRecord):
            raise InputError(f"{model} is a run of the kind {run.kind}, and only what was trained can be converted.")
        return source_of_run(run, results / model)
    return None


def _model_path(model: str, results: Path) -> Path:
    """Return a model's name as a path, which may not exist; raise ``InputError`` for a name that cannot be a path."""
    path = Path(model).expanduser().absolute()
    if not path.exists() and "/" not in model and "." not in model:
        names = ", ".join(experiment.name for experiment in EXPERIMENTS)
        raise InputError(
            f"{model!r} is no experiment, no run under {results} and no file; give one of {names}, the id of a run, "
            "or the path of a model."
        )
    return path


def source_of_run(record: TrainingRecord, folder: Path) -> ModelSource:
    """Return the model of a training run as a source; ``folder`` is the run's.

    Raises:
        InputError: the run failed, saved no model, or the model was deleted.
    """
    if not isinstance(record.outcome, Trained):
        raise InputError(f"The run {record.id} failed and left no model; convert another, or run it again.")
    if record.model is None:
        raise InputError(
            f"The run {record.id} saved no model: {' '.join(record.notes) or 'its record does not say why'}"
        )
    path = (folder / record.model.path).absolute()
    if not path.exists():
        raise InputError(f"The model of the run {record.id} is gone: {path} is not there any more; run it again.")
    return ModelSource(
        name=record.experiment,
        kind="training-run",
        format=_trained_format(record),
        path=str(path),
        sha256=hash_path(path),
        experiment=record.experiment,
        training_run=record.id,
        classes=record.dataset.classes if record.dataset else (),
        note=_stand_in_note(record),
    )


def _stand_in_note(record: TrainingRecord) -> str:
    return f"The tests' stand-in for {record.stood_in_for} made it: it is no classifier." if record.stand_in else ""


def _trained_format(record: TrainingRecord) -> Literal["createml", "keras", "mlmodel"]:
    """Return the format of a trained model; what Create ML itself saved is a model as any other file of a user's."""
    if record.engine == "createml":
        return "mlmodel"
    return "createml" if record.experiment == "createml" else "keras"


def source_of_file(path: Path, options: ConvertOptions = DEFAULTS, results: Path | None = None) -> ModelSource:
    """Return a model file as a source, after a check of its format and of the code in it.

    With ``options.check`` a package is compared with it; some formats are good for that only. Messages advise commands
    for the folder of records ``results``.

    Raises:
        InputError: it is missing or damaged, has an unknown format, contains code that was not allowed, needs classes
            of its own that were not given, or is a model that only Core ML executes where that is of no use.
    """
    file_format = identify_format(path, results)
    if file_format in CHECK_FORMATS and options.check is None:
        command = advised_command("convert", "--check", "PACKAGE", path, results=results)
        raise InputError(
            f"{path.name} is not converted: {CHECK_FORMATS[file_format]}. To prove a package against it: `{command}`."
        )
    check(path, file_format, allow_code=options.allow_code, custom_objects=options.custom_objects is not None)
    if file_format in PACKAGE_FORMATS and not options.only_core_ml:
        check_ml_program(path, results)
    if is_keras_2(path, file_format):
        if not options.allow_code:
            check_keras_2(path.name, read_config(path, file_format))
        file_format = "keras-2"
    digest = hash_onnx(path) if file_format == "onnx" else hash_path(path)
    source = ModelSource(name=path.stem, kind="file", format=file_format, path=str(path), sha256=digest)
    names = labels_beside(path) if file_format in TENSORFLOW_FORMATS else ()
    return replace(source, classes=names, classes_from="labels.txt") if names else source


def random_weights_source(experiment: str, seed: int, results: Path | None = None) -> ModelSource:
    """Return an experiment's network with random weights from a seed.

    Raises:
        InputError: there is no such experiment, or it has no network of its own (createml).
    """
    (definition,) = select([experiment])
    if not definition.network:
        command = advised_command(experiment, results=results)
        raise InputError(f"{experiment} has no network whose weights could be random; `{command}` trains.")
    return ModelSource(
        name=experiment,
        kind="random-weights",
        format="keras",
        path=f"{RANDOM_PREFIX}{definition.network}:{seed}",
        sha256=hashlib.sha256(f"{definition.network} {seed}".encode()).hexdigest(),
        experiment=experiment,
        classes=tuple(f"class {number}" for number in range(definition.classes)),
        note=f"Random weights from the seed {seed}: nothing was trained, and its accuracy means nothing.",
    )


def default_sources(results: Path, seed: int = 0, *, only_core_ml: bool = False) -> tuple[ModelSource, ...]:
    """Return the newest trained run of every experiment, or random weights where there is none.

    ``createml`` is included only when it was trained, and what Create ML itself trained only with ``only_core_ml``.
    """
    records, sources = _newest_trainings(results), []
    for experiment in EXPERIMENTS:
        if experiment.name in records:
            record = records[experiment.name]
            source = source_of_run(record, results / record.id)
            if only_core_ml or source.format not in PACKAGE_FORMATS:
                sources.append(source)
        elif experiment.network:
            sources.append(random_weights_source(experiment.name, seed))
    return tuple(sources)


def named_sources(
    models: Sequence[str],
    *,
    results: Path,
    options: ConvertOptions = DEFAULTS,
    random_seed: int | None = None,
    check: Path | None = None,
) -> tuple[ModelSource | UnopenedModel, ...]:
    """Return the sources named on a command line; without names, all trained models.

    If there are several models, one whose file cannot be opened becomes an ``UnopenedModel``. With ``random_seed``
    the names are experiments, whose networks get random weights. ``check`` is a package to compare with the one model
    that is named.

    Raises:
        InputError: no model is named and none was trained, a name is unknown, or ``check`` is no package.
    """
    if check is not None:
        if len(models) != 1:
            command = advised_command("convert", "--check", "PACKAGE", "MODEL", results=results)
            raise InputError(f"--check compares one package with one model: `{command}`.")
        if not check.exists():
            raise InputError(f"There is no package at {check}; give the path of an .mlpackage or .mlmodel to --check.")
        if identify_format(check, results) not in PACKAGE_FORMATS:
            raise InputError(f"--check takes a ready .mlpackage or .mlmodel, and {check.name} is another kind of file.")
        check_ml_program(check, results)
    if random_seed is not None:
        names = models or [experiment.name for experiment in EXPERIMENTS if experiment.network]
        return tuple(random_weights_source(name, random_seed, results) for name in dict.fromkeys(names))
    if models:
        return resolve_models(models, results=results, options=options)
    trained = trained_sources(results)
    if not trained:
        command = advised_command("train", "--scale", "0.02", results=results)
        raise InputError(f"Nothing was trained yet under {results}; `{command}` trains, or name a model's file.")
    return trained


def trained_sources(results: Path) -> tuple[ModelSource, ...]:
    """Return the newest trained run of every experiment that has one, in the catalogue's order."""
    return tuple(source for source in default_sources(results) if source.kind == "training-run")


def network_and_seed(source: ModelSource) -> tuple[str, int]:
    """Return the network's name and the seed of a source with random weights."""
    _, network, seed = source.path.split(":")
    return network, int(seed)


def _newest_trainings(results: Path) -> dict[str, TrainingRecord]:
    """Return the newest training run, by experiment, whose model still exists."""
    records, _ = store.load_trainings(results) if results.is_dir() else ([], [])
    return {
        record.experiment: record
        for record in records  # oldest first: newer records replace them
        if isinstance(record.outcome, Trained)
        and record.model is not None
        and (results / record.id / record.model.path).exists()
    }
