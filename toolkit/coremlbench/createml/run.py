"""The Create ML run through Turi Create: set up, data, augment and extract, train, evaluate, save the model.

Each stage is a supervised child; between stages stands a record on disk with all that is known so far.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.createml.augmentation import RANGES, copies
from coremlbench.createml.extractors import Obtained
from coremlbench.createml.network import UnreadableNetworkError, read_network
from coremlbench.createml.sample_images import with_samples
from coremlbench.createml.validation_split import split_validation
from coremlbench.experiments.catalogue import deviations, select
from coremlbench.experiments.metrics import confusion_matrix, per_class
from coremlbench.runs import resume_data
from coremlbench.runs.retries import MEMORY, SEED, UNCHANGED
from coremlbench.runs.stages import Stages
from coremlbench.runs.steps import data_request, dataset_record, result_of, with_phase, worker
from coremlbench.system import serialization
from coremlbench.system.files import hash_folder
from coremlbench.types.data import ImageSet, LabelledImage
from coremlbench.types.process import Exit
from coremlbench.types.training_records import Agreement, IterationRow, SavedModel, Solver, Trained, TrainingRecord
from coremlbench_datasets.parallel import cores

PACKAGE = "model.mlpackage"
WORKER = Path(__file__).parent.parent / "workers" / "turicreate.py"
# Seconds that a stage may say nothing. Setting up fetches 600 MB in one go; the solver prints its first iterations
# and then every tenth or so; the first batch of Turi Create's own extractor waits for TensorFlow.
SILENCE = {"setup": 1800.0, "data": 300.0, "extract": 300.0, "train": 1200.0, "export": 300.0}


@dataclass(frozen=True)
class CreateMLOptions:
    """The settings of a Create ML run; the defaults are the article's.

    ``train`` and ``test`` count images, None for all that a folder has. ``timeout`` and ``silence`` are seconds,
    ``memory_limit`` is bytes. ``processes`` is how many extract side by side, None for one a core.
    """

    dataset: str = "drawn-food"
    source: str | None = None
    train: int | None = 7500
    test: int | None = 2500
    iterations: int = 25
    augment: tuple[str, ...] = ("rotation", "flip")
    extractor: str = "auto"
    extraction: str = "pipelined"
    seed: int = 0
    timeout: float | None = None
    silence: float | None = None
    memory_limit: int | None = None
    processes: int | None = None

    def remedied(self, kind: str) -> tuple[CreateMLOptions, str]:
        """Return the settings of the next attempt after a failure of a kind, and in words what is different."""
        if kind in MEMORY:
            now = self.processes or cores()
            if now == 1:
                return self, f"{UNCHANGED}, as fewer than one process cannot extract"
            return replace(self, processes=now // 2), f"with {now // 2} extracting side by side in place of {now}"
        if kind in SEED:
            return replace(self, seed=self.seed + 1), f"with seed {self.seed + 1} in place of {self.seed}"
        return self, UNCHANGED


Save = Callable[[TrainingRecord], None]


def train(
    options: CreateMLOptions,
    record: TrainingRecord,
    folder: Path,
    cache: Path,
    stages: Stages,
    save: Save,
    broken: Path | None = None,
) -> TrainingRecord:
    """Return the record of the finished run; ``save`` is called with what is known after each stage.

    ``broken`` is the folder of a run that this one goes on with: the features it kept are not extracted again.

    Raises:
        StageFailedError: a stage failed; what was measured before is in the record last saved.
    """
    ended = stages.run(
        "setup", worker("setup"), {"extractor": options.extractor, "cache": str(cache)}, silence=SILENCE["setup"]
    )
    setup = result_of(ended)
    obtained = serialization.from_json(Obtained, setup["obtained"])
    record = replace(
        record,
        weights=obtained.provenance,
        options={**record.options, "extractor": obtained.extractor.name, "extractor chosen": obtained.reason},
        deviations=deviations_of(options, obtained=obtained),
    )
    record = with_phase(record, ended, "setup", 1)
    save(record)

    ended = stages.run("data", worker("data"), data_request(options, cache), silence=SILENCE["data"])
    images = serialization.from_json(ImageSet, result_of(ended))
    training, validation = split_validation(images.train, options.seed)
    record = replace(
        record,
        dataset=dataset_record(images, validation=len(validation)),
        deviations=deviations_of(options, images, obtained),
    )
    record = with_phase(record, ended, "data", images.examined)
    save(record)

    parts = {"train": training, "validation": validation, "test": images.test}
    if broken is not None:
        resume_data.take(broken, folder)
    record, features = _extract(options, record, obtained, setup["python"], parts, folder, stages)
    save(record)

    ended = stages.run(
        "train",
        [setup["python"], "-I", str(WORKER)],
        _train_request(options, parts, features, stages),
        silence=SILENCE["train"],
    )
    trained = result_of(ended)
    record = _with_training(record, ended, trained, images, parts, options)
    record = with_samples(record, images, trained["predicted"], folder)
    save(record)

    if obtained.weights is None:
        return _with_note(
            record, f"No Core ML model was saved: the network of {obtained.extractor.name} is macOS's own."
        )
    return _export(options, record, obtained, trained, features, images, folder, stages)


def deviations_of(
    options: CreateMLOptions, images: ImageSet | None = None, obtained: Obtained | None = None
) -> tuple[str, ...]:
    """Return in words where a run is not the article's protocol, as far as is known with or without data and extractor.

    Each extractor computes another amount, and ``auto`` takes what a machine can have: without this, two machines'
    runs would be compared as equal. The protocol's own extractor runs inside Turi Create only, which is no deviation.
    """
    (experiment,) = select(["createml"])
    settings: dict[str, Any] = {
        "dataset": options.dataset,
        "train": options.train,
        "test": options.test,
        "iterations": options.iterations,
        "augmentation": tuple(sorted(options.augment)),
    }
    if images is not None:
        settings |= {"train": len(images.train), "test": len(images.test), "classes": len(images.classes)}
    chosen = options.extractor if obtained is None else obtained.extractor.name
    settings |= {"extractor": None if chosen == "auto" else chosen, "processes": options.processes}
    if options.extraction == "turicreate" and chosen != experiment.extractor:
        settings["extraction"] = options.extraction
    return deviations(experiment, {key: value for key, value in settings.items() if value is not None})


# --- requests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Features:
    """Where the feature vectors lie, how long each is, and the rows (first, last) of each part."""

    path: Path
    length: int
    parts: Mapping[str, tuple[int, int]]
    size: tuple[int, int]


def _extract(
    options: CreateMLOptions,
    record: TrainingRecord,
    obtained: Obtained,
    python: str,
    parts: Mapping[str, Sequence[LabelledImage]],
    folder: Path,
    stages: Stages,
) -> tuple[TrainingRecord, Features]:
    extraction, note = _path_of_extraction(options, obtained)
    fell_back = extraction != options.extraction and obtained.weights is not None
    rows, first = {}, 0
    for name, images in parts.items():
        last = first + len(images) * (copies(options.augment) if name == "train" else 1)
        rows[name], first = (first, last), last
    work = stages.work
    ended = stages.run(
        "extract",
        worker("extract"),
        {
            "folder": str(work),
            "kept": str(folder / resume_data.KEPT),
            "made of": [record.machine.id, record.coremlbench, record.dataset and record.dataset.provenance.sha256],
            "processes": options.processes,
            "size": obtained.extractor.size,
            "network": str(obtained.weights) if extraction == "pipelined" else None,
            "bgr": obtained.extractor.bgr,
            "parts": [
                {
                    "name": name,
                    "paths": [str(image.path) for image in images],
                    "options": options.augment if name == "train" else (),
                    "seed": options.seed,
                }
                for name, images in parts.items()
            ],
        },
        silence=SILENCE["extract"],
    )
    result, path = result_of(ended), folder / resume_data.KEPT / resume_data.FEATURES
    taken = result["taken"]
    if taken:
        note = f"{taken:,} of {first:,} feature vectors are those of the run {record.resumed_from}, and not timed here."
    record = with_phase(record, ended, "extract" if extraction == "pipelined" else "augment", first - taken)
    if extraction == "turicreate":
        path = work / "features.f32"
        scratch = _turicreate_scratch(work, obtained)
        ended = stages.run(
            "turicreate-extract",
            [python, "-I", str(WORKER)],
            {
                "task": "extract",
                "extractor": obtained.extractor.name,
                "size": obtained.extractor.size,
                "rows": first,
                "pixels": str(work / "pixels.u8"),
                "features": str(path),
                "scratch": str(scratch),
            },
            silence=SILENCE["extract"],
        )
        result = {**result, **result_of(ended)}
        record = with_phase(record, ended, "extract", first)
        (work / "pixels.u8").unlink()
    record = replace(
        record,
        options={
            **record.options,
            "extraction": extraction,
            "extractions": first,
            "augmentation ranges": RANGES,
            "network": result.get("network"),
            "features sha256": result.get("features_sha256"),
        },
        notes=(*record.notes, *([note] if note else [])),
        deviations=(*record.deviations, *(["extraction turicreate"] if fell_back else [])),
        versions={**record.versions, **result.get("versions", {})},
    )
    return record, Features(path, result["length"], rows, obtained.extractor.size)


def _path_of_extraction(options: CreateMLOptions, obtained: Obtained) -> tuple[str, str]:
    """Return "pipelined" or "turicreate", and a note where it is not what was asked for."""
    if options.extraction == "turicreate":
        return "turicreate", ""
    if obtained.weights is None:
        return "turicreate", f"{obtained.extractor.name} runs inside macOS only, so Turi Create extracted its features."
    try:
        read_network(obtained.weights)
    except UnreadableNetworkError as error:
        return "turicreate", f"Turi Create extracted the features: {error}"
    return "pipelined", ""


def _turicreate_scratch(work: Path, obtained: Obtained) -> Path:
    """Return a folder for Turi Create's own files, where it finds the extractor's weights and downloads nothing."""
    scratch = work / "turicreate"
    models = scratch / "model_cache"
    models.mkdir(parents=True, exist_ok=True)
    if obtained.weights is not None:
        link = models / obtained.weights.name
        link.unlink(missing_ok=True)
        link.symlink_to(obtained.weights)
    return scratch


def _train_request(
    options: CreateMLOptions, parts: Mapping[str, Sequence[LabelledImage]], features: Features, stages: Stages
) -> dict[str, Any]:
    scratch = stages.work / "turicreate"
    scratch.mkdir(exist_ok=True)
    return {
        "task": "train",
        "features": str(features.path),
        "length": features.length,
        "parts": features.parts,
        "labels": {name: [image.label for image in images] for name, images in parts.items()},
        "iterations": options.iterations,
        "seed": options.seed,
        "scratch": str(scratch),
    }


def _export(
    options: CreateMLOptions,
    record: TrainingRecord,
    obtained: Obtained,
    trained: Mapping[str, Any],
    features: Features,
    images: ImageSet,
    folder: Path,
    stages: Stages,
) -> TrainingRecord:
    assert isinstance(record.outcome, Trained)
    accuracy = record.outcome.test_accuracy
    package = stages.work / PACKAGE
    ended = stages.run(
        "export",
        worker("export"),
        {
            "folder": str(stages.work),
            "package": str(package),
            "network": str(obtained.weights),
            "bgr": obtained.extractor.bgr,
            "size": features.size,
            "length": features.length,
            "classes": images.classes,
            "coefficients": trained["coefficients"],
            "images": [str(image.path) for image in images.test],
            "predicted": trained["predicted"],
            "description": (
                f"Classifies an image as one of {len(images.classes)} classes of {images.name}. "
                f"Test accuracy {accuracy:.1%} on {len(images.test)} images."
            ),
            "metadata": {
                "test accuracy": f"{accuracy:.4f}",
                "dataset": images.name,
                "extractor": obtained.extractor.name,
                "iterations": str(options.iterations),
                "run": record.id,
            },
        },
        silence=SILENCE["export"],
    )
    result = result_of(ended)
    saved = folder / PACKAGE
    shutil.rmtree(saved, ignore_errors=True)
    package.rename(saved)
    (stages.work / "head.npz").replace(folder / "head.npz")
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


# --- the record ---------------------------------------------------------------------------------------------


def _with_training(
    record: TrainingRecord,
    ended: Exit,
    trained: Mapping[str, Any],
    images: ImageSet,
    parts: Mapping[str, Sequence[LabelledImage]],
    options: CreateMLOptions,
) -> TrainingRecord:
    confusion = confusion_matrix([image.label for image in images.test], trained["predicted"], len(images.classes))
    evaluating = trained["seconds"]["evaluate"]
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
    rows = len(parts["train"]) * copies(options.augment)
    record = with_phase(record, ended, "train", rows, ended.seconds - evaluating)
    return with_phase(record, ended, "evaluate", len(images.test), evaluating)


def _with_note(record: TrainingRecord, note: str) -> TrainingRecord:
    return replace(record, notes=(*record.notes, note))
