"""The export of a Create ML run with one of Apple's extractors: a Core ML pipeline, and its test by Core ML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coremlbench.createml.export_stage import HEAD, model_description, model_metadata
from coremlbench.createml.extraction_stage import Features
from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.head_samples import HEAD_SAMPLES
from coremlbench.createml.run_context import RunContext
from coremlbench.createml.vision_feature_print import ALL_UNITS
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.system.files import hash_file
from coremlbench.types.data import ImageSet
from coremlbench.types.training_records import Agreement, SavedModel, TrainingRecord

PIPELINE = "model.mlmodel"


def export_pipeline(
    run: RunContext,
    record: TrainingRecord,
    obtained: ObtainedExtractor,
    trained: Mapping[str, Any],
    features: Features,
    images: ImageSet,
) -> TrainingRecord:
    """Save the classifier as ``model.mlmodel`` in the run's folder; return the record with the model.

    ``trained`` is the result of the training. ``head.npz`` gets the logistic regression's float64 weights,
    ``head-samples.npz`` feature vectors of test images to test them with.

    Raises:
        StageFailedError: the stage failed.
    """
    request = {
        "folder": str(run.work),
        "model": str(run.work / PIPELINE),
        "scene": obtained.extractor.scene,
        "units": run.options.units or ALL_UNITS,
        "classes": images.classes,
        "coefficients": trained["coefficients"],
        "features": str(features.path),
        "length": features.length,
        "test_rows": features.parts["test"],
        "images": [str(image.path) for image in images.test],
        "predicted": trained["predicted"],
        "description": model_description(record, images),
        "metadata": model_metadata(run, record, obtained, images),
    }
    ended = run.run_worker("export", request, module="export_pipeline")
    result = result_of(ended)
    for name in (PIPELINE, HEAD, HEAD_SAMPLES):
        (run.work / name).replace(run.folder / name)
    saved = run.folder / PIPELINE
    model = SavedModel(
        path=PIPELINE,
        format="Core ML pipeline (.mlmodel)",
        precision="that of the extractor in macOS, the classifier in float64",
        sha256=hash_file(saved),
        bytes=saved.stat().st_size,
        agreement=Agreement(**result["agreement"]) if result["agreement"] else None,
    )
    record = replace(
        record,
        model=model,
        versions={**record.versions, **result["versions"]},
        notes=(*record.notes, *result["notes"]),
        stand_in=record.stand_in or result["stand_in"],
    )
    return with_phase(record, ended, "export", len(images.test))
