"""Checks of this machine: what works, what does not, and what to do. Nothing is installed or downloaded."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from coremlbench.system import macos
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.condition_texts import describe_conditions, start_problems
from coremlbench.system.conditions import read_conditions
from coremlbench.system.files import nearest_existing
from coremlbench.system.formatting import format_bytes
from coremlbench.system.resources import OPEN_FILES, has_avx, vector_instructions
from coremlbench.system.tensorflow_extra import DISTRIBUTION, has_tensorflow, install_advice, metal_advice
from coremlbench.timing.chips import accelerator_note
from coremlbench.types.machine import Machine

State = Literal["ok", "later", "warn", "no"]

DISK_BYTES = 6 * 2**30
"""Free space needed: 2 GB for environments, half a GB for drawn images, half a GB for the features of a whole run."""


FEW_OPEN_FILES = 1024
"""Runs may fail with fewer open files."""


@dataclass(frozen=True)
class SystemCheck:
    """The result of one check.

    ``state`` is ``ok``, ``later`` (installed at first use), ``warn`` (it works, and the advice matters) or ``no``.
    ``found`` says what is there, ``advice`` what to do about it.
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
        lambda: _accelerators(machine),
        lambda: _conditions(machine),
        lambda: _turicreate(cache),
        lambda: _extractor(cache),
        _tensorflow,
        *([] if skip_slow or not has_tensorflow() else [_training_device]),
        _core_ml,
        *([_swift_compiler] if macos.is_macos() else []),
        lambda: _disk_space("room for the cache", cache, "Choose another folder with COREMLBENCH_CACHE."),
        lambda: _disk_space("room for results", results, "Choose another folder with --results."),
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
            "Install a native arm64 Python, or TensorFlow crashes and every figure is slower than the machine. "
            + macos.rosetta_end(macos.product_version()),
        )
    if machine.virtual_machine:
        return SystemCheck(
            "machine",
            "warn",
            f"{description}; a virtual machine",
            "Time on a Mac itself: a virtual one has no Neural Engine, and CPU_AND_NE and ALL have hung there.",
        )
    return SystemCheck("machine", "ok", description)


def _accelerators(machine: Machine) -> SystemCheck:
    found = ", ".join(machine.accelerators) or "none that is known"
    note = accelerator_note(machine.chip)
    return SystemCheck("accelerators", "ok", f"{found}. {note}" if note else found)


def _conditions(machine: Machine) -> SystemCheck:
    """Return the conditions of timings now; those that make them slower or unlike others are advice."""
    conditions = read_conditions()
    advice = " ".join(p.before for p in start_problems(conditions, machine.logical_cores) if p.before)
    return SystemCheck("conditions", "warn" if advice else "ok", describe_conditions(conditions), advice)


def _turicreate(cache: Path) -> SystemCheck:
    from coremlbench.createml.turicreate_environment import (
        TURICREATE,
        environment_folder,
        find_python38,
        installed_python,
        python38_install_advice,
    )

    name = "Turi Create"
    if not macos.is_macos() and platform.machine() != "x86_64":
        return SystemCheck(
            name,
            "no",
            f"there is no Turi Create for {platform.machine()}",
            "There is nothing to do: --engine auto takes builtin, which trains the same classifier.",
        )
    if installed_python(TURICREATE, cache):
        ending = f"; {rosetta}" if (rosetta := _end_of_rosetta()) else ""
        return SystemCheck(name, "ok", f"6.4.1, isolated in {environment_folder(TURICREATE, cache)}{ending}")
    python = find_python38()
    if python is None:
        advice = f"On a machine without a network, {python38_install_advice()} beforehand. {_end_of_rosetta()}".rstrip()
        found = f"no Python 3.8 here; uv will fetch one at first use{_on_request()}"
        return SystemCheck(name, "later", found, advice)
    size = "" if macos.is_macos() else " (600 MB to fetch)"  # the most of it is TensorFlow, which macOS does not need
    found = f"made at first use with Python {python.version_text} {python.location}{size}{_on_request()}"
    return SystemCheck(name, "later", found, _end_of_rosetta())


def _on_request() -> str:
    """Return which options ask for Turi Create on Apple silicon; elsewhere it is the default, and the result is ""."""
    return ", under Rosetta; only --engine turicreate and --verify ask for it" if macos.has_apple_silicon() else ""


