"""What is converted: an experiment, a run or a file becomes a ``ModelSource``; random weights where nothing is trained.

Nothing heavy is imported here, and no file of the user's is opened before it was checked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from coremlbench.experiments.catalogue import EXPERIMENTS, select
from coremlbench.model_files.formats import Format, check, identify
from coremlbench.runs import store
from coremlbench.system.files import hash_path
from coremlbench.types.conversion import ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.training_records import Trained, TrainingRecord

READY: tuple[Format, ...] = ("mlpackage", "mlmodel")
"""Formats of models that are packages already."""

RANDOM = "random:"
"""How the path of a source begins that is no file: ``random:lenet:0`` is lenet with weights from the seed 0."""


def resolve(model: str, *, results: Path, allow_code: bool = False) -> ModelSource:
    """Return the source that ``model`` names: an experiment (its newest trained run), a run's id, or a path.

    Raises:
        InputError: it is none of these, the run left no model, or the file must not be opened.
    """
    return _trained_source(model, results) or of_file(_path(model, results), allow_code=allow_code)


def resolve_all(
    models: Sequence[str], *, results: Path, allow_code: bool = False
) -> tuple[ModelSource | UnopenedModel, ...]:
    """Return what each model named is, in their order, and one model once however often it is named.

    Of several models one whose file cannot be opened is an ``UnopenedModel``: the others can be converted.

    Raises:
        InputError: a name stands for nothing, or the only model must not be opened.
    """
    found: dict[str, ModelSource | UnopenedModel] = {}
    for model in models:
        each = _opened_or_not(model, results, allow_code=allow_code)
        found.setdefault(os.path.realpath(each.path), each)
    only = next(iter(found.values()), None)
    if len(found) == 1 and isinstance(only, UnopenedModel):
        raise InputError(only.failure.reason)
    return tuple(found.values())


def _opened_or_not(model: str, results: Path, *, allow_code: bool) -> ModelSource | UnopenedModel:
    """Return a model's source, or why its file cannot be opened; a name that stands for nothing raises."""
    trained = _trained_source(model, results)
    if trained is not None:
        return trained
    path = _path(model, results)
    try:
        return of_file(path, allow_code=allow_code)
    except InputError as problem:
        if not path.exists():
            raise
        evidence = Evidence(phase="open", exception=f"InputError: {problem}")
        failure = Failure("input", str(problem), "Correct the input and run it again.", evidence)
        return UnopenedModel(name=path.stem or path.name, path=str(path), failure=failure)


def _trained_source(model: str, results: Path) -> ModelSource | None:
    """Return the source that an experiment's name or a run's id stands for, ``None`` for what is neither."""
    if model in {experiment.name for experiment in EXPERIMENTS}:
        record = _trained(results).get(model)
        if record is None:
            how = "coremlbench createml" if model == "createml" else f"coremlbench train --experiment {model}"
            raise InputError(f"There is no trained run of {model} under {results}; `{how}` makes one.")
        return of_run(record, results / record.id)
    if "/" not in model and (results / model / store.RECORD_FILE).is_file():
        found = store.load(results / model)
        if not isinstance(found, TrainingRecord):
            raise InputError(f"{model} is a run of the kind {found.kind}, and only what was trained can be converted.")
        return of_run(found, results / model)
    return None


def _path(model: str, results: Path) -> Path:
    """Return the path that a model's name is, which may lead to nothing; what is a mere word raises."""
    path = Path(model).expanduser().absolute()
    if not path.exists() and "/" not in model and "." not in model:
        names = ", ".join(experiment.name for experiment in EXPERIMENTS)
        raise InputError(
            f"{model!r} is no experiment, no run under {results} and no file; give one of {names}, the id of a run, "
            "or the path of a model."
        )
    return path


