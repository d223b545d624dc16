"""One TensorFlow training, inside its own process: a request in, progress lines out, a result at the end.

The request is what ``training.run`` writes. Every finished epoch is also appended to a file of its own at
once, so that whatever ends the process leaves the epochs that were done.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.training import checkpoint
from coremlbench.training.imagenet_weights import obtain
from coremlbench.training.input_pipeline import Pictures, Rows, evaluation_batches, open_splits, training_batches
from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.training_records import EpochRow, Phase, Placement


class LossNotFiniteError(CoremlbenchError):
    """The loss became NaN or infinite: what is trained after that is worth nothing."""


@contextmanager
def _timed(phases: list[Phase], name: str, items: int = 0) -> Iterator[None]:
    """Add a phase of this name to ``phases`` when the block ends without an error."""
    start = time.perf_counter()
    yield
    phases.append(Phase(name, time.perf_counter() - start, items))


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train, test and save the requested network, and return what only this process can know about it.

    Raises:
        LossNotFiniteError: The loss became NaN or infinite.
        InputError: The data do not fit the network, or the requested device is not there.
    """
    phases: list[Phase] = []
    shape = tuple(request["input_shape"])
    report("weights", 0, 1, pid=os.getpid())
    with _timed(phases, "weights"):
        weights, provenance = obtain(request["weights"], Path(request["cache"]["kept"]), report)
    report("start TensorFlow", 0, 1)
    with _timed(phases, "start TensorFlow"):
        import keras

        from coremlbench.training import devices
        from coremlbench.training.random_weights import enliven
        from coremlbench_models import NETWORKS

        device, reason = devices.choose(request["device"])  # before anything starts a device
        keras.utils.set_random_seed(request["seed"])
    report("build", 0, 1)
    with _timed(phases, "build"):
        network = NETWORKS[request["network"]]
        model = network.build(shape, request["classes"], weights=weights)
        if provenance is not None and provenance.name == "random":
            # As Keras makes it a random extractor says the same of every picture, and there is nothing to learn.
            enliven(model, scale=network.scale)
        optimizer = keras.optimizers.Adam(learning_rate=request["learning_rate"])
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        train, test, notes = open_splits(request["data"], shape, request["cache"])
    kept = _Kept(request["kept"])
    done = checkpoint.read(Path(request["resume"]), model, kept.made_of) if request["resume"] else []
    with _timed(phases, "train", items=len(train) * (request["epochs"] - len(done))):
        epochs = _fit(model, request, done, kept, train=train, test=test, scale=network.scale, report=report)
    phases[-1] = replace(phases[-1], seconds=phases[-1].seconds - kept.seconds)
    phases.append(Phase("checkpoints", kept.seconds, len(epochs) - len(done)))
    with _timed(phases, "evaluate", items=len(test)):
        confusion = _confusion(model, request, test, network.scale, report)
    report("save", 0, 1)
    with _timed(phases, "save"):
        model.save(request["model"])
    placed = _variables_by_device(model)
    placement = Placement(
        requested=request["device"],
        device=max(placed, key=lambda name: placed[name]),
        name=devices.hardware_name(device),
        reason=reason,
        devices=tuple(sorted(placed)),
        variables=placed,
        peak_bytes=devices.device_peak_bytes(device),
    )
    return {
        "epochs": [asdict(row) for row in epochs],
        "phases": [asdict(phase) for phase in phases],
        "placement": asdict(placement),
        "weights": asdict(provenance) if provenance else None,
        "versions": devices.versions(),
        "confusion": confusion,
        "notes": [*notes, *kept.notes],
    }


class _Kept:
    """Keeps the state after each epoch, and counts the seconds that takes: they are not the epoch's.

    A disk that does not take it ends no training: ``notes`` say from then on that there is less to go on from.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.folder, self.made_of, self.seconds = Path(request["folder"]), request["made of"], 0.0
        self.notes: list[str] = []

    def write(self, model: Any, rows: Sequence[EpochRow]) -> None:
        start = time.perf_counter()
        try:
            checkpoint.write(self.folder, model, rows, self.made_of)
        except OSError as problem:
            self.notes.append(f"The state after epoch {rows[-1].epoch} was not kept: {problem.strerror}.")
        self.seconds += time.perf_counter() - start


def _fit(
    model: Any,
    request: dict[str, Any],
    done: Sequence[EpochRow],
    kept: _Kept,
    *,
    train: Rows,
    test: Rows,
    scale: float,
    report: Report,
) -> tuple[EpochRow, ...]:
    """Train the model with Keras's own ``fit`` from the epoch after ``done``, and return a row for each epoch."""
    import tensorflow as tf

    batch, epochs = request["batch"], request["epochs"]
    steps = math.ceil(len(train) / batch)
    watch = _watch(report, Path(request["epochs_file"]), done, kept, epochs=epochs, steps=steps)
    if len(done) == epochs:
        return tuple(done)
    first = len(done) + 1
    batches = training_batches(
        train, batch=batch, seed=request["seed"], scale=scale, first_epoch=first, last_epoch=epochs
    )
    validation = evaluation_batches(test, batch=batch, scale=scale) if request["validates"] else None
    try:
        model.fit(
            batches,
            epochs=epochs,
            initial_epoch=len(done),
            steps_per_epoch=steps,
            validation_data=validation,
            verbose=0,
            shuffle=False,
            callbacks=[watch],
        )
    except tf.errors.OpError:
        for rows in (train, test):
            if isinstance(rows.pixels, Pictures) and rows.pixels.error is not None:
                raise rows.pixels.error from None  # TensorFlow wrapped it in an error of its own, without its type
        raise
    return tuple(watch.rows)


