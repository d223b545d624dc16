"""A TensorFlow experiment: prepare the data, check the device if asked, train and test in a child of its own."""

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
from coremlbench.runs import resume_data
from coremlbench.runs.retries import GPU, MEMORY, SEED, UNCHANGED
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.runs.steps import data_request, dataset_record, result_of, worker
from coremlbench.system import serialization
from coremlbench.types.data import ArraySet, ImageSet, Provenance
from coremlbench.types.experiments import Experiment
from coremlbench.types.process import Exit, Progress
from coremlbench.types.training_records import EpochRow, Phase, Placement, SavedModel, Trained, TrainingRecord

MODEL = "model.keras"
HISTORY = "history.json"

# Seconds that a stage may say nothing. Training is silent while TensorFlow starts and traces the network, minutes on
# a slow machine; after that a step says something.
SILENCE = {"data": 300.0, "check": 600.0, "train": 900.0}


@dataclass(frozen=True)
class TensorFlowOptions:
    """The settings of one run of one experiment; ``protocol`` makes them from the catalogue.

    ``train`` and ``test`` count images, None for all that a folder has; ``weights`` is ``imagenet``, ``random`` or
    the path of Keras's file, and ``None`` for networks without published weights. ``cache_bytes`` is what decoded
    pictures may take of the memory (``None``: a share of what is free). ``timeout`` and ``silence`` are seconds,
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

    def remedied(self, kind: str) -> tuple[TensorFlowOptions, str]:
        """Return the settings of the next attempt after a failure of a kind, and in words what is different."""
        if kind in MEMORY:
            if self.batch == 1:
                return self, f"{UNCHANGED}, as no batch is smaller than 1"
            batch = self.batch // 2
            return replace(self, batch=batch), f"with batch {batch} in place of {self.batch}"
        options, changes = self, []
        if kind in GPU and self.device != "cpu":
            options = replace(options, device="cpu")
            changes.append("on the CPU")
        if kind in SEED:
            options = replace(options, seed=self.seed + 1)
            changes.append(f"with seed {self.seed + 1} in place of {self.seed}")
        return options, " and ".join(changes) or UNCHANGED


Save = Callable[[TrainingRecord], None]


def protocol(experiment: Experiment) -> TensorFlowOptions:
    """Return the experiment's own settings, literally."""
    assert experiment.input_shape is not None  # every experiment of the family has a network
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
    """Return in words where the settings are not the experiment's protocol."""
    (experiment,) = select([options.experiment])
    settings: dict[str, Any] = {
        "dataset": options.dataset,
        "train": options.train,
        "test": options.test,
        "epochs": options.epochs,
        "batch": options.batch,
        "learning_rate": options.learning_rate,
        "input_shape": options.input_shape,
    }
    settings |= {"classes": classes}
    return deviations(experiment, {key: value for key, value in settings.items() if value is not None})


def train(
    options: TensorFlowOptions,
    record: TrainingRecord,
    folder: Path,
    cache: Path,
    stages: Stages,
    save: Save,
    broken: Path | None = None,
) -> TrainingRecord:
    """Return the record of the finished run; ``save`` is called with what is known after each stage and each epoch.

    The trained network and its history are left in ``folder``. ``broken`` is the folder of a run that this one goes
    on with, from the last epoch that it finished.

    Raises:
        StageFailedError: a stage failed; what was measured before, epochs that were done included, is in the record
            last saved.
    """
    (experiment,) = select([options.experiment])
    ended = stages.run(
        "data",
        worker("data"),
        data_request(options, cache),
        silence=SILENCE["data"],
    )
    data: ImageSet | ArraySet
    if experiment.takes == "images":
        data = serialization.from_json(ImageSet, result_of(ended))
    else:
        data = serialization.from_json(ArraySet, result_of(ended))
    dataset = dataset_record(data)
    options = replace(options, train=dataset.train, test=dataset.test)
    record = replace(record, dataset=dataset, deviations=deviations_of(options, classes=len(data.classes)))
    record = replace(record, phases=(Phase("data", ended.seconds, dataset.examined, ended.peak_bytes),))
    save(record)

    if options.check_device:
        record = _checked(options, record, stages)
        save(record)

    if broken is not None:
        resume_data.take(broken, folder)
    request = _train_request(options, experiment, data, cache, stages)
    request["resume"] = resume_data.newest_checkpoint(folder)
    request["kept"] = {"folder": folder / resume_data.KEPT, "made of": _made_of(options, record, request)}
    file = Path(request["epochs_file"])
    begun: set[str] = set()

    def on_progress(progress: Progress) -> None:
        """Save the epochs that are done whenever another phase begins, lest this process is killed in it."""
        if progress.phase not in begun and _epochs_done(file):
            save(replace(record, epochs=_epochs_done(file)))
        begun.add(progress.phase)
        stages.on_progress(progress)

    try:
        ended = stages.run("train", worker("tensorflow"), request, silence=SILENCE["train"], on_progress=on_progress)
    except StageFailedError:
        save(replace(record, epochs=_epochs_done(file)))
        raise
    record = _with_training(record, ended, data.classes)
    return _with_model(record, Path(request["model"]), folder)