def of_run(record: TrainingRecord, folder: Path) -> ModelSource:
    """Return the model that a training left in its folder.

    Raises:
        InputError: the run failed, saved no model, or the model is gone.
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
        format="createml" if record.experiment == "createml" else "keras",
        path=str(path),
        sha256=hash_path(path),
        experiment=record.experiment,
        training_run=record.id,
        classes=record.dataset.classes if record.dataset else (),
    )


def of_file(path: Path, *, allow_code: bool = False) -> ModelSource:
    """Return a model file of the user's as a source, after a look at what it is and what it would run.

    Raises:
        InputError: it is missing, broken, foreign, or holds code that was not allowed.
    """
    kind = identify(path)
    check(path, kind, allow_code=allow_code)
    return ModelSource(name=path.stem, kind="file", format=kind, path=str(path), sha256=hash_path(path))


def random_network(experiment: str, seed: int) -> ModelSource:
    """Return an experiment's network with random weights that follow from the seed.

    Raises:
        InputError: there is no such experiment, or it has no network of its own (createml).
    """
    (row,) = select([experiment])
    if not row.network:
        raise InputError(
            f"{experiment} has no network whose weights could be random; `coremlbench {experiment}` trains."
        )
    return ModelSource(
        name=experiment,
        kind="random-weights",
        format="keras",
        path=f"{RANDOM}{row.network}:{seed}",
        sha256=hashlib.sha256(f"{row.network} {seed}".encode()).hexdigest(),
        experiment=experiment,
        classes=tuple(f"class {number}" for number in range(row.classes)),
        note=f"Random weights from the seed {seed}: nothing was trained, and its accuracy means nothing.",
    )


def default_sources(results: Path, seed: int = 0) -> tuple[ModelSource, ...]:
    """Return the newest trained run of every experiment, and random weights of those that have none.

    ``createml`` is among them only when it was trained.
    """
    records, found = _trained(results), []
    for experiment in EXPERIMENTS:
        if experiment.name in records:
            found.append(of_run(records[experiment.name], results / records[experiment.name].id))
        elif experiment.network:
            found.append(random_network(experiment.name, seed))
    return tuple(found)


def named_sources(
    models: Sequence[str],
    *,
    results: Path,
    allow_code: bool = False,
    random_seed: int | None = None,
    check: Path | None = None,
) -> tuple[ModelSource | UnopenedModel, ...]:
    """Return the sources that a command line names; without names, all that was trained.

    Of several models, those whose files cannot be opened are among them.

    With ``random_seed`` they are the networks of the named experiments with random weights. ``check`` is a ready
    package that is to be compared with the one model named.

    Raises:
        InputError: nothing is named and nothing was trained, a name stands for nothing, or ``check`` is no package.
    """
    if check is not None:
        if len(models) != 1:
            raise InputError("--check compares one package with one model: coremlbench convert --check PACKAGE MODEL.")
        if not check.exists():
            raise InputError(f"There is no package at {check}; give the path of an .mlpackage or .mlmodel to --check.")
        if identify(check) not in READY:
            raise InputError(f"--check takes a ready .mlpackage or .mlmodel, and {check.name} is another kind of file.")
    if random_seed is not None:
        named = models or [experiment.name for experiment in EXPERIMENTS if experiment.network]
        return tuple(random_network(each, random_seed) for each in dict.fromkeys(named))
    if models:
        return resolve_all(models, results=results, allow_code=allow_code)
    found = trained_sources(results)
    if not found:
        raise InputError(
            f"Nothing was trained yet under {results}; `coremlbench train --scale 0.02` trains, or name a model's file."
        )
    return found


def trained_sources(results: Path) -> tuple[ModelSource, ...]:
    """Return the newest trained run of every experiment that has one, in the catalogue's order."""
    return tuple(source for source in default_sources(results) if source.kind == "training-run")


def seed_of(source: ModelSource) -> tuple[str, int]:
    """Return the network and the seed of a source of random weights."""
    _, network, seed = source.path.split(":")
    return network, int(seed)


def _trained(results: Path) -> dict[str, TrainingRecord]:
    """Return the newest trained run of each experiment whose model is still there."""
    records, _ = store.load_trainings(results) if results.is_dir() else ([], [])
    return {
        record.experiment: record
        for record in records  # the oldest first: a newer one takes its place
        if isinstance(record.outcome, Trained)
        and record.model is not None
        and (results / record.id / record.model.path).exists()
    }
