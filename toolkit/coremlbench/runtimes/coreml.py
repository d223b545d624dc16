"""The Core ML runtime, called through coremltools; macOS only.

Statements about coremltools' native module are from its source, ``coremlpython/CoreMLPython.mm`` in
github.com/apple/coremltools.
"""

from __future__ import annotations

import gc
import importlib.metadata
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runtimes.core_ml_values import (
    NO_FEATURES,
    Features,
    numeric_outputs,
    read_features,
    readable,
    to_feature,
)
from coremlbench.system import macos
from coremlbench.types.conversion import NO_FILE_OPTIONS, ModelFileOptions
from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NATIVE_MODULE = "coremltools.libcoremlpython"
"""The module through which coremltools calls Core ML."""

MACOS_NEEDED: dict[UnitName, tuple[int, int]] = {
    "CPU_ONLY": (12, 0),  # the first version that runs ML Programs
    "CPU_AND_GPU": (12, 0),
    "CPU_AND_NE": (13, 0),
    "ALL": (12, 0),
}

NO_NEURAL_ENGINE = "Core ML lists no Neural Engine among the devices of this machine, as in most virtual machines."


class ModelLoadError(CoremlbenchError):
    """Core ML could not compile or load a model."""


class NoSuchUnitError(CoremlbenchError):
    """The requested unit does not exist on this machine."""


class PredictionError(CoremlbenchError):
    """Core ML refused an input, or could not run a model that it had loaded."""


@contextmanager
def core_ml_errors(unit: UnitName) -> Iterator[None]:
    """Raise ``PredictionError`` for an error of Core ML in a prediction, with its message in words."""
    try:
        yield
    except RuntimeError as problem:
        raise PredictionError(f"Core ML could not predict on {unit}: {readable(str(problem))}") from problem


class CoreML:
    """Core ML with its four sets of compute units. The CPU is in each: no set has only the GPU or the Neural Engine."""

    name: RuntimeName = "coreml"
    units: tuple[UnitName, ...] = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
    takes: tuple[Artefact, ...] = ("compiled", "package")

    @property
    def version(self) -> str:
        """Return the versions of macOS, which Core ML is a part of, and of coremltools."""
        system = ".".join(map(str, macos_version())) or "no macOS"
        name = "stand-in for Core ML of the tests, as " if is_stand_in() else "Core ML of "
        return f"{name}macOS {system}, coremltools {importlib.metadata.version('coremltools')}"

    def unavailable_reason(self, unit: UnitName, /) -> str:
        """Return a sentence that says why this machine cannot use a unit, "" when it may."""
        version, needed = macos_version(), MACOS_NEEDED[unit]
        if not version:
            return "Core ML runs on macOS only: a Mac times what a kit holds, which --kit writes."
        if version < needed:
            return f"{unit} needs macOS {needed[0]} or later, and this is {'.'.join(map(str, version))}."
        if unit == "CPU_AND_NE" and macos.has_apple_silicon() is False:
            return "This Mac has no Neural Engine: Macs with Intel processors have none."
        return ""

    def start(self, unit: UnitName, /) -> None:
        """Import coremltools.

        Raises:
            NoSuchUnitError: the unit cannot be used on this machine.
        """
        import coremltools

        del coremltools
        reason = self.unavailable_reason(unit)
        if reason:
            raise NoSuchUnitError(reason)
        if unit == "CPU_AND_NE" and "NE" not in (devices() or ("NE",)):
            raise NoSuchUnitError(NO_NEURAL_ENGINE)

    def load(
        self,
        model: Path,
        unit: UnitName,
        *,
        allow_code: bool = False,  # noqa: ARG002 - it holds no code
        file_options: ModelFileOptions = NO_FILE_OPTIONS,  # noqa: ARG002 - the shape of an input is that of its array
        package: Path | None = None,
    ) -> LoadedModel:
        """Return a model loaded from an ``.mlmodelc``, or from an ``.mlpackage`` or ``.mlmodel``, compiled first.

        ``package`` is what a compiled model was made from: its description tells of images and states.

        When an uncompiled model fails to load, coremltools only warns and returns a model that cannot predict.

        Raises:
            ModelLoadError: Core ML could not compile or load it; the message includes Core ML's error.
        """
        import coremltools

        compute_units = coremltools.ComputeUnit[unit]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if model.suffix == ".mlmodelc":
                    loaded = coremltools.models.CompiledMLModel(str(model), compute_units=compute_units)
                    proxy = loaded._proxy  # noqa: SLF001 - no public way to a prediction's duration
                else:
                    loaded = coremltools.models.MLModel(str(model), compute_units=compute_units)
                    proxy = loaded.__proxy__
            except RuntimeError as problem:
                message = readable(str(problem))
                raise ModelLoadError(f"Core ML could not load '{model.name}' for {unit}: {message}") from problem
        if proxy is None:
            messages = " ".join(readable(str(warning.message)) for warning in caught) or (
                "coremltools said nothing, as it does for a model that is newer than it knows; install a newer "
                "coremltools."
            )
            raise ModelLoadError(f"Core ML could not load '{model.name}' for {unit}: {messages}")
        for warning in caught:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        described = package if model.suffix == ".mlmodelc" else model
        return LoadedModel(loaded, proxy, read_features(described) if described is not None else NO_FEATURES)


