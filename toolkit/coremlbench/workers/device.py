"""Which device TensorFlow would train on, and whether a GPU learns what the CPU learns: in a child of its own.

A known fault of GPU plugins is a loss that goes elsewhere than on the CPU, without any error (tf-keras issue 140,
tensorflow issue 92686). The check trains the same small network from the same weights on the same batches on both.
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
    """A device whose loss goes elsewhere than the CPU's: what it trains is worth nothing."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return which device would be used and why, and with ``compare`` the losses of both.

    ``device`` is ``auto``, ``cpu`` or ``gpu``. ``against`` names the device to compare with the CPU, by default the
    one that would be used; ``cpus`` makes that many logical CPUs out of one, so that there are two devices to
    compare on a machine without a GPU.

    Raises:
        UntrustedDeviceError: The device's losses are not those of the CPU.
        InputError: ``gpu`` was asked for and there is none.
    """
    report("start TensorFlow", 0, 1)
    import tensorflow as tf

    from coremlbench.training import devices

    if request.get("cpus"):
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * request["cpus"])
    device, reason = devices.choose(request["device"])
    against = request.get("against") or device
    found: dict[str, Any] = {
        "device": device,
        "name": devices.hardware_name(device),
        "reason": reason,
        "versions": devices.versions(),
        "compared": [],
    }
    if request["compare"] and against != "CPU:0":
        found["compared"] = ["CPU:0", against]
        found["losses"] = [losses(name, request["seed"], report) for name in found["compared"]]
        difference = compare_losses(*found["losses"])
        if difference is not None:
            raise UntrustedDeviceError(f"{against} ({found['name']}) is not to be trusted: {difference}")
    return found


def losses(device: str, seed: int, report: Report) -> list[float]:
    """Return the loss of each step of a small TinyVGG on a device, from weights and batches that the seed sets."""
    import keras
    import numpy as np
    import tensorflow as tf

    from coremlbench_models import NETWORKS

    random = np.random.default_rng(seed)
    patterns = random.random((10, SIDE, SIDE, 3), np.float32)
    found = []
    with tf.device(device):
        keras.utils.set_random_seed(seed)
        model = NETWORKS["tinyvgg"].build((SIDE, SIDE, 3))
        model.compile(optimizer=keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy")
        for step in range(STEPS):
            labels = random.integers(0, 10, BATCH)
            noise = random.random((BATCH, SIDE, SIDE, 3), np.float32)
            found.append(float(model.train_on_batch(0.7 * patterns[labels] + 0.3 * noise, labels)))
            report(f"train on {device}", step + 1, STEPS, loss=found[-1])
    return found


def compare_losses(reference: Sequence[float], other: Sequence[float]) -> str | None:
    """Return in a sentence how a device's losses differ from the CPU's, or ``None`` when they agree.

    The first step starts from the same weights, so that it must agree to a hundredth; rounding then drives the two
    apart, the more the longer, and a tenth of the first loss is allowed over the last ten steps on average.
    """
    for step, loss in enumerate(other, start=1):
        if not math.isfinite(loss):
            return f"its loss is {loss} in step {step}."
    if abs(other[0] - reference[0]) > 0.01 * abs(reference[0]):
        return f"its first loss is {other[0]:.4f} where the CPU has {reference[0]:.4f}, from the same weights."
    ends = [sum(each[-10:]) / len(each[-10:]) for each in (reference, other)]
    if abs(ends[1] - ends[0]) > 0.1 * abs(reference[0]):
        return f"after {len(other)} steps its loss is {ends[1]:.4f} where the CPU has {ends[0]:.4f}."
    return None


if __name__ == "__main__":
    run(work)
