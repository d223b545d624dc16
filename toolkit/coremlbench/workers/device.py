"""Worker: find the device that TensorFlow would train on, and check that a GPU trains like the CPU.

A known fault of GPU plugins is a loss that differs from the CPU's without any error (tf-keras issue 140, tensorflow
issue 92686). The check trains the same small network from the same weights on the same batches on both devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.errors import CoremlbenchError

STEPS = 60
BATCH = 32
SIDE = 32


class UntrustedDeviceError(CoremlbenchError):
    """The losses on a device differ from those on the CPU, so that its results cannot be trusted."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the device that a training would use and why; with ``compare`` also the losses on the CPU and on it.

    In the request, ``device`` is ``auto``, ``cpu`` or ``gpu``. With ``one_step`` the result has the ``loss`` of one
    training step on the device. Two more keys are for tests on machines without a GPU:
    ``against`` is the device to compare with the CPU, and ``cpus`` splits the CPU into that many logical devices.

    Raises:
        UntrustedDeviceError: the losses on the device differ from those on the CPU.
        InputError: ``gpu`` was requested and there is none.
    """
    report("start TensorFlow", 0, 1)
    import tensorflow as tf

    from coremlbench.training import devices

    if request.get("cpus"):
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * request["cpus"])
    device, reason = devices.choose_device(request["device"])
    against = request.get("against") or device
    result: dict[str, Any] = {
        "device": device,
        "name": devices.hardware_name(device),
        "reason": reason,
        "versions": devices.versions(),
        "compared": [],
    }
    if request.get("one_step"):
        (result["loss"],) = measure_losses(device, request["seed"], report, steps=1)
    if request["compare"] and against != "CPU:0":
        result["compared"] = ["CPU:0", against]
        result["losses"] = [measure_losses(name, request["seed"], report) for name in result["compared"]]
        difference = compare_losses(*result["losses"])
        if difference is not None:
            raise UntrustedDeviceError(f"{against} ({result['name']}) is not to be trusted: {difference}")
    return result


def measure_losses(device: str, seed: int, report: Report, steps: int = STEPS) -> list[float]:
    """Train a small TinyVGG on a device; return the loss of each step. The seed sets the weights and the batches."""
    import keras
    import numpy as np
    import tensorflow as tf

    from coremlbench_models import NETWORKS

    random = np.random.default_rng(seed)
    patterns = random.random((10, SIDE, SIDE, 3), np.float32)
    losses = []
    with tf.device(device):
        keras.utils.set_random_seed(seed)
        model = NETWORKS["tinyvgg"].build((SIDE, SIDE, 3))
        model.compile(optimizer=keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy")
        for step in range(steps):
            labels = random.integers(0, 10, BATCH)
            noise = random.random((BATCH, SIDE, SIDE, 3), np.float32)
            losses.append(float(model.train_on_batch(0.7 * patterns[labels] + 0.3 * noise, labels)))
            report(f"train on {device}", step + 1, steps, loss=losses[-1])
    return losses


def compare_losses(reference: Sequence[float], other: Sequence[float]) -> str | None:
    """Return a sentence on how a device's losses differ from the CPU's, ``None`` if they agree.

    The first losses come from the same weights and may differ by 1%. Later, rounding errors add up: the averages of the
    last ten losses may differ by 10% of the first loss.
    """
    for step, loss in enumerate(other, start=1):
        if not math.isfinite(loss):
            return f"its loss is {loss} in step {step}."
    if abs(other[0] - reference[0]) > 0.01 * abs(reference[0]):
        return f"its first loss is {other[0]:.4f} where the CPU has {reference[0]:.4f}, from the same weights."
    last_reference, last_other = (sum(losses[-10:]) / len(losses[-10:]) for losses in (reference, other))
    if abs(last_other - last_reference) > 0.1 * abs(reference[0]):
        return f"after {len(other)} steps its loss is {last_other:.4f} where the CPU has {last_reference:.4f}."
    return None


if __name__ == "__main__":
    run(work)
