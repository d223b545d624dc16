"""Training runs in a results folder, with real models that nobody trained: what a conversion starts from."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.runs import store
from coremlbench.system.files import hash_file, hash_folder
from coremlbench.system.machine import describe_machine
from coremlbench.types.data import Provenance
from coremlbench.types.training_records import DatasetRecord, SavedModel, Trained, TrainingRecord

CLASSES = ("grüne Punkte", "red stripes", "青い")
"""Those of the fixture ``pictures``, in the order of its folders."""


def run_of(results: Path, experiment: str, pictures: Path, **options: Any) -> tuple[TrainingRecord, Path]:
    """Save the record of a trained run on the pictures, without a model, and return it with its folder."""
    folder = store.new_run_folder(results, experiment, datetime.now(timezone.utc))
    record = TrainingRecord(
        id=folder.name,
        experiment=experiment,
        started=datetime.now(timezone.utc).isoformat(),
        command=("coremlbench",),
        coremlbench="0",
        machine=describe_machine(),
        engine="tensorflow",
        options={"dataset": str(pictures), "source": None, "train": 90, "test": 30, "seed": 0, **options},
        outcome=Trained(test_accuracy=1 / 3),
        dataset=DatasetRecord(pictures.name, Provenance("pictures", "here"), CLASSES, 90, 0, 30, 120),
    )
    store.save(record, folder)
    return record, folder


def with_model(record: TrainingRecord, folder: Path, name: str) -> TrainingRecord:
    """Save the record again with the model of this name, which lies in its folder."""
    path = folder / name
    digest = hash_folder(path)[0] if path.is_dir() else hash_file(path)
    record = replace(record, model=SavedModel(name, path.suffix[1:], "float32", digest, 0))
    store.save(record, folder)
    return record


def tinyvgg_run(results: Path, pictures: Path) -> TrainingRecord:
    """Return a run of a TinyVGG for small pictures, whose weights are random and alive."""
    import keras

    from coremlbench.training.random_weights import calibrate_random_weights
    from coremlbench_models import NETWORKS

    keras.utils.set_random_seed(3)
    network = NETWORKS["tinyvgg"]
    model = network.build((32, 32, 3), len(CLASSES))
    calibrate_random_weights(model, scale=network.scale)
    record, folder = run_of(results, "tinyvgg", pictures)
    model.save(folder / "model.keras")
    return with_model(record, folder, "model.keras")


def createml_run(results: Path, pictures: Path, squeezenet: Path) -> TrainingRecord:
    """Return a createml run whose classifier is random, with SqueezeNet's features."""
    from coremlbench.createml.classifier import Head, save_classifier
    from coremlbench.createml.network import read_network

    random = np.random.default_rng(0)
    head = Head(CLASSES, random.normal(size=(3, 1000)) / 10, random.normal(size=3))
    record, folder = run_of(results, "createml", pictures, extractor="squeezenet_v1.1")
    np.savez(folder / "head.npz", weights=head.weights, bias=head.bias, classes=np.array(head.classes))
    save_classifier(
        read_network(squeezenet), head, folder / "classifier.mlpackage", bgr=True, description="", metadata={}
    )
    return with_model(record, folder, "classifier.mlpackage")
