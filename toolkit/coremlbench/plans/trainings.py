"""The plans of trainings: the Create ML run, and the TensorFlow experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coremlbench.createml.augmentation import copies_per_image
from coremlbench.createml.engines.choice import choose_engine
from coremlbench.createml.extractors import AUTOMATIC, EXTRACTORS, turicreate_models
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.turicreate_environment import TURICREATE, installed_python
from coremlbench.createml.validation_split import validation_size
from coremlbench.plans.durations import NOTHING_COMPARABLE, Estimate, estimate
from coremlbench.plans.needs import (
    DRAWN_IMAGE_BYTES,
    TURICREATE_BYTES,
    dataset_downloads,
    free_bytes,
    missing_images,
)
from coremlbench.plans.types import Plan, PlannedRun
from coremlbench.system import macos
from coremlbench.system.formatting import format_bytes, format_count
from coremlbench.training.run import TensorFlowOptions
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record

FLOAT_BYTES = 4
ALL_IMAGES = "all images of the folder, which are counted when it is read"


def plan_createml(
    options: CreateMLOptions, *, results: Path, cache: Path, records: Sequence[Record], machine: str
) -> Plan:
    """Return the plan of a Create ML run. ``records`` are past runs, ``machine`` is the id of this machine.

    Raises:
        InputError: the engine or the extractor does not exist, or does not run here.
    """
    choice = choose_engine(options)
    if options.extractor != "auto" and options.extractor not in EXTRACTORS:
        raise InputError(
            f"There is no extractor called {options.extractor!r}; choose from auto, {', '.join(EXTRACTORS)}."
        )
    copies = copies_per_image(options.augment)
    run = PlannedRun("createml", f"{ALL_IMAGES}, {format_count(copies, 'copy', 'copies')} of each for training")
    notes = [f"The engine is {choice.engine.name}: {choice.reason}."]
    if options.train is not None and options.test is not None:
        images = options.train + options.test
        validation = validation_size(options.train)
        extractions = (options.train - validation) * copies + validation + options.test
        drawn = missing_images(options.dataset, images, cache)
        features = extractions * _feature_length(options) * FLOAT_BYTES if choice.engine.trains_on == "features" else 0
        time = _time(records, "createml", machine, options.train, "image")
        run = PlannedRun(
            name="createml",
            work=f"{extractions:,} extractions of {options.train:,} training and {options.test:,} test images, "
            f"at most {format_count(options.iterations, 'iteration')}",
            images=images,
            disk_bytes=features + drawn * DRAWN_IMAGE_BYTES,
            seconds=time.seconds,
            time_basis=time.basis,
        )
        notes += _drawing_notes(drawn)
    downloads = dataset_downloads([options.dataset], [options.dataset] if options.source else [], cache)
    if (choice.engine.name == "turicreate" or options.verify) and installed_python(TURICREATE, cache) is None:
        downloads.append(f"Turi Create's environment is installed once ({format_bytes(TURICREATE_BYTES)} on the disk).")
    if not macos.is_macos() and not any(turicreate_models(cache).glob("*.h5")):
        downloads.append("The extractor's weights are downloaded: resnet-50 from Apple, else squeezenet_v1.1.")
    return Plan("createml", (run,), str(results), free_bytes(results), tuple(downloads), tuple(notes))


def plan_trainings(
    runs: Sequence[TensorFlowOptions], *, results: Path, cache: Path, records: Sequence[Record], machine: str
) -> Plan:
    """Return the plan of TensorFlow experiments with these settings."""
    planned, drawn = [], 0
    for options in runs:
        images = (options.train or 0) + (options.test or 0)
        counted = options.train is not None and options.test is not None
        read = f"{options.train:,} training and {options.test:,} test images" if counted else ALL_IMAGES
        size = (options.train or 0) * options.epochs
        time = _time(records, options.experiment, machine, size, "image")
        planned.append(
            PlannedRun(
                name=options.experiment,
                work=f"{format_count(options.epochs, 'epoch')} in batches of {options.batch}, {read} of "
                f"{options.dataset}",
                images=images,
                seconds=time.seconds,
                time_basis=time.basis,
            )
        )
        drawn = max(drawn, missing_images(options.dataset, images, cache))
    local = [options.dataset for options in runs if options.source]
    downloads = dataset_downloads([options.dataset for options in runs], local, cache)
    if any(options.weights == "imagenet" for options in runs) and not any((cache / "keras" / "models").glob("*.h5")):
        downloads.append("EfficientNetB0's weights are downloaded, unless Keras has them; else they are random.")
    return Plan(
        "train", tuple(planned), str(results), free_bytes(results), tuple(downloads), tuple(_drawing_notes(drawn))
    )


def _time(records: Sequence[Record], experiment: str, machine: str, size: int, unit: str) -> Estimate:
    if not size:
        return Estimate(None, NOTHING_COMPARABLE)
    return estimate(records, kind="training", experiment=experiment, machine=machine, size=size, unit=unit)


def _feature_length(options: CreateMLOptions) -> int:
    """Return the length of a feature vector; with ``auto`` the largest of those that it can choose here."""
    if options.extractor != "auto":
        return EXTRACTORS[options.extractor].features
    names = [name for name in AUTOMATIC if macos.is_macos() or not EXTRACTORS[name].scene]
    return max(EXTRACTORS[name].features for name in names)


def _drawing_notes(drawn: int) -> list[str]:
    if not drawn:
        return []
    return [f"{format_count(drawn, 'image')} are drawn first ({format_bytes(drawn * DRAWN_IMAGE_BYTES)} in the cache)."]
