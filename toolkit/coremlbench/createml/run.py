"""The Create ML run with Turi Create: set up, prepare data, extract features, train, evaluate, save the model.

Each stage is a supervised child process; after each, the record so far is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.createml.augmentation import copies_per_image
from coremlbench.createml.export_stage import export_model
from coremlbench.createml.extraction_stage import Features, extract_features
from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.options import CreateMLOptions, deviations_of
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.createml.sample_images import add_sample_images
from coremlbench.createml.validation_split import split_validation
from coremlbench.experiments.metrics import confusion_matrix, per_class
from coremlbench.runs import resume_data
from coremlbench.runs.stages import Stages
from coremlbench.runs.steps import data_request, dataset_record, result_of, with_phase
from coremlbench.system import serialization
from coremlbench.types.data import ImageSet
from coremlbench.types.process import Exit
from coremlbench.types.training_records import IterationRow, Solver, Trained, TrainingRecord

Save = Callable[[TrainingRecord], None]


def train(
    options: CreateMLOptions,
    record: TrainingRecord,
    folder: Path,
    cache: Path,
    stages: Stages,
    save: Save,
    previous_run: Path | None = None,
) -> TrainingRecord:
    """Return the record of the finished run; ``save`` is called with the record so far after each stage.

    ``previous_run`` is the folder of the failed run to resume: features that it extracted are reused.

    Raises:
        StageFailedError: a stage failed; the record last saved holds the results of the stages before.
    """
    run = RunContext(options, folder, cache, stages)
    record, obtained, python = _set_up(run, record)
    save(record)
    record, images, parts = _prepare_data(run, record, obtained)
    save(record)
    if previous_run is not None:
        resume_data.link_resume_data(previous_run, folder)
    record, features = extract_features(run, record, obtained, python, parts)
    save(record)
    record, trained = _train_classifier(run, record, python, images, parts, features)
    save(record)
    if obtained.weights is None:
        return _with_note(
            record, f"No Core ML model was saved: the network of {obtained.extractor.name} is macOS's own."
        )
    return export_model(run, record, obtained, trained, features, images)


def _set_up(run: RunContext, record: TrainingRecord) -> tuple[TrainingRecord, ObtainedExtractor, str]:
    """Create Turi Create's environment and obtain the extractor; return both, the environment as its Python's path."""
    ended = run.run_worker("setup", {"extractor": run.options.extractor, "cache": str(run.cache)})
    result = result_of(ended)
    obtained = serialization.from_json(ObtainedExtractor, result["extractor"])
    record = replace(
        record,
        weights=obtained.provenance,
        options={**record.options, "extractor": obtained.extractor.name, "extractor chosen": obtained.reason},
        deviations=deviations_of(run.options, obtained=obtained),
    )
    return with_phase(record, ended, "setup", 1), obtained, result["python"]


def _prepare_data(
    run: RunContext, record: TrainingRecord, obtained: ObtainedExtractor
) -> tuple[TrainingRecord, ImageSet, Parts]:
    """Prepare the dataset and split off the validation images; return the images as a whole and by part."""
    ended = run.run_worker("data", data_request(run.options, run.cache))
    images = serialization.from_json(ImageSet, result_of(ended))
    training, validation = split_validation(images.train, run.options.seed)
    record = replace(
        record,
        dataset=dataset_record(images, validation=len(validation)),
        deviations=deviations_of(run.options, images, obtained),
    )
    parts = {"train": training, "validation": validation, "test": images.test}
    return with_phase(record, ended, "data", images.examined), images, parts


def _train_classifier(
    run: RunContext, record: TrainingRecord, python: str, images: ImageSet, parts: Parts, features: Features
) -> tuple[TrainingRecord, dict[str, Any]]:
    """Train and test the classifier with Turi Create; return the record with the outcome, and the worker's result."""
    ended = run.run_turicreate("train", python, _train_request(run, parts, features))
    trained = result_of(ended)
    record = _with_training(record, ended, trained, images, parts, run.options)
    return add_sample_images(record, images, trained["predicted"], run.folder), trained


def _train_request(run: RunContext, parts: Parts, features: Features) -> dict[str, Any]:
    scratch = run.work / "turicreate"
    scratch.mkdir(exist_ok=True)
    return {
        "task": "train",
        "features": str(features.path),
        "length": features.length,
        "parts": features.parts,
        "labels": {name: [image.label for image in images] for name, images in parts.items()},
        "iterations": run.options.iterations,
        "seed": run.options.seed,
        "scratch": str(scratch),
    }


def _with_training(
    record: TrainingRecord,
    ended: Exit,
    trained: Mapping[str, Any],
    images: ImageSet,
    parts: Parts,
    options: CreateMLOptions,
) -> TrainingRecord:
    """Return the record with the outcome of the training and with the phases "train" and "evaluate"."""
    confusion = confusion_matrix([image.label for image in images.test], trained["predicted"], len(images.classes))
    record = replace(
        record,
        iterations=tuple(serialization.from_json(IterationRow, row) for row in trained["iterations"]),
        versions={**record.versions, **trained["versions"]},
        outcome=Trained(
            test_accuracy=trained["test_accuracy"],
            training_accuracy=trained["training_accuracy"],
            validation_accuracy=trained["validation_accuracy"],
            per_class=per_class(images.classes, confusion),
            confusion=confusion,
            solver=Solver(
                trained["solver"], trained["solver_status"], trained["solver_iterations"], options.iterations
            ),
        ),
    )
    if record.machine.architecture == "arm64" and trained["versions"]["turicreate architecture"] == "x86_64":
        record = _with_note(record, "Turi Create ran under Rosetta: it has no build for Apple silicon.")
    rows = len(parts["train"]) * copies_per_image(options.augment)
    evaluate_seconds = trained["seconds"]["evaluate"]
    record = with_phase(record, ended, "train", rows, ended.seconds - evaluate_seconds)
    return with_phase(record, ended, "evaluate", len(images.test), evaluate_seconds)


def _with_note(record: TrainingRecord, note: str) -> TrainingRecord:
    return replace(record, notes=(*record.notes, note))