def _watch(report: Report, file: Path, done: Sequence[EpochRow], kept: _Kept, *, epochs: int, steps: int) -> Any:
    """Return the Keras callback that times epochs, keeps them in ``file``, reports, and stops at a loss of NaN."""
    import keras

    file.write_text("".join(json.dumps(asdict(row)) + "\n" for row in done), encoding="utf-8")

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no type information
        async_safe = True  # Keras need not wait for the device after each step on our account

        def __init__(self) -> None:
            super().__init__()
            self.rows: list[EpochRow] = list(done)
            self.last_report = self.first_step = -math.inf

        def on_epoch_begin(self, epoch: int, _logs: Any = None) -> None:
            self.epoch, self.start, self.trained = epoch + 1, time.perf_counter(), 0.0
            report(f"epoch {self.epoch} of {epochs}", 0, steps)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            if batch == 0:
                self.first_step = now
            if now - self.last_report < 0.2 and batch + 1 < steps:
                return
            self.last_report = now
            figures = {name: float(value) for name, value in (logs or {}).items()}
            said = [f"loss {figures.get('loss', math.nan):.4f}"]
            if batch > 0:  # the first step of all traces the network, and says nothing of the others
                rate = batch / max(now - self.first_step, 1e-9)
                whole = self.rows[-1].seconds if len(self.rows) > 1 else steps / rate
                left = (steps - batch - 1) / rate + (epochs - self.epoch) * whole
                figures |= {"steps_per_second": rate, "seconds_left": left}
                said.append(f"{left:,.0f} s to the end of all epochs")
            report(f"epoch {self.epoch} of {epochs}", batch + 1, steps, ", ".join(said), **figures)
            _check(figures.get("loss", 0.0), f"epoch {self.epoch}, by step {batch + 1} of {steps}")

        def on_test_begin(self, _logs: Any = None) -> None:
            self.trained = time.perf_counter() - self.start

        def on_epoch_end(self, _epoch: int, logs: Any = None) -> None:
            seconds = time.perf_counter() - self.start
            _check(float(logs["loss"]), f"epoch {self.epoch}, by its end")
            row = _epoch_row(self.epoch, steps, seconds, self.trained or seconds, logs)
            self.rows.append(row)
            kept.write(self.model, self.rows)  # before the line: an epoch that is told of can be gone on from
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(row)) + "\n")

    return Watch()


def _check(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise LossNotFiniteError(f"The loss became {loss} in {where}.")


def _epoch_row(epoch: int, steps: int, seconds: float, training_seconds: float, logs: Any) -> EpochRow:
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


def _confusion(model: Any, request: dict[str, Any], test: Rows, scale: float, report: Report) -> list[list[int]]:
    """Return how many test images of each class (rows) were predicted to be of each class (columns)."""
    import numpy as np

    classes = request["classes"]
    report("evaluate", 0, len(test))
    predicted = model.predict(evaluation_batches(test, batch=request["batch"], scale=scale), verbose=0).argmax(axis=1)
    report("evaluate", len(test), len(test))
    counts = np.bincount(test.labels * classes + predicted, minlength=classes * classes)
    return [[int(count) for count in row] for row in counts.reshape(classes, classes)]


def _variables_by_device(model: Any) -> dict[str, int]:
    """Return how many of the network's variables each device holds ("GPU:0": 8): where it really trained."""
    found: dict[str, int] = {}
    for variable in model.variables:
        device = str(variable.value.device).rpartition("device:")[2] or "CPU:0"
        found[device] = found.get(device, 0) + 1
    return found


if __name__ == "__main__":
    run(work)
