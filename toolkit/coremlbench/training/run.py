"""A TensorFlow run: prepare the data, check the device if requested, train and test in a worker process."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.experiments.catalogue import deviations, select
from coremlbench.experiments.metrics import per_class
from coremlbench.failures.retry import Retry
from coremlbench.runs import resume_data
from coremlbench.runs.retries import UNCHANGED
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.runs.steps import data_request, dataset_record, result_of, worker
from coremlbench.system import serialization
from coremlbench.types.data import ArraySet, ImageSet, Provenance
from coremlbench.types.experiments import Experiment
from coremlbench.types.process import Exit, Progress
from coremlbench.types.training_records import EpochRow, Phase, Placement, SavedModel, Trained, TrainingRecord

MODEL = "model.keras"
HISTORY = "history.json"

SILENCE = {
    "data": 300.0,
    "check": 600.0,
    "train": 900.0,  # TensorFlow's start and the tracing of the network take minutes on a slow machine
}
"""Seconds without progress after which a stage counts as hung."""


@dataclass(frozen=True)
class TensorFlowOptions:
    """The settings of one run of one experiment.

    ``train`` and ``test`` are numbers of images, None for all that a folder has. ``weights`` is ``imagenet``,
    ``random`` or the path of Keras's file, and None for networks without published weights. ``cache_bytes`` limits the
    memory for decoded images (None for a share of the available memory). ``timeout`` and ``silence`` are seconds,
    ``memory_limit`` is bytes.
    """

    experiment: str
    dataset: str
    train: int | None
    test: int | None
    epochs: int
    batch: int
    learning_rate: float
    input_shape: tuple[int, int, int]
    weights: str | None = None
    source: str | None = None
    device: str = "auto"
    check_device: bool = False
    seed: int = 0
    cache_bytes: int | None = None
    timeout: float | None = None
    silence: float | None = None
    memory_limit: int | None = None

    def remedied(self, retry: Retry) -> tuple[TensorFlowOptions, str]:
        """Return the settings for the next attempt, and a description of the change."""
        if retry is Retry.LESS_MEMORY:
            if self.batch == 1:
                return self, f"{UNCHANGED}, as no batch is smaller than 1"
            batch = self.batch // 2
            return replace(self, batch=batch), f"with batch {batch} in place of {self.batch}"
        options, changes = self, []
        if retry in (Retry.ON_CPU, Retry.ON_CPU_WITH_NEW_SEED) and self.device != "cpu":
            options = replace(options, device="cpu")
            changes.append("on the CPU")
        if retry is Retry.ON_CPU_WITH_NEW_SEED:
            options = replace(options, seed=self.seed + 1)
            changes.append(f"with seed {self.seed + 1} in place of {self.seed}")
        return options, " and ".join(changes) or UNCHANGED


Save = Callable[[TrainingRecord], None]


def protocol_options(experiment: Experiment) -> TensorFlowOptions:
    """Return the settings of an experiment's protocol, unchanged."""
    assert experiment.input_shape is not None  # every TensorFlow experiment has one
    return TensorFlowOptions(
        experiment=experiment.name,
        dataset=experiment.dataset,
        train=experiment.train,
        test=experiment.test,
        epochs=experiment.epochs,
        batch=experiment.batch,
        learning_rate=experiment.learning_rate,
        input_shape=experiment.input_shape,
        weights=experiment.weights,
    )


def deviations_of(options: TensorFlowOptions, classes: int | None = None) -> tuple[str, ...]:
    """Return the differences between the settings and the experiment's protocol."""
    (experiment,) = select([options.experiment])
    settings: dict[str, Any] = {
        "dataset": options.dataset,
        "train": options.train,
        "test": options.test,
        "epochs": options.epochs,
        "batch": options.batch,
        "learning_rate": options.learning_rate,
        "input_shape": options.input_shape,
        "classes": classes,
    }
    return deviations(experiment, {name: value for name, value in settings.items() if value is not None})