def _end_of_rosetta() -> str:
    """Return what the end of Rosetta means for Turi Create on Apple silicon; "" where it is far or there is none."""
    if not macos.has_apple_silicon():
        return ""
    ending = macos.rosetta_end(macos.product_version())
    return f"{ending} Turi Create ends with it." if ending else ""


def _extractor(cache: Path) -> SystemCheck:
    from coremlbench.createml.extractors import EXTRACTORS, turicreate_models
    from coremlbench.createml.vision_feature_print import SCENES, unavailable_reason
    from coremlbench.runtimes.coreml import macos_version

    name = "feature extractor"
    if macos.is_macos():
        prints = [
            extractor.name
            for extractor in EXTRACTORS.values()
            if extractor.scene and not unavailable_reason(SCENES[extractor.scene], macos_version())
        ]
        return SystemCheck(name, "ok", f"{', '.join(prints)}, part of macOS")
    models = turicreate_models(cache)
    cached = [
        extractor.name for extractor in EXTRACTORS.values() if extractor.file and (models / extractor.file).is_file()
    ]
    if cached:
        return SystemCheck(name, "ok", f"{', '.join(cached)} in the cache")
    return SystemCheck(name, "later", "weights are fetched at first use: resnet-50 from Apple, else squeezenet_v1.1")


def _tensorflow() -> SystemCheck:
    if not has_tensorflow():
        advice = install_advice()
        return SystemCheck(
            "TensorFlow",
            "no",
            "not installed; only training, Keras models and SavedModels need it",
            f"{advice[0].upper()}{advice[1:]}.",
        )
    description = metadata.version("tensorflow")
    if macos.is_macos() and platform.machine() == "arm64":
        try:
            description += f" with tensorflow-metal {metadata.version('tensorflow-metal')}"
        except metadata.PackageNotFoundError:
            return SystemCheck(
                "TensorFlow",
                "warn",
                f"{description}, on the CPU only",
                f"For the GPU, {metal_advice(metadata.requires(DISTRIBUTION) or ())}.",
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
    if macos.is_macos():
        return SystemCheck("Core ML", "ok", f"macOS {macos.product_version()}, coremltools {version}")
    return SystemCheck(
        "Core ML",
        "no",
        f"Core ML runs on macOS only; coremltools {version} converts and saves models here",
        "Copy the saved model to a Mac to run it on the Neural Engine or GPU.",
    )


def _swift_compiler() -> SystemCheck:
    """Return the Swift compiler that compiles the program of ``--engine createml``, on a Mac."""
    from coremlbench.system.swift_programs import INSTALL_TOOLS

    name, version = "Swift compiler", macos.swift_version()
    if version:
        found = (
            f"{version}, for --engine createml; `{advised_command('selftest', 'create-ml')}` tries Create ML with it"
        )
        return SystemCheck(name, "ok", found)
    found = "none in use; only --engine createml needs one"
    return SystemCheck(name, "no", found, f"{INSTALL_TOOLS[0].upper()}{INSTALL_TOOLS[1:]}.")


def _disk_space(name: str, folder: Path, elsewhere: str) -> SystemCheck:
    """Return whether a folder, which need not exist, has room; ``elsewhere`` says how to choose another."""
    existing = nearest_existing(folder)
    if not existing.is_dir():
        return SystemCheck(name, "no", f"{existing} is not a folder", elsewhere)
    if not os.access(existing, os.W_OK | os.X_OK):
        return SystemCheck(name, "no", f"nothing can be written in {existing}", elsewhere)
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return SystemCheck(name, "no", f"{existing} cannot be read ({error})", elsewhere)
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
    name, infinity = "open files", resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == infinity or soft >= OPEN_FILES:
        return SystemCheck(name, "ok", "no limit" if soft == infinity else f"a limit of {soft:,}")
    if hard == infinity or hard >= OPEN_FILES:
        return SystemCheck(name, "ok", f"a limit of {soft:,}, which each run raises to {OPEN_FILES:,}")
    if hard >= FEW_OPEN_FILES:
        return SystemCheck(name, "ok", f"a limit of {hard:,}")
    advice = f"Ask whoever set it for {OPEN_FILES:,}: `ulimit -H -n` shows it."
    return SystemCheck(name, "no", f"a limit of {hard:,}, which only the administrator can raise", advice)


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
