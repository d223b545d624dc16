"""Selects the device that TensorFlow trains on. For worker processes only, as it imports TensorFlow."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib import metadata
from typing import Any

from coremlbench.system.tensorflow_extra import DISTRIBUTION, metal_advice
from coremlbench.types.errors import InputError


def choose_device(requested: str) -> tuple[str, str]:
    """Configure TensorFlow for a device; return the device, ``"GPU:0"`` or ``"CPU:0"``, and the reason.

    ``requested`` is ``auto``, ``cpu`` or ``gpu``. Must be called before TensorFlow initialises a device. Unused GPUs
    are hidden, as TensorFlow would place operations on them; the used GPU allocates memory on demand, so that its peak
    memory is meaningful.

    Raises:
        InputError: ``gpu`` was requested and TensorFlow sees none; the message says what to install.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if requested == "gpu" and not gpus:
        raise InputError(f"There is no GPU to train on: TensorFlow {tf.__version__} sees none. {_gpu_advice()}")
    if requested == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        if requested == "cpu":
            return "CPU:0", "the CPU was requested"
        return "CPU:0", f"TensorFlow sees no GPU. {_gpu_advice()}"
    tf.config.set_visible_devices(gpus[:1], "GPU")
    tf.config.experimental.set_memory_growth(gpus[0], enable=True)
    others = f"; {len(gpus) - 1} more are not used" if len(gpus) > 1 else ""
    return "GPU:0", ("the GPU was requested" if requested == "gpu" else "TensorFlow sees a GPU") + others


def _gpu_advice() -> str:
    """Return a sentence on how to use a GPU with TensorFlow on this kind of machine."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return f"For the GPU, {metal_advice(metadata.requires(DISTRIBUTION) or ())}."
    if sys.platform == "darwin":
        return "There is no GPU support for Intel Macs that works with this TensorFlow."
    if shutil.which("nvidia-smi"):
        return "There is an NVIDIA driver here: install coremlbench[cuda]."
    return "For an NVIDIA GPU, install its driver and coremlbench[cuda]."


def hardware_name(device: str) -> str:
    """Return the product name of a GPU (``"GPU:0"``); "" for a CPU, which is the machine's chip."""
    import tensorflow as tf

    kind, _, index = device.partition(":")
    devices = tf.config.list_physical_devices(kind)
    if kind != "GPU" or len(devices) <= int(index):
        return ""
    details: dict[str, Any] = tf.config.experimental.get_device_details(devices[int(index)])
    return str(details.get("device_name", ""))


def device_peak_bytes(device: str) -> int | None:
    """Return the peak memory of TensorFlow's allocator on a GPU, ``None`` for a CPU or if it is not available."""
    import tensorflow as tf

    if not device.startswith("GPU"):
        return None
    try:
        return int(tf.config.experimental.get_memory_info(device)["peak"])
    except (ValueError, tf.errors.OpError, KeyError):
        return None  # tensorflow-metal does not provide it


def versions() -> dict[str, str]:
    """Return the versions of TensorFlow, its GPU plugin, the libraries it uses, and CUDA."""
    from importlib import metadata

    import tensorflow as tf

    names = ("tensorflow", "keras", "numpy", "h5py", "pillow", "tensorflow-metal")
    installed = {name: package.version for name in names for package in metadata.distributions(name=name)}
    build = tf.sysconfig.get_build_info()
    for key in ("cuda_version", "cudnn_version"):
        if build.get(key):
            installed[key.removesuffix("_version")] = str(build[key])
    return installed