def train(
    options: TensorFlowOptions,
    record: TrainingRecord,
    folder: Path,
    cache: Path,
    stages: Stages,
    save: Save,
    previous_run: Path | None = None,
) -> TrainingRecord:
    """Return the record of the finished run; ``save`` is called with the record so far after each stage and epoch.

    The trained network and its history are saved in ``folder``. ``previous_run`` is the folder of the failed run to
    resume: the training continues after its last finished epoch.

    Raises:
        StageFailedError: a stage failed; the record last saved holds the results so far, finished epochs included.
    """
    (experiment,) = select([options.experiment])
    record, options, data = _prepare_data(options, experiment, record, cache, stages)
    save(record)
    if options.check_device:
        record = _check_device(options, record, stages)
        save(record)
    if previous_run is not None:
        resume_data.link_resume_data(previous_run, folder)
    request = _train_request(options, experiment, data, cache, stages.work / "train")
    request["resume"] = resume_data.newest_checkpoint(folder)
    request["checkpoints"] = {
        "folder": folder / resume_data.RESUME_DIR,
        "fingerprint": _training_fingerprint(options, record, request),
    }
    ended = _run_training(request, record, stages, save)
    record = _with_training(record, ended, data.classes)
    return _with_model(record, Path(request["model"]), folder)


# --- stages -------------------------------------------------------------------------------------------------


def _prepare_data(
    options: TensorFlowOptions, experiment: Experiment, record: TrainingRecord, cache: Path, stages: Stages
) -> tuple[TrainingRecord, TensorFlowOptions, ImageSet | ArraySet]:
    """Prepare the dataset; return the record with it, the options with the numbers of its images, and the dataset."""
    ended = stages.run("data", worker("data"), data_request(options, cache), silence=SILENCE["data"])
    data: ImageSet | ArraySet
    if experiment.takes == "images":
        data = serialization.from_json(ImageSet, result_of(ended))
    else:
        data = serialization.from_json(ArraySet, result_of(ended))
    dataset = dataset_record(data)
    options = replace(options, train=dataset.train, test=dataset.test)
    record = replace(
        record,
        dataset=dataset,
        deviations=deviations_of(options, classes=len(data.classes)),
        phases=(Phase("data", ended.seconds, dataset.examined, ended.peak_bytes),),
    )
    return record, options, data


def _check_device(options: TensorFlowOptions, record: TrainingRecord, stages: Stages) -> TrainingRecord:
    """Return the record with a note on the device check.

    Raises:
        StageFailedError: the device's losses differ from the CPU's, or there is no such device.
    """
    request = {"device": options.device, "compare": True, "seed": options.seed}
    ended = stages.run("check", worker("device"), request, silence=SILENCE["check"])
    result = result_of(ended)
    if result["compared"]:
        cpu, device = (losses[-1] for losses in result["losses"])
        note = f"The device check: from the same weights the loss went to {cpu:.4f} on the CPU and {device:.4f} here."
    else:
        note = f"The device check had nothing to compare: {result['reason']}"
    return replace(
        record,
        notes=(*record.notes, note),
        phases=(*record.phases, Phase("check", ended.seconds, 1, ended.peak_bytes)),
    )


def _run_training(request: Mapping[str, Any], record: TrainingRecord, stages: Stages, save: Save) -> Exit:
    """Run the worker that trains and tests; the record is saved with the finished epochs whenever a phase begins.

    Raises:
        StageFailedError: the worker failed; the epochs it finished are saved.
    """
    epochs_file = Path(request["epochs_file"])
    begun: set[str] = set()

    def on_progress(progress: Progress) -> None:
        if progress.phase not in begun and _finished_epochs(epochs_file):
            save(replace(record, epochs=_finished_epochs(epochs_file)))
        begun.add(progress.phase)
        stages.on_progress(progress)

    try:
        return stages.run("train", worker("tensorflow"), request, silence=SILENCE["train"], on_progress=on_progress)
    except StageFailedError:
        save(replace(record, epochs=_finished_epochs(epochs_file)))
        raise


