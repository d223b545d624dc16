"""The stage of a Create ML run in which Create ML itself extracts, trains, tests and saves: one session of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.createml.augmentation import copies_per_image
from coremlbench.createml.run_context import SILENCE, Parts, RunContext
from coremlbench.createml.sample_images import add_sample_images
from coremlbench.createml.session_cache import session_key, store_session, take_session
from coremlbench.experiments.metrics import confusion_matrix, per_class
from coremlbench.runs import resume_data
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.system import serialization
from coremlbench.system.files import hash_file
from coremlbench.types.data import ImageSet
from coremlbench.types.deviations import Deviation
from coremlbench.types.process import Exit
from coremlbench.types.training_records import IterationRow, SavedModel, Solver, Trained, TrainingRecord

MODEL = "model.mlmodel"
REUSED = str(Deviation("extraction", "reused"))
"""The deviation of a run that extracted nothing: its times are compared with others of that kind only."""


def run_session(
    run: RunContext, record: TrainingRecord, program: str, images: ImageSet, parts: Parts, linked: Mapping[str, Any]
) -> TrainingRecord:
    """Return the record of the finished run. ``linked`` is the result of the worker ``link``.

    Raises:
        StageFailedError: the stage failed; the session so far is in the run's resume data.
    """
    key = session_key(linked["key"], run.options.augment, run.options.feature_revision, _system(record))
    request = _request(run, record, images, parts, linked["folders"])
    session = Path(request["session"])
    session.parent.mkdir(exist_ok=True)
    if run.options.reuse_features and not session.exists():
        reused = run.work / "reused-session"
        if take_session(key, run.cache, reused):
            request["reused_session"] = str(reused)
    ended = run.stages.run("train", [program], request, silence=SILENCE["createml"])
    result = result_of(ended)
    record = _with_outcome(run, record, result, images)
    record = _with_phases(record, ended, result, parts, run)
    record = _with_model(run, record, Path(request["model"]))
    record = replace(record, notes=(*record.notes, *_notes(run, result)))
    if run.options.reuse_features:
        with suppress(OSError):  # the next run extracts again
            store_session(session, key, run.cache)
    return add_sample_images(record, images, result["predicted"], run.folder)


def _system(record: TrainingRecord) -> str:
    return f"{record.machine.system} {record.machine.system_version}"


def _request(
    run: RunContext, record: TrainingRecord, images: ImageSet, parts: Parts, folders: Mapping[str, str]
) -> dict[str, Any]:
    """Return the request to the Swift program; see ``swift/Request.swift``."""
    resume_folder = run.folder / resume_data.RESUME_DIR
    sources = {name: {"path": folder, "images": len(parts[name])} for name, folder in folders.items()}
    return {
        "classes": images.classes,
        "training": sources["train"],
        "validation": sources.get("validation"),
        "test": [{"path": str(image.path), "label": image.label} for image in images.test],
        "augmentation": run.options.augment,
        "feature_revision": run.options.feature_revision,
        "iterations": run.options.iterations,
        "session": str(resume_folder / resume_data.SESSION_DIR),
        "session_state": str(resume_folder / resume_data.SESSION_STATE_FILE),
        "reused_session": None,
        "model": str(run.work / MODEL),
        "description": f"Classifies an image as one of {len(images.classes)} classes of {images.name}.",
        "metadata": {
            "dataset": images.name,
            "extractor": str(record.options["extractor"]),
            "iterations": str(run.options.iterations),
            "run": record.id,
        },
    }


def _with_outcome(
    run: RunContext, record: TrainingRecord, result: Mapping[str, Any], images: ImageSet
) -> TrainingRecord:
    actual, predicted = [image.label for image in images.test], result["predicted"]
    confusion = confusion_matrix(actual, predicted, len(images.classes))
    rows = tuple(serialization.from_json(IterationRow, row) for row in result["iterations"])
    reached = max([result["resumed_iteration"] if _resumed_training(result) else 0, *(row.iteration for row in rows)])
    limit = run.options.iterations
    status = "the limit was reached" if reached >= limit else "ended before the limit"
    stand_in = record.stand_in or result["stand_in"]
    version = "stand-in of the tests" if stand_in else _system(record)
    return replace(
        record,
        stand_in=stand_in,
        iterations=rows,
        versions={**record.versions, **result["versions"], "createml": version},
        deviations=(*record.deviations, *([REUSED] if result["reused_features"] else [])),
        outcome=Trained(
            test_accuracy=sum(map(int.__eq__, actual, predicted)) / len(actual),
            training_accuracy=result["training_accuracy"],
            validation_accuracy=result["validation_accuracy"],
            per_class=per_class(images.classes, confusion),
            confusion=confusion,
            solver=Solver("Create ML's logistic regression", status, reached, limit),
        ),
    )


def _with_phases(
    record: TrainingRecord, ended: Exit, result: Mapping[str, Any], parts: Parts, run: RunContext
) -> TrainingRecord:
    """Return the record with the phases of the session; the first one includes the start of Create ML."""
    rows = len(parts["train"]) * copies_per_image(run.options.augment)
    extractions = rows + len(parts["validation"])
    seconds = dict(result["seconds"])
    items = {"extract": extractions, "train": rows, "evaluate": len(parts["test"]), "export": 1}
    phases = [name for name in items if name in seconds]
    seconds[phases[0]] += max(0.0, ended.seconds - sum(seconds.values()))
    for name in phases:
        record = with_phase(record, ended, name, items[name], seconds[name])
    extracted = extractions if "extract" in seconds else 0
    return replace(record, options={**record.options, "extractions": extracted + len(parts["test"])})


def _with_model(run: RunContext, record: TrainingRecord, made: Path) -> TrainingRecord:
    saved = run.folder / MODEL
    made.replace(saved)
    model = SavedModel(
        path=MODEL,
        format="Core ML model (.mlmodel)",
        precision="as Create ML saves it",
        sha256=hash_file(saved),
        bytes=saved.stat().st_size,
    )
    return replace(record, model=model)


def _notes(run: RunContext, result: Mapping[str, Any]) -> list[str]:
    notes = []
    if run.options.augment:
        notes.append("Create ML's augmentation has no seed: another run gives another classifier.")
    if result["reused_features"]:
        notes.append("The features are those of an earlier run: their extraction is not part of these times.")
    phase, iteration = result["resumed_phase"], result["resumed_iteration"]
    if phase != "start":
        name = {"extract": "extraction", "train": "training"}.get(phase, phase)
        notes.append(f"Create ML went on at iteration {iteration} of the {name}.")
    first = iteration + 1 if _resumed_training(result) else 1
    numbers = {row["iteration"] for row in result["iterations"]}
    missing = set(range(first, max(numbers, default=0) + 1)) - numbers
    if missing or not numbers:
        notes.append(f"Create ML did not report {f'{len(missing)} of its' if numbers else 'its'} iterations.")
    return notes


def _resumed_training(result: Mapping[str, Any]) -> bool:
    """Return whether the session had begun to train before this process."""
    return result["resumed_phase"] not in ("start", "extract")