# --- requests -----------------------------------------------------------------------------------------------


def _train_request(
    options: TensorFlowOptions, experiment: Experiment, data: ImageSet | ArraySet, cache: Path, stages: Stages
) -> dict[str, Any]:
    """Return what the training child is asked; its files stay in the stage's folder until it has ended well."""
    work = stages.work / "train"
    if isinstance(data, ImageSet):
        files: dict[str, Any] = {
            "kind": "images",
            "train": [[str(image.path), image.label] for image in data.train],
            "test": [[str(image.path), image.label] for image in data.test],
        }
    else:
        files = {"kind": "arrays", **serialization.to_json(data)}
    budgets = [options.cache_bytes, options.memory_limit // 3 if options.memory_limit else None]
    return {
        "network": experiment.network,
        "input_shape": list(options.input_shape),
        "classes": len(data.classes),
        "epochs": options.epochs,
        "batch": options.batch,
        "learning_rate": options.learning_rate,
        "validates": experiment.validates,
        "weights": options.weights,
        "device": options.device,
        "seed": options.seed,
        "data": files,
        "cache": {
            "folder": str(work / "pixels"),
            "kept": str(cache),
            "memory_bytes": min((each for each in budgets if each is not None), default=None),
        },
        "model": str(work / MODEL),
        "epochs_file": str(work / "epochs.jsonl"),
    }


def _made_of(options: TensorFlowOptions, record: TrainingRecord, request: Mapping[str, Any]) -> list[Any]:
    """Return what decides how a training goes on, so that a broken one is not gone on with as another."""
    decisive = ("network", "input_shape", "classes", "batch", "learning_rate", "seed", "weights", "device", "data")
    asked = json.dumps({name: request[name] for name in decisive}, sort_keys=True, default=str)
    data = record.dataset.provenance.sha256 if record.dataset else ""
    return [record.machine.id, record.coremlbench, data, options.train, hashlib.sha256(asked.encode()).hexdigest()]


def _checked(options: TensorFlowOptions, record: TrainingRecord, stages: Stages) -> TrainingRecord:
    """Return the record with what the device check found; a device that is not to be trusted fails the run."""
    request = {"device": options.device, "compare": True, "seed": options.seed}
    ended = stages.run("check", worker("device"), request, silence=SILENCE["check"])
    found = result_of(ended)
    if found["compared"]:
        last = [losses[-1] for losses in found["losses"]]
        note = (
            f"The device check: from the same weights the loss went to {last[0]:.4f} on the CPU and {last[1]:.4f} here."
        )
    else:
        note = f"The device check had nothing to compare: {found['reason']}"
    return replace(
        record,
        notes=(*record.notes, note),
        phases=(*record.phases, Phase("check", ended.seconds, 1, ended.peak_bytes)),
    )


# --- the record ---------------------------------------------------------------------------------------------


def _epochs_done(file: Path) -> tuple[EpochRow, ...]:
    """Return the epochs that a training had finished when it ended, however it did."""
    if not file.is_file():
        return ()
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    # A line without its end was cut short by the end of the process.
    return tuple(serialization.from_json(EpochRow, json.loads(line)) for line in lines if line.endswith("\n"))


def _with_training(record: TrainingRecord, ended: Exit, classes: Sequence[str]) -> TrainingRecord:
    result = result_of(ended)
    epochs = tuple(serialization.from_json(EpochRow, row) for row in result["epochs"])
    weights = serialization.from_json(Provenance, result["weights"]) if result["weights"] else None
    confusion = tuple(tuple(row) for row in result["confusion"])
    random = weights is not None and weights.name == "random"
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
        deviations=(*record.deviations, *(["random weights"] if random else [])),
        phases=(*record.phases, *phases),
        placement=placement,
        versions={**record.versions, **result["versions"]},
        peak_bytes=max(record.peak_bytes, ended.peak_bytes),
        notes=(*record.notes, *result["notes"], *([weights.note] if weights and weights.note else [])),
    )


def _with_model(record: TrainingRecord, model: Path, folder: Path) -> TrainingRecord:
    """Return the record with the saved network, moved into the run's folder, and write the history beside it."""
    target = folder / MODEL
    shutil.move(model, target)
    history = {"epochs": [serialization.to_json(row) for row in record.epochs]}
    (folder / HISTORY).write_text(json.dumps(history, indent=1), encoding="utf-8")
    content = target.read_bytes()
    saved = SavedModel(MODEL, "keras", "float32", hashlib.sha256(content).hexdigest(), len(content))
    return replace(record, model=saved)
