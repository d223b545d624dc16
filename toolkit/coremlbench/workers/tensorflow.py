"""Worker: train, test and save one network with TensorFlow.

The request is that of ``training.run``. Each finished epoch is also appended to a file at once, so that it is known
whatever ends the process.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.training import checkpoint
from coremlbench.training.imagenet_weights import obtain_weights
from coremlbench.training.input_pipeline import Pictures, Rows, evaluation_batches, open_splits, training_batches
from coremlbench.types.data import Provenance
from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.training_records import EpochRow, Phase, Placement

REPORT_SECONDS = 0.2
"""The least time between two reports of steps."""


class LossNotFiniteError(CoremlbenchError):
    """The loss became NaN or infinite, so that the training is useless from there on."""


@contextmanager
def _timed(phases: list[Phase], name: str, items: int = 0) -> Iterator[None]:
    """Append the phase with its time to ``phases`` when the block ends without an error."""
    start = time.perf_counter()
    yield
    phases.append(Phase(name, time.perf_counter() - start, items))


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train, test and save the requested network; return the results for the run's record.

    Raises:
        LossNotFiniteError: the loss became NaN or infinite.
        InputError: the data does not fit the network, or the requested device does not exist.
    """
    phases: list[Phase] = []
    report("weights", 0, 1, pid=os.getpid())
    with _timed(phases, "weights"):
        weights, provenance = obtain_weights(request["weights"], Path(request["weights_cache"]), report)
    report("start TensorFlow", 0, 1)
    with _timed(phases, "start TensorFlow"):
        device, reason = _start_tensorflow(request)
    report("build", 0, 1)
    with _timed(phases, "build"):
        model, scale = _build_model(request, weights, provenance)
        train, test, notes = open_splits(request["data"], tuple(request["input_shape"]), request["pixel_cache"])
    checkpoints = CheckpointWriter(Path(request["checkpoints"]["folder"]), request["checkpoints"]["fingerprint"])
    finished = checkpoint.read(Path(request["resume"]), model, checkpoints.fingerprint) if request["resume"] else []
    with _timed(phases, "train", items=len(train) * (request["epochs"] - len(finished))):
        epochs = _fit(model, request, finished, checkpoints, train=train, test=test, scale=scale, report=report)
    phases[-1] = replace(phases[-1], seconds=phases[-1].seconds - checkpoints.seconds)
    phases.append(Phase("checkpoints", checkpoints.seconds, len(epochs) - len(finished)))
    with _timed(phases, "evaluate", items=len(test)):
        confusion = _confusion(model, request, test, scale, report)
    report("save", 0, 1)
    with _timed(phases, "save"):
        model.save(request["model"])

    from coremlbench.training import devices

    return {
        "epochs": [asdict(row) for row in epochs],
        "phases": [asdict(phase) for phase in phases],
        "placement": asdict(_placement(model, request["device"], device, reason)),
        "weights": asdict(provenance) if provenance else None,
        "versions": devices.versions(),
        "confusion": confusion,
        "notes": [*notes, *checkpoints.notes],
    }


def _start_tensorflow(request: Mapping[str, Any]) -> tuple[str, str]:
    """Import TensorFlow, select the device and set the seed; return the device and the reason for it."""
    import keras

    from coremlbench.training import devices

    device, reason = devices.choose_device(request["device"])  # before TensorFlow initialises a device
    keras.utils.set_random_seed(request["seed"])
    return device, reason


def _build_model(request: Mapping[str, Any], weights: str | None, provenance: Provenance | None) -> tuple[Any, float]:
    """Return the compiled Keras model, and the factor for pixels from 0 to 255 that it expects."""
    import keras

    from coremlbench.training.random_weights import calibrate_random_weights
    from coremlbench_models import NETWORKS

    network = NETWORKS[request["network"]]
    model = network.build(tuple(request["input_shape"]), request["classes"], weights=weights)
    if provenance is not None and provenance.name == "random":
        # With Keras's initial weights the extractor's features hardly depend on the image, so nothing can be learnt.
        calibrate_random_weights(model, scale=network.scale)
    optimizer = keras.optimizers.Adam(learning_rate=request["learning_rate"])
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, network.scale


