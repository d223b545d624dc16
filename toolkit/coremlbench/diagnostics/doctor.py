"""What works on this machine, what does not, and what to do about it. Looks only; makes and fetches nothing."""

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
"""The environments take 2 GB, the drawn pictures half of one, the features of a whole run another."""


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it works now, will be made at first use, or cannot work, and what to do."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(cache: Path, results: Path, machine: Machine, *, quickly: bool = False) -> tuple[Check, ...]:
    """Return every check, in the order people ask for them; ``quickly`` leaves out the one that starts TensorFlow."""
    checks: list[Callable[[], Check]] = [
        lambda: _machine(machine),
        lambda: _turicreate(cache),
        lambda: _extractor(cache),
        _tensorflow,
        *([] if quickly else [_training_device]),
        _core_ml,
        lambda: _room("room for the cache", cache),
        lambda: _room("room for results", results),
        _descriptors,
        _vector_instructions,
    ]
    return tuple(check() for check in checks)


def _machine(machine: Machine) -> Check:
    found = (
        f"{machine.chip}, {machine.logical_cores} cores, {format_bytes(machine.memory_bytes)}, "
        f"{machine.system} {machine.system_version}"
    )
    if machine.rosetta:
        return Check(
            "machine",
            "no",
            f"{found}; this Python runs under Rosetta",
            "Install a native arm64 Python, or TensorFlow crashes and every figure is slower than the machine.",
        )
    return Check("machine", "ok", found)


def _turicreate(cache: Path) -> Check:
    from coremlbench.createml.turicreate_environment import (
        TURICREATE,
        environment_folder,
        find_python38,
        installed_python,
        python38_install_advice,
    )

    name = "Turi Create"
    if platform.system() == "Linux" and platform.machine() != "x86_64":
        return Check(name, "no", f"there is no Turi Create for {platform.machine()}", "Use an x86-64 machine or a Mac.")
    if installed_python(TURICREATE, cache):
        return Check(name, "ok", f"6.4.1, isolated in {environment_folder(TURICREATE, cache)}")
    python = find_python38()
    if python is None:
        advice = f"On a machine without a network, {python38_install_advice()} beforehand."
        return Check(name, "later", "no Python 3.8 here; uv will fetch one at first use", advice)
    return Check(
        name, "later", f"made at first use with Python {python.version_text} {python.location} (600 MB to fetch)"
    )


def _extractor(cache: Path) -> Check:
    from coremlbench.createml.extractors import EXTRACTORS, turicreate_models

    name = "feature extractor"
    if platform.system() == "Darwin":
        return Check(name, "ok", "VisionFeaturePrint_Scene, part of macOS")
    here = [each.name for each in EXTRACTORS.values() if each.file and (turicreate_models(cache) / each.file).is_file()]
    if here:
        return Check(name, "ok", f"{', '.join(here)} in the cache")
    return Check(name, "later", "weights are fetched at first use: resnet-50 from Apple, else squeezenet_v1.1")


def _tensorflow() -> Check:
    try:
        found = f"{metadata.version('tensorflow')}"
    except metadata.PackageNotFoundError:
        return Check(
            "TensorFlow",
            "no",
            f"not installed: there is none for Python {platform.python_version()} on this system",
            "Use Python 3.12 or older on an Intel Mac.",
        )
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        try:
            found += f" with tensorflow-metal {metadata.version('tensorflow-metal')}"
        except metadata.PackageNotFoundError:
            return Check(
                "TensorFlow",
                "ok",
                f"{found}, on the CPU only",
                "For the GPU use Python 3.10 to 3.12, which tensorflow-metal needs.",
            )
    return Check("TensorFlow", "ok", found)


def _training_device() -> Check:
    """Ask TensorFlow itself, in a child: it takes some seconds, and nothing else knows."""
    from coremlbench.training.device_check import probe_device
    from coremlbench.types.failure import Failure

    name = "device to train on"
    found = probe_device()
    if isinstance(found, Failure):
        return Check(name, "no", found.reason, found.hint)
    return Check(name, "ok", f"{found.device} {found.name}".strip() + f": {found.reason}")


def _core_ml() -> Check:
    version = metadata.version("coremltools")
    if platform.system() == "Darwin":
        return Check("Core ML", "ok", f"macOS {platform.mac_ver()[0]}, coremltools {version}")
    return Check(
        "Core ML",
        "no",
        f"Core ML runs on macOS only; coremltools {version} converts and saves models here",
        "Carry the saved model to a Mac to run it on the Neural Engine or GPU.",
    )


def _room(name: str, folder: Path) -> Check:
    existing = next(each for each in (folder, *folder.parents) if each.is_dir())
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Check(name, "no", f"{existing} cannot be looked at ({error})", "Choose another folder.")
    found = f"{format_bytes(free)} free in {folder}"
    if free < DISK_BYTES:
        wanted = format_bytes(DISK_BYTES)
        return Check(
            name, "no", found, f"A whole run with its environment wants {wanted}; free some, or choose another disk."
        )
    return Check(name, "ok", found)


def _descriptors() -> Check:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    name = "open files"
    if limit != resource.RLIM_INFINITY and limit < 1024:
        return Check(name, "no", f"a limit of {limit}", "Raise it for this terminal with `ulimit -n 4096`.")
    return Check(name, "ok", "no limit" if limit == resource.RLIM_INFINITY else f"a limit of {limit:,}")


def _vector_instructions() -> Check:
    name = "vector instructions"
    avx = has_avx()
    if avx is None:
        return Check(name, "ok", f"those of {platform.machine()}")
    if not avx:
        return Check(
            name,
            "no",
            "this processor has no AVX, which TensorFlow's packages are built with",
            "Use another machine: TensorFlow ends with an illegal instruction here.",
        )
    return Check(name, "ok", ", ".join(vector_instructions()) or "avx")