def _train_request(
    options: TensorFlowOptions, experiment: Experiment, data: ImageSet | ArraySet, cache: Path, work: Path
) -> dict[str, Any]:
    """Return the request to the worker ``tensorflow``; ``work`` is the folder for its files until it has ended."""
    if isinstance(data, ImageSet):
        files: dict[str, Any] = {
            "kind": "images",
            "train": [[str(image.path), image.label] for image in data.train],
            "test": [[str(image.path), image.label] for image in data.test],
        }
    else:
        files = {"kind": "arrays", **serialization.to_json(data)}
    cache_limits = [options.cache_bytes, options.memory_limit // 3 if options.memory_limit else None]
    return {
        "network": experiment.network,
        "input_shape": list(options.input_shape),
        "classes": len(data.classes),
        "epochs": options.epochs,
        "batch": options.batch,
        "learning_rate": options.learning_rate,
        "validates": experiment.validates,
        "weights": options.weights,
        "weights_cache": str(cache),
        "device": options.device,
        "seed": options.seed,
        "data": files,
        "pixel_cache": {
            "folder": str(work / "pixels"),
            "memory_bytes": min((limit for limit in cache_limits if limit is not None), default=None),
        },
        "model": str(work / MODEL),
        "epochs_file": str(work / "epochs.jsonl"),
    }


def _training_fingerprint(options: TensorFlowOptions, record: TrainingRecord, request: Mapping[str, Any]) -> list[Any]:
    """Return values that identify a training: a checkpoint may only be resumed by a training with the same ones."""
    names = ("network", "input_shape", "classes", "batch", "learning_rate", "seed", "weights", "device", "data")
    settings = json.dumps({name: request[name] for name in names}, sort_keys=True, default=str)
    data_hash = record.dataset.provenance.sha256 if record.dataset else ""
    settings_hash = hashlib.sha256(settings.encode()).hexdigest()
    return [record.machine.id, record.coremlbench, data_hash, options.train, settings_hash]


# --- the record ---------------------------------------------------------------------------------------------


def _finished_epochs(file: Path) -> tuple[EpochRow, ...]:
    """Return the epochs in the worker's file; a last line without an end was cut short and is ignored."""
    if not file.is_file():
        return ()
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return tuple(serialization.from_json(EpochRow, json.loads(line)) for line in lines if line.endswith("\n"))


def _with_training(record: TrainingRecord, ended: Exit, classes: Sequence[str]) -> TrainingRecord:
    """Return the record with the outcome, epochs and phases of the training; ``classes`` are the class names."""
    result = result_of(ended)
    epochs = tuple(serialization.from_json(EpochRow, row) for row in result["epochs"])
    weights = serialization.from_json(Provenance, result["weights"]) if result["weights"] else None
    confusion = tuple(tuple(row) for row in result["confusion"])
    has_random_weights = weights is not None and weights.name == "random"
    placement = serialization.from_json(Placement, result["placement"])
    if not placement.name and placement.device.startswith("CPU"):
        placement = replace(placement, name=record.machine.chip)
    phases = [replace(serialization.from_json(Phase, phase), peak_bytes=ended.peak_bytes) for phase in result["phases"]]
    return replace(
        record,
        outcome=Trained(
            test_accuracy=sum(row[index] for index, row in enumerate(confusion)) / sum(map(sum, confusion)),
            training_accuracy=epochs[-1].accuracy,
            per_class=per_class(classes, confusion),
            confusion=confusion,
        ),
        epochs=epochs,
        weights=weights,
        deviations=(*record.deviations, *(["random weights"] if has_random_weights else [])),
        phases=(*record.phases, *phases),
        placement=placement,
        versions={**record.versions, **result["versions"]},
        peak_bytes=max(record.peak_bytes, ended.peak_bytes),
        notes=(*record.notes, *result["notes"], *([weights.note] if weights and weights.note else [])),
    )


def _with_model(record: TrainingRecord, model: Path, folder: Path) -> TrainingRecord:
    """Move the saved network into the run's folder, write the history, and return the record with the model."""
    target = folder / MODEL
    shutil.move(model, target)
    history = {"epochs": [serialization.to_json(row) for row in record.epochs]}
    (folder / HISTORY).write_text(json.dumps(history, indent=1), encoding="utf-8")
    content = target.read_bytes()
    saved = SavedModel(MODEL, "keras", "float32", hashlib.sha256(content).hexdigest(), len(content))
    return replace(record, model=saved)
