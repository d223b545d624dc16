"""Checks of this machine: what works, what does not, and what to do. Nothing is installed or downloaded."""

from __future__ import annotations

import platform
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from coremlbench.system.formatting import format_bytes
from coremlbench.system.resources import has_avx, vector_instructions
from coremlbench.types.machine import Machine

State = Literal["ok", "later", "no"]

DISK_BYTES = 6 * 2**30
"""Free space needed: 2 GB for environments, half a GB for drawn images, half a GB for the features of a whole run."""


@dataclass(frozen=True)
class SystemCheck:
    """The result of one check.

    ``state`` is ``ok``, ``later`` (installed at first use) or ``no``. ``found`` says what is there, ``advice`` what to
    do about it.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def run_checks(cache: Path, results: Path, machine: Machine, *, skip_slow: bool = False) -> tuple[SystemCheck, ...]:
    """Return the results of all checks. ``skip_slow`` omits the check that starts TensorFlow.

    ``cache`` and ``results`` are the folders whose disks are checked for free space.
    """
    checks: list[Callable[[], SystemCheck]] = [
        lambda: _machine(machine),
        lambda: _turicreate(cache),
        lambda: _extractor(cache),
        _tensorflow,
        *([] if skip_slow else [_training_device]),
        _core_ml,
        lambda: _disk_space("room for the cache", cache),
        lambda: _disk_space("room for results", results),
        _open_file_limit,
        _vector_instructions,
    ]
    return tuple(check() for check in checks)


def _machine(machine: Machine) -> SystemCheck:
    description = (
        f"{machine.chip}, {machine.logical_cores} cores, {format_bytes(machine.memory_bytes)}, "
        f"{machine.system} {machine.system_version}"
    )
    if machine.rosetta:
        return SystemCheck(
            "machine",
            "no",
            f"{description}; this Python runs under Rosetta",
            "Install a native arm64 Python, or TensorFlow crashes and every figure is slower than the machine.",
        )
    return SystemCheck("machine", "ok", description)


def _turicreate(cache: Path) -> SystemCheck:
    from coremlbench.createml.turicreate_environment import (
        TURICREATE,
        environment_folder,
        find_python38,
        installed_python,
        python38_install_advice,
    )

    name = "Turi Create"
    if platform.system() == "Linux" and platform.machine() != "x86_64":
        return SystemCheck(
            name,
            "no",
            f"there is no Turi Create for {platform.machine()}",
            "There is nothing to do: --engine auto takes builtin, which trains the same classifier.",
        )
    if installed_python(TURICREATE, cache):
        return SystemCheck(name, "ok", f"6.4.1, isolated in {environment_folder(TURICREATE, cache)}")
    python = find_python38()
    if python is None:
        advice = f"On a machine without a network, {python38_install_advice()} beforehand."
        return SystemCheck(name, "later", "no Python 3.8 here; uv will fetch one at first use", advice)
    return SystemCheck(
        name, "later", f"made at first use with Python {python.version_text} {python.location} (600 MB to fetch)"
    )


def _extractor(cache: Path) -> SystemCheck:
    from coremlbench.createml.extractors import EXTRACTORS, turicreate_models

    name = "feature extractor"
    if platform.system() == "Darwin":
        return SystemCheck(name, "ok", "VisionFeaturePrint_Scene, part of macOS")
    models = turicreate_models(cache)
    cached = [
        extractor.name for extractor in EXTRACTORS.values() if extractor.file and (models / extractor.file).is_file()
    ]
    if cached:
        return SystemCheck(name, "ok", f"{', '.join(cached)} in the cache")
    return SystemCheck(name, "later", "weights are fetched at first use: resnet-50 from Apple, else squeezenet_v1.1")


def _tensorflow() -> SystemCheck:
    try:
        description = f"{metadata.version('tensorflow')}"
    except metadata.PackageNotFoundError:
        return SystemCheck(
            "TensorFlow",
            "no",
            f"not installed: there is none for Python {platform.python_version()} on this system",
            "Use Python 3.12 or older on an Intel Mac.",
        )
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        try:
            description += f" with tensorflow-metal {metadata.version('tensorflow-metal')}"
        except metadata.PackageNotFoundError:
            return SystemCheck(
                "TensorFlow",
                "ok",
                f"{description}, on the CPU only",
                "For the GPU use Python 3.10 to 3.12, which tensorflow-metal needs.",
            )
    return SystemCheck("TensorFlow", "ok", description)


def _training_device() -> SystemCheck:
    """Return the device that TensorFlow reports in a child process, which takes some seconds."""
    from coremlbench.training.device_check import probe_device
    from coremlbench.types.failure import Failure

    name = "device to train on"
    device = probe_device()
    if isinstance(device, Failure):
        return SystemCheck(name, "no", device.reason, device.hint)
    return SystemCheck(name, "ok", f"{device.device} {device.name}".strip() + f": {device.reason}")


def _core_ml() -> SystemCheck:
    version = metadata.version("coremltools")
    if platform.system() == "Darwin":
        return SystemCheck("Core ML", "ok", f"macOS {platform.mac_ver()[0]}, coremltools {version}")
    return SystemCheck(
        "Core ML",
        "no",
        f"Core ML runs on macOS only; coremltools {version} converts and saves models here",
        "Copy the saved model to a Mac to run it on the Neural Engine or GPU.",
    )


def _disk_space(name: str, folder: Path) -> SystemCheck:
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return SystemCheck(name, "no", f"{existing} cannot be read ({error})", "Choose another folder.")
    description = f"{format_bytes(free)} free in {folder}"
    if free < DISK_BYTES:
        return SystemCheck(
            name,
            "no",
            description,
            f"A whole run with its environment needs {format_bytes(DISK_BYTES)}; free some, or choose another disk.",
        )
    return SystemCheck(name, "ok", description)


def _open_file_limit() -> SystemCheck:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    name = "open files"
    if limit != resource.RLIM_INFINITY and limit < 1024:
        return SystemCheck(name, "no", f"a limit of {limit}", "Raise it for this terminal with `ulimit -n 4096`.")
    return SystemCheck(name, "ok", "no limit" if limit == resource.RLIM_INFINITY else f"a limit of {limit:,}")


def _vector_instructions() -> SystemCheck:
    name = "vector instructions"
    avx = has_avx()
    if avx is None:
        return SystemCheck(name, "ok", f"those of {platform.machine()}")
    if not avx:
        return SystemCheck(
            name,
            "no",
            "this processor has no AVX, which TensorFlow's packages are built with",
            "Use another machine: TensorFlow ends with an illegal instruction here.",
        )
    return SystemCheck(name, "ok", ", ".join(vector_instructions()) or "avx")