class CheckpointWriter:
    """Writes a checkpoint after each epoch, and measures the time of that, which is not part of the training.

    If a checkpoint cannot be written, the training goes on, and ``notes`` says so.
    """

    def __init__(self, folder: Path, fingerprint: Sequence[Any]) -> None:
        self.folder, self.fingerprint, self.seconds = folder, fingerprint, 0.0
        self.notes: list[str] = []

    def write(self, model: Any, rows: Sequence[EpochRow]) -> None:
        """Write the checkpoint after the last epoch in ``rows``."""
        start = time.perf_counter()
        try:
            checkpoint.write(self.folder, model, rows, self.fingerprint)
        except OSError as problem:
            self.notes.append(f"The checkpoint after epoch {rows[-1].epoch} could not be written: {problem.strerror}.")
        self.seconds += time.perf_counter() - start


def _fit(
    model: Any,
    request: Mapping[str, Any],
    finished: Sequence[EpochRow],
    checkpoints: CheckpointWriter,
    *,
    train: Rows,
    test: Rows,
    scale: float,
    report: Report,
) -> tuple[EpochRow, ...]:
    """Train with Keras's ``fit`` from the epoch after the ``finished`` ones; return the rows of all epochs.

    Raises:
        LossNotFiniteError: the loss became NaN or infinite.
        UnusableDataError: an image cannot be read any more.
    """
    import tensorflow as tf

    batch, epochs = request["batch"], request["epochs"]
    steps = math.ceil(len(train) / batch)
    log = EpochLog(Path(request["epochs_file"]), finished, report, epochs=epochs, steps=steps)
    if len(finished) == epochs:
        return tuple(finished)
    batches = training_batches(
        train, batch=batch, seed=request["seed"], scale=scale, first_epoch=len(finished) + 1, last_epoch=epochs
    )
    validation = evaluation_batches(test, batch=batch, scale=scale) if request["validates"] else None
    try:
        model.fit(
            batches,
            epochs=epochs,
            initial_epoch=len(finished),
            steps_per_epoch=steps,
            validation_data=validation,
            verbose=0,
            shuffle=False,
            callbacks=[_keras_callback(log, checkpoints)],
        )
    except tf.errors.OpError:
        for rows in (train, test):
            if isinstance(rows.pixels, Pictures) and rows.pixels.error is not None:
                raise rows.pixels.error from None  # the original error, which TensorFlow replaced by its own
        raise
    return tuple(log.rows)


class EpochLog:
    """Times the epochs of a training, reports its progress, and appends each finished epoch to ``file``.

    ``rows`` holds all finished epochs, ``steps`` is the number of steps per epoch.
    """

    def __init__(self, file: Path, finished: Sequence[EpochRow], report: Report, *, epochs: int, steps: int) -> None:
        self.file, self.report, self.epochs, self.steps = file, report, epochs, steps
        self.rows: list[EpochRow] = list(finished)
        self.epoch, self.start, self.training_seconds = 0, 0.0, 0.0
        self.last_report = self.first_step = -math.inf
        file.write_text("".join(map(_json_line, finished)), encoding="utf-8")

    def begin_epoch(self, epoch: int) -> None:
        """Start the clock of an epoch, counted from 1."""
        self.epoch, self.start, self.training_seconds = epoch, time.perf_counter(), 0.0
        self.report(f"epoch {epoch} of {self.epochs}", 0, self.steps)

    def end_step(self, step: int, logs: Mapping[str, Any]) -> None:
        """Report a step, counted from 0, unless the last report was a moment ago.

        Raises:
            LossNotFiniteError: the loss is NaN or infinite.
        """
        now = time.perf_counter()
        if step == 0:
            self.first_step = now
        if now - self.last_report < REPORT_SECONDS and step + 1 < self.steps:
            return
        self.last_report = now
        figures = {name: float(value) for name, value in logs.items()}
        message = [f"loss {figures.get('loss', math.nan):.4f}"]
        if step > 0:  # the first step traces the network, and its time says nothing about the others
            figures |= self._speed(step, now)
            message.append(f"{figures['seconds_left']:,.0f} s to the end of all epochs")
        self.report(f"epoch {self.epoch} of {self.epochs}", step + 1, self.steps, ", ".join(message), **figures)
        _check_loss(figures.get("loss", 0.0), f"epoch {self.epoch}, by step {step + 1} of {self.steps}")

    def _speed(self, step: int, now: float) -> dict[str, float]:
        """Return the steps per second in this epoch, and an estimate of the seconds to the end of all epochs."""
        rate = step / max(now - self.first_step, 1e-9)
        epoch_seconds = self.rows[-1].seconds if len(self.rows) > 1 else self.steps / rate
        left = (self.steps - step - 1) / rate + (self.epochs - self.epoch) * epoch_seconds
        return {"steps_per_second": rate, "seconds_left": left}

    def begin_validation(self) -> None:
        """Note the time of the epoch without its validation."""
        self.training_seconds = time.perf_counter() - self.start

    def end_epoch(self, logs: Mapping[str, Any]) -> None:
        """Add the row of the epoch to ``rows``.

        Raises:
            LossNotFiniteError: the loss is NaN or infinite.
        """
        seconds = time.perf_counter() - self.start
        _check_loss(float(logs["loss"]), f"epoch {self.epoch}, by its end")
        self.rows.append(_epoch_row(self.epoch, self.steps, seconds, self.training_seconds or seconds, logs))

    def write_last(self) -> None:
        """Append the last epoch to the file."""
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(_json_line(self.rows[-1]))


