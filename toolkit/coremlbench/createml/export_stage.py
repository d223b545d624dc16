"""The export of a Create ML run: the trained classifier as a Core ML package, which is then tested."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coremlbench.createml.extraction_stage import Features
from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.run_context import RunContext
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.system.files import hash_folder
from coremlbench.system.formatting import format_count
from coremlbench.types.data import ImageSet
from coremlbench.types.training_records import Agreement, SavedModel, Trained, TrainingRecord

PACKAGE = "model.mlpackage"
HEAD = "head.npz"


def export_model(
    run: RunContext,
    record: TrainingRecord,
    obtained: ObtainedExtractor,
    trained: Mapping[str, Any],
    features: Features,
    images: ImageSet,
) -> TrainingRecord:
    """Save the classifier as ``model.mlpackage`` in the run's folder; return the record with the model.

    ``trained`` is the result of the training. ``head.npz`` gets the logistic regression's float64 weights.
    ``pipeline_export`` does the same for an extractor that is part of macOS.

    Raises:
        StageFailedError: the stage failed.
    """
    ended = run.run_worker("export", _export_request(run, record, obtained, trained, features, images))
    result = result_of(ended)
    saved = run.folder / PACKAGE
    shutil.rmtree(saved, ignore_errors=True)
    (run.work / PACKAGE).rename(saved)
    (run.work / HEAD).replace(run.folder / HEAD)
    digest, size = hash_folder(saved)
    model = SavedModel(
        path=PACKAGE,
        format="ML Program (.mlpackage)",
        precision="float16, the classifier in float32",
        sha256=digest,
        bytes=size,
        agreement=Agreement(**result["agreement"]),
    )
    record = replace(record, model=model, versions={**record.versions, **result["versions"]})
    return with_phase(record, ended, "export", len(images.test))


def _export_request(
    run: RunContext,
    record: TrainingRecord,
    obtained: ObtainedExtractor,
    trained: Mapping[str, Any],
    features: Features,
    images: ImageSet,
) -> dict[str, Any]:
    return {
        "folder": str(run.work),
        "package": str(run.work / PACKAGE),
        "network": str(obtained.weights),
        "bgr": obtained.extractor.bgr,
        "size": features.size,
        "length": features.length,
        "classes": images.classes,
        "coefficients": trained["coefficients"],
        "images": [str(image.path) for image in images.test],
        "predicted": trained["predicted"],
        "description": model_description(record, images),
        "metadata": model_metadata(run, record, obtained, images),
    }


def model_description(record: TrainingRecord, images: ImageSet) -> str:
    """Return the description that is saved in the model of a trained run."""
    assert isinstance(record.outcome, Trained)
    return (
        f"Classifies an image as one of {len(images.classes)} classes of {images.name}. "
        f"Test accuracy {record.outcome.test_accuracy:.1%} on {format_count(len(images.test), 'image')}."
    )


def model_metadata(
    run: RunContext, record: TrainingRecord, obtained: ObtainedExtractor, images: ImageSet
) -> dict[str, str]:
    """Return the metadata that are saved in the model of a trained run."""
    assert isinstance(record.outcome, Trained)
    return {
        "test accuracy": f"{record.outcome.test_accuracy:.4f}",
        "dataset": images.name,
        "extractor": obtained.extractor.name,
        "iterations": str(run.options.iterations),
        "run": record.id,
    }
