"""Which device TensorFlow trains on, and why: used inside children only, since asking imports TensorFlow."""

from __future__ import annotations

import platform
import shutil
import sys
from typing import Any

from coremlbench.types.errors import InputError


def choose(requested: str) -> tuple[str, str]:
    """Return the device to train on (``"GPU:0"`` or ``"CPU:0"``) and the reason, and set TensorFlow up for it.

    ``requested`` is ``auto``, ``cpu`` or ``gpu``. It must be called before TensorFlow has started a device: GPUs
    that are not used are hidden, since TensorFlow would place operations there unasked; the used one takes memory
    as it needs it, so that its peak tells something.

    Raises:
        InputError: ``gpu`` was asked for and TensorFlow sees none; the sentence says what is missing.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if requested == "gpu" and not gpus:
        raise InputError(f"There is no GPU to train on: TensorFlow {tf.__version__} sees none. {_remedy()}")
    if requested == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        if requested == "cpu":
            return "CPU:0", "the CPU was asked for"
        return "CPU:0", f"TensorFlow sees no GPU. {_remedy()}"
    tf.config.set_visible_devices(gpus[:1], "GPU")
    tf.config.experimental.set_memory_growth(gpus[0], enable=True)
    others = f"; {len(gpus) - 1} more are left alone" if len(gpus) > 1 else ""
    return "GPU:0", ("the GPU was asked for" if requested == "gpu" else "TensorFlow sees a GPU") + others


def _remedy() -> str:
    """Return the sentence that says how this kind of machine gets a GPU into TensorFlow."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "On Apple silicon it takes tensorflow-metal with Python 3.10 to 3.12; install coremlbench under one."
    if sys.platform == "darwin":
        return "There is no GPU support for Intel Macs that works with this TensorFlow."
    if shutil.which("nvidia-smi"):
        return "There is an NVIDIA driver here: install coremlbench[cuda]."
    return "For an NVIDIA GPU, install its driver and coremlbench[cuda]."


def hardware_name(device: str) -> str:
    """Return the hardware's own name of a GPU (``"GPU:0"``), or an empty string: a CPU is the machine's chip."""
    import tensorflow as tf

    kind, _, index = device.partition(":")
    found = tf.config.list_physical_devices(kind)
    if kind != "GPU" or len(found) <= int(index):
        return ""
    details: dict[str, Any] = tf.config.experimental.get_device_details(found[int(index)])
    return str(details.get("device_name", ""))


def device_peak_bytes(device: str) -> int | None:
    """Return the peak memory of a GPU as TensorFlow's allocator saw it, or ``None`` where it does not tell."""
    import tensorflow as tf

    if not device.startswith("GPU"):
        return None
    try:
        return int(tf.config.experimental.get_memory_info(device)["peak"])
    except (ValueError, tf.errors.OpError, KeyError):
        return None  # tensorflow-metal keeps no such figure


def versions() -> dict[str, str]:
    """Return the versions of TensorFlow, its plugin for the GPU and what they were built with."""
    from importlib import metadata

    import tensorflow as tf

    wanted = ("tensorflow", "keras", "numpy", "h5py", "pillow", "tensorflow-metal")
    found = {name: one.version for name in wanted for one in metadata.distributions(name=name)}
    build = tf.sysconfig.get_build_info()
    for key in ("cuda_version", "cudnn_version"):
        if build.get(key):
            found[key.removesuffix("_version")] = str(build[key])
    return found