def _keras_callback(log: EpochLog, checkpoints: CheckpointWriter) -> Any:
    """Return a Keras callback that feeds the log and writes checkpoints."""
    import keras

    class Callback(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no type information
        async_safe = True  # Keras need not synchronise with the device after each step for this callback

        def on_epoch_begin(self, epoch: int, _logs: Any = None) -> None:
            log.begin_epoch(epoch + 1)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            log.end_step(batch, logs or {})

        def on_test_begin(self, _logs: Any = None) -> None:
            log.begin_validation()

        def on_epoch_end(self, _epoch: int, logs: Any = None) -> None:
            log.end_epoch(logs)
            checkpoints.write(self.model, log.rows)  # first: an epoch in the file must have a checkpoint
            log.write_last()

    return Callback()


def _check_loss(loss: float, position: str) -> None:
    if not math.isfinite(loss):
        raise LossNotFiniteError(f"The loss became {loss} in {position}.")


def _json_line(row: EpochRow) -> str:
    return json.dumps(asdict(row)) + "\n"


def _epoch_row(epoch: int, steps: int, seconds: float, training_seconds: float, logs: Mapping[str, Any]) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        seconds=seconds,
        steps=steps,
        loss=float(logs["loss"]),
        accuracy=float(logs["accuracy"]),
        validation_loss=float(logs["val_loss"]) if "val_loss" in logs else None,
        validation_accuracy=float(logs["val_accuracy"]) if "val_accuracy" in logs else None,
        training_seconds=training_seconds,
    )


def _confusion(model: Any, request: Mapping[str, Any], test: Rows, scale: float, report: Report) -> list[list[int]]:
    """Return the confusion matrix of the test images: rows are true classes, columns predicted ones."""
    import numpy as np

    classes = request["classes"]
    report("evaluate", 0, len(test))
    predicted = model.predict(evaluation_batches(test, batch=request["batch"], scale=scale), verbose=0).argmax(axis=1)
    report("evaluate", len(test), len(test))
    counts = np.bincount(test.labels * classes + predicted, minlength=classes * classes)
    return [[int(count) for count in row] for row in counts.reshape(classes, classes)]


def _placement(model: Any, requested: str, device: str, reason: str) -> Placement:
    """Return where the training ran; ``device`` is the selected device."""
    from coremlbench.training import devices

    variables = _variables_by_device(model)
    return Placement(
        requested=requested,
        device=max(variables, key=lambda name: variables[name]),
        name=devices.hardware_name(device),
        reason=reason,
        devices=tuple(sorted(variables)),
        variables=variables,
        peak_bytes=devices.device_peak_bytes(device),
    )


def _variables_by_device(model: Any) -> dict[str, int]:
    """Return the number of the network's variables on each device, such as {"GPU:0": 8}: where it really trained."""
    counts: dict[str, int] = {}
    for variable in model.variables:
        device = str(variable.value.device).rpartition("device:")[2] or "CPU:0"
        counts[device] = counts.get(device, 0) + 1
    return counts


if __name__ == "__main__":
    run(work)
