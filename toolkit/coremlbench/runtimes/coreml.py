"""Core ML itself, through coremltools: on macOS only.

Facts on what coremltools' native module does are from its source, ``coremlpython/CoreMLPython.mm`` of
github.com/apple/coremltools.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NATIVE = "coremltools.libcoremlpython"
"""The module through which coremltools reaches Core ML."""

MACOS_NEEDED: dict[UnitName, tuple[int, int]] = {
    "CPU_ONLY": (12, 0),  # the first that runs ML Programs
    "CPU_AND_GPU": (12, 0),
    "CPU_AND_NE": (13, 0),
    "ALL": (12, 0),
}

NO_NEURAL_ENGINE = "Core ML lists no Neural Engine among the devices of this machine, as in most virtual machines."


class ModelLoadError(CoremlbenchError):
    """Core ML could not compile or load a model."""


class NoSuchUnitError(CoremlbenchError):
    """A unit was asked for that this machine does not have."""


class CoreML:
    """Core ML with each of its four requests for compute units; there is no GPU alone and no Neural Engine alone."""

    name: RuntimeName = "coreml"
    units: tuple[UnitName, ...] = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
    takes: tuple[Artefact, ...] = ("compiled", "package")

    @property
    def version(self) -> str:
        """Return the version of macOS, which is Core ML's own, and that of coremltools."""
        system = ".".join(map(str, macos_version())) or "no macOS"
        marked = "stand-in for Core ML of the tests, as " if is_stand_in() else "Core ML of "
        return f"{marked}macOS {system}, coremltools {importlib.metadata.version('coremltools')}"

    def why_not_here(self, unit: UnitName, /) -> str:
        """Return in a sentence why a unit cannot be used here, and nothing when it may."""
        version, needed = macos_version(), MACOS_NEEDED[unit]
        if not version:
            return "Core ML runs on macOS only: pack a kit here with --kit, and time it on a Mac with --from-kit."
        if version < needed:
            return f"{unit} needs macOS {needed[0]} or later, and this is {'.'.join(map(str, version))}."
        if unit == "CPU_AND_NE" and "RELEASE_X86_64" in os.uname().version:  # the kernel's, under Rosetta too
            return "This Mac has no Neural Engine: Macs with Intel processors have none."
        return ""

    def start(self, unit: UnitName, /) -> None:
        """Import coremltools.

        Raises:
            NoSuchUnitError: the unit cannot be used on this machine.
        """
        import coremltools

        del coremltools
        reason = self.why_not_here(unit)
        if reason:
            raise NoSuchUnitError(reason)
        if unit == "CPU_AND_NE" and "NE" not in (devices() or ("NE",)):
            raise NoSuchUnitError(NO_NEURAL_ENGINE)

    def load(self, model: Path, unit: UnitName, *, allow_code: bool = False) -> LoadedModel:  # noqa: ARG002 - has none
        """Return a model loaded from an ``.mlmodelc``, or from an ``.mlpackage`` or ``.mlmodel``, compiled on the way.

        A failed load of the latter only warns in coremltools and leaves a model that cannot predict.

        Raises:
            ModelLoadError: Core ML could not compile or load it; the message holds what it said.
        """
        import coremltools

        wanted = coremltools.ComputeUnit[unit]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                if model.suffix == ".mlmodelc":
                    loaded = coremltools.models.CompiledMLModel(str(model), compute_units=wanted)
                    proxy = loaded._proxy  # noqa: SLF001 - it has no public duration of a prediction
                else:
                    loaded = coremltools.models.MLModel(str(model), compute_units=wanted)
                    proxy = loaded.__proxy__
            except RuntimeError as problem:
                raise ModelLoadError(f"Core ML could not load '{model.name}' for {unit}: {problem}") from problem
        if proxy is None:
            said = " ".join(str(each.message) for each in told) or (
                "it said nothing, as it does for a model that is newer than this macOS"
            )
            raise ModelLoadError(f"Core ML could not load '{model.name}' for {unit}: {said}")
        for each in told:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return LoadedModel(loaded, proxy)


class LoadedModel:
    """A model in Core ML's hands."""

    predict: Callable[[dict[str, Any]], Any]
    """coremltools' own ``predict``, with nothing around it: it converts inputs and outputs and calls Core ML."""

    def __init__(self, model: Any, proxy: Any) -> None:
        self.predict = model.predict
        self._duration = getattr(proxy, "get_last_predict_duration_in_nano_seconds", None)

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return a sample as coremltools takes it: bytes (height, width[, 3]) as pictures, numbers of 32 bits.

        coremltools makes float32 of float16 in each call, and has no way for integers of 64 bits.
        """
        return {name: _feature(value) for name, value in sample.items()}

    def outputs(self, predicted: Mapping[str, Any], /) -> dict[str, NDArray[np.float64]]:
        """Return the numeric outputs by name, flat."""
        return numeric(predicted)

    def own_seconds(self) -> float | None:
        """Return the duration of the last prediction by Core ML's clock, conversion of inputs and outputs left out."""
        nanoseconds = self._duration() if self._duration is not None else None
        return None if nanoseconds is None else nanoseconds / 1e9

    def unload(self) -> None:
        """Drop the model; Core ML frees it with the last reference."""
        del self.predict, self._duration
        gc.collect()


def is_stand_in() -> bool:
    """Return whether what is loaded as Core ML's native module is the tests' stand-in for it."""
    return bool(getattr(sys.modules.get(NATIVE), "__stand_in__", False))


def macos_version() -> tuple[int, ...]:
    """Return macOS's version, empty elsewhere; the stand-in says which one it plays."""
    if is_stand_in():
        return tuple(sys.modules[NATIVE].macos_version())
    return tuple(int(part) for part in platform.mac_ver()[0].split(".") if part)


def devices() -> tuple[str, ...] | None:
    """Return the kinds of Core ML's devices here, of ``CPU``, ``GPU`` and ``NE``; ``None`` before macOS 14."""
    if macos_version() < (14, 0):
        return None
    from coremltools.models.compute_device import MLComputeDevice

    return tuple(device_name(each) for each in MLComputeDevice.get_all_compute_devices())


def device_name(device: Any) -> str:
    """Return ``CPU``, ``GPU`` or ``NE`` for a compute device of coremltools."""
    from coremltools.models import compute_device

    kinds = {
        compute_device.MLCPUComputeDevice: "CPU",
        compute_device.MLGPUComputeDevice: "GPU",
        compute_device.MLNeuralEngineComputeDevice: "NE",
    }
    return kinds.get(type(device), type(device).__name__)


def numeric(predicted: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return the numeric outputs of a Core ML prediction by name, flat, in 64 bits; labels are left out.

    Probabilities come as a dictionary, and are sorted by the names of the classes as text.
    """
    import numpy as np

    found = {}
    for name, value in predicted.items():
        if isinstance(value, Mapping):
            value = [value[key] for key in sorted(value, key=str)]  # noqa: PLW2901 - the same value, in order
        array = np.asarray(value)
        if array.dtype.kind in "fiub" and not (array.ndim == 0 and array.dtype.kind in "iu"):
            found[name] = array.reshape(-1).astype(np.float64)
    return found


def _feature(value: NDArray[Any]) -> Any:
    import numpy as np

    array = np.ascontiguousarray(value)
    if array.dtype == np.uint8:
        from PIL import Image

        return Image.fromarray(array)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array.astype(np.int32) if array.dtype == np.int64 else array