class LoadedModel:
    """A model that Core ML has loaded."""

    predict: Callable[[dict[str, Any]], Any]
    """coremltools' own ``predict`` without a wrapper: it converts inputs and outputs and calls Core ML.

    A model with states gets one set of them for all its predictions.
    """

    def __init__(self, model: Any, proxy: Any, features: Features = NO_FEATURES) -> None:
        self.predict = partial(model.predict, state=model.make_state()) if features.has_states else model.predict
        self._images = features.images
        self._duration = getattr(proxy, "get_last_predict_duration_in_nano_seconds", None)

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return a sample as coremltools takes it, so that no call has to convert it; see ``to_feature``.

        Raises:
            InputError: Core ML takes no such values.
        """
        return {name: to_feature(name, value, self._images.get(name, "")) for name, value in sample.items()}

    def outputs(self, predicted: Mapping[str, Any], /) -> dict[str, NDArray[np.float64]]:
        """Return the numeric outputs by name, each of shape (values,)."""
        return numeric_outputs(predicted, self._images)

    def runtime_seconds(self) -> float | None:
        """Return the seconds of the last prediction by Core ML's clock, without converting inputs and outputs."""
        nanoseconds = self._duration() if self._duration is not None else None
        return None if nanoseconds is None else nanoseconds / 1e9

    def unload(self) -> None:
        """Release the model; Core ML frees it with the last reference."""
        del self.predict, self._duration
        gc.collect()


def is_stand_in() -> bool:
    """Return whether the tests' stand-in is loaded in the place of coremltools' native module."""
    return bool(getattr(sys.modules.get(NATIVE_MODULE), "__stand_in__", False))


def macos_version() -> tuple[int, ...]:
    """Return macOS's version, () on other systems; with the stand-in the version that it imitates."""
    if is_stand_in():
        return tuple(sys.modules[NATIVE_MODULE].macos_version())
    return macos.version_numbers(macos.product_version())


def devices() -> tuple[str, ...] | None:
    """Return the kinds of Core ML's devices on this machine (``CPU``, ``GPU``, ``NE``); ``None`` before macOS 14."""
    if macos_version() < (14, 0):
        return None
    from coremltools.models.compute_device import MLComputeDevice

    names = [device_name(device) for device in MLComputeDevice.get_all_compute_devices()]
    return tuple(dict.fromkeys(names))  # a Mac with an Intel processor may have several GPUs


def device_name(device: Any) -> str:
    """Return ``CPU``, ``GPU`` or ``NE`` for a compute device of coremltools, or the class name of another one."""
    from coremltools.models import compute_device

    kinds = {
        compute_device.MLCPUComputeDevice: "CPU",
        compute_device.MLGPUComputeDevice: "GPU",
        compute_device.MLNeuralEngineComputeDevice: "NE",
    }
    return kinds.get(type(device), type(device).__name__)
