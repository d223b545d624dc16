"""The stage of a Create ML run that trains and evaluates the classifier on features, with any feature engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coremlbench.createml.augmentation import copies_per_image
from coremlbench.createml.engines.protocol import FeatureEngine, Setup
from coremlbench.createml.extraction_stage import Features
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.createml.sample_images import add_sample_images
from coremlbench.experiments.metrics import confusion_matrix, per_class
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.system import serialization
from coremlbench.types.data import ImageSet
from coremlbench.types.process import Exit
from coremlbench.types.training_records import IterationRow, Solver, Trained, TrainingRecord


def train_classifier(
    run: RunContext,
    record: TrainingRecord,
    engine: FeatureEngine,
    setup: Setup,
    images: ImageSet,
    parts: Parts,
    features: Features,
) -> tuple[TrainingRecord, dict[str, Any]]:
    """Train and test the classifier; return the record with the outcome, and the worker's result.

    Raises:
        StageFailedError: the stage failed.
    """
    ended = engine.fit(run, setup, train_request(run, parts, features))
    trained = result_of(ended)
    record = _with_training(record, ended, trained, images, parts, run.options)
    record = replace(record, notes=(*record.notes, *engine.notes(record), *trained.get("notes", ())))
    return add_sample_images(record, images, trained["predicted"], run.folder), trained


def train_request(run: RunContext, parts: Parts, features: Features) -> dict[str, Any]:
    """Return the request of the stage ``train``, which is the same for all feature engines."""
    scratch = run.work / "turicreate"
    scratch.mkdir(exist_ok=True)
    return {
        "task": "train",
        "features": str(features.path),
        "features_sha256": features.sha256,
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
    rows = len(parts["train"]) * copies_per_image(options.augment)
    evaluate_seconds = trained["seconds"]["evaluate"]
    record = with_phase(record, ended, "train", rows, ended.seconds - evaluate_seconds)
    return with_phase(record, ended, "evaluate", len(images.test), evaluate_seconds)
