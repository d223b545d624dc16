"""What ``coremltools.libcoremlpython`` offers, with the same names, arguments, results and errors.

After coremlpython/CoreMLPython.mm and CoreMLPythonUtils.mm of github.com/apple/coremltools: errors of Core ML are
``RuntimeError``; a compiled model is told by its suffix; float16 outputs come as float32, a classifier's probabilities
as a dictionary.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.coreml_stand_in import PLAYED, Behaviour
from tests.coreml_stand_in.feature_print import MODEL_FILE, load_feature_print
from tests.coreml_stand_in.plan import Planned, plan_program, structure_of

PACKAGE = "model.mlpackage"
"""A model compiled by the stand-in holds the package that it was made from."""
SPIN_SECONDS = 0.0003
"""A sleep may end this much too late: the rest of a wait is spent awake."""


class Core:
    """The stand-in's Core ML: what its proxies have in common."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.random = random.Random(0)

    def strike(self, at: str, model: str, unit: str = "", call: int = 1) -> None:
        """Misbehave if that is told for this step."""
        for each in self.behaviour.failing:
            if each.at != at or each.model not in model or call < each.call or each.unit not in ("", unit):
                continue
            if each.how == "raise":
                raise RuntimeError(
                    '{\n    NSLocalizedDescription = "Failed to build the model execution plan using a model '
                    "architecture file 'model.mil' with error code: -5.\";\n}"
                )
            if each.how == "hang":
                _make(Path(self.behaviour.cache) / "hanging")
            while each.how == "hang":
                time.sleep(60)
            os.kill(os.getpid(), getattr(signal, each.how))

    def needs(self, what: str, version: tuple[int, int]) -> None:
        """Refuse what the version of macOS that is played does not have."""
        if self.behaviour.macos < version:
            raise RuntimeError(f"{what} is only available on macOS >= {version[0]}.{version[1]}")

    def compile(self, path: Path) -> Path:
        """Return the folder of the compiled model in a new temporary folder."""
        self.strike("compile", path.name)
        PLAYED.wait(self.behaviour.compile_seconds)
        if not path.exists():
            raise RuntimeError(f'{{\n    NSLocalizedDescription = "{path.name} does not exist.";\n}}')
        compiled = Path(tempfile.mkdtemp(prefix="stand-in-")) / f"{path.stem}.mlmodelc"
        copy = shutil.copytree if path.is_dir() else _copy_file
        copy(path, compiled / PACKAGE if path.is_dir() else compiled / MODEL_FILE)
        return compiled

    def wait_for_first_load(self, package: Path, unit: str) -> None:
        """Take the time of a first load, once for a model and unit as long as the cache is kept."""
        seconds = self.behaviour.first_load_seconds.get(unit, 0.0)
        if not seconds:
            return
        digest = hashlib.sha256(unit.encode())
        for file in sorted(each for each in package.rglob("*") if each.is_file()):
            digest.update(file.read_bytes())
        mark = Path(self.behaviour.cache) / digest.hexdigest()
        if not mark.exists():
            PLAYED.wait(seconds)
            _make(mark)


def _make(mark: Path) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


class Model:
    """``_MLModelProxy``, but for its static functions, which ``make_module`` adds."""

    def __init__(self, core: Core, path: str, unit: str, function: str, hints: Mapping[str, str], asset: Any) -> None:
        from coremlbench.runtimes.reference import ReferenceRuntime

        if asset is not None or function not in ("", "main"):
            raise RuntimeError("The stand-in loads neither assets from memory nor functions other than main.")
        self._core, self._unit, self._compiled, self._own = core, unit, Path(path), not path.endswith(".mlmodelc")
        self._name = self._compiled.name
        if self._own:
            try:
                self._compiled = core.compile(self._compiled)
            except RuntimeError as problem:
                raise RuntimeError(f'Error compiling model: "{problem}".') from problem
        began = time.perf_counter_ns()
        core.strike("load", self._name, unit)
        package = self._compiled / PACKAGE
        core.wait_for_first_load(package, unit)
        self._model = load_feature_print(self._compiled, core.behaviour) or ReferenceRuntime.load(package, threads=1)
        devices = plan_program(read_spec(self._compiled), unit, core.behaviour)
        self._seconds = core.behaviour.seconds.get(_most(devices), 0.0)
        self._calls = 0
        self._load_duration = time.perf_counter_ns() - began
        self._last_duration: int | None = None

    def __del__(self) -> None:
        if getattr(self, "_own", False) and self._compiled.suffix == ".mlmodelc":
            shutil.rmtree(self._compiled.parent, ignore_errors=True)

    def predict(self, inputs: dict[str, Any], state: Any = None) -> dict[str, Any]:
        began = time.perf_counter_ns()
        self._calls += 1
        self._core.strike("predict", self._name, self._unit, self._calls)
        try:
            outputs = self._model.predict(inputs)
        except Exception as problem:
            raise RuntimeError(f'{{\n    NSLocalizedDescription = "{problem}";\n}}') from problem
        self._wait(began)
        self._last_duration = time.perf_counter_ns() - began
        return {name: _to_python(value, self._core.behaviour.wrong) for name, value in outputs.items()}

    def batchPredict(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N802 - Apple's
        return [self.predict(each) for each in batch]

    def get_compiled_model_path(self) -> str:
        return str(self._compiled)

    def get_load_duration_in_nano_seconds(self) -> int | None:
        return self._load_duration

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        return self._last_duration

    def newState(self) -> Any:  # noqa: N802 - Apple's
        raise RuntimeError("The stand-in has no models with state.")

    def _wait(self, began: int) -> None:
        """Let the prediction take as long as is told, drift and spread included."""
        behaviour = self._core.behaviour
        factor = 1 + behaviour.drift * self._calls / 1000
        if behaviour.jitter:
            factor *= self._core.random.lognormvariate(0, behaviour.jitter)
        end = began + self._seconds * factor * 1e9
        left = (end - time.perf_counter_ns()) / 1e9
        if left > SPIN_SECONDS:
            PLAYED.wait(left - SPIN_SECONDS)
        while time.perf_counter_ns() < end:
            pass


def make_module(name: str, behaviour: Behaviour) -> ModuleType:
    """Return the stand-in for the native module; ``__stand_in__`` tells it from the real one."""
    core = Core(behaviour)

    class MLModelProxy(Model):
        def __init__(self, path: str, unit: str, function: str, hints: Mapping[str, str], asset: Any = None) -> None:
            super().__init__(core, path, unit, function, hints, asset)

        @staticmethod
        def compileModel(path: str) -> str:  # noqa: N802 - Apple's
            return str(core.compile(Path(path)))

        @staticmethod
        def maximum_supported_specification_version() -> int:
            return core.behaviour.specification_version

        @staticmethod
        def auto_set_specification_version(specification: Any) -> Any:
            return specification

        @staticmethod
        def get_all_compute_devices() -> list[Any]:
            core.needs("MLComputeDevice", (14, 0))
            return [make_device(each) for each in core.behaviour.devices]

        get_available_compute_devices = get_all_compute_devices

        @staticmethod
        def get_model_structure(path: str) -> Any:
            core.needs("MLModelStructure", (14, 4))
            return structure_of(read_spec(Path(path)), [])

        @staticmethod
        def get_compute_plan(path: str, unit: str) -> Any:
            from coremltools.models.compute_plan import MLComputePlan

            if not path.endswith(".mlmodelc"):
                os.abort()  # coremltools issue 2757
            core.strike("plan", Path(path).name, unit)
            core.needs("MLComputePlan", (14, 4))
            planned = plan_program(read_spec(Path(path)), unit, core.behaviour)
            structure = structure_of(read_spec(Path(path)), planned)
            return MLComputePlan(ComputePlan(structure))

    module: Any = ModuleType(name)
    module.__stand_in__ = True
    module.core = core
    module.macos_version = lambda: core.behaviour.macos
    module._MLModelProxy = MLModelProxy
    module._MLModelAssetProxy = ModelAsset
    module._MLComputePlanProxy = ComputePlan
    module._MLCPUComputeDeviceProxy = CPU
    module._MLGPUComputeDeviceProxy = GPU
    module._MLNeuralEngineComputeDeviceProxy = NeuralEngine
    installed: ModuleType = module
    return installed


class ModelAsset:
    """``_MLModelAssetProxy``."""


class CPU:
    """``_MLCPUComputeDeviceProxy``."""


class GPU:
    """``_MLGPUComputeDeviceProxy``."""


class NeuralEngine:
    """``_MLNeuralEngineComputeDeviceProxy``."""

    def get_total_core_count(self) -> int:
        return 16


def make_device(name: str) -> Any:
    """Return coremltools' device of a kind, of ``CPU``, ``GPU`` and ``NE``."""
    from coremltools.models import compute_device

    kinds = {
        "CPU": (compute_device.MLCPUComputeDevice, CPU),
        "GPU": (compute_device.MLGPUComputeDevice, GPU),
        "NE": (compute_device.MLNeuralEngineComputeDevice, NeuralEngine),
    }
    kind, proxy = kinds[name]
    return kind(proxy())


class ComputePlan:
    """``_MLComputePlanProxy``; an operation's own proxy is what is planned for it."""

    def __init__(self, structure: Any = None) -> None:
        self.model_structure = structure

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        from coremltools.models.compute_plan import MLComputePlanDeviceUsage

        planned: Planned | None = operation.__proxy__
        if planned is None:
            return None
        return MLComputePlanDeviceUsage(make_device(planned.device), [make_device(each) for each in planned.supported])

    def get_compute_device_usage_for_neuralnetwork_layer(self, layer: Any) -> Any:
        return None

    def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
        from coremltools.models.compute_plan import MLComputePlanCost

        planned: Planned | None = operation.__proxy__
        return None if planned is None else MLComputePlanCost(planned.cost)


def read_spec(compiled: Path) -> Any:
    """Return the specification of a model that the stand-in compiled."""
    import coremltools

    package = compiled / (PACKAGE if (compiled / PACKAGE).exists() else MODEL_FILE)
    if not package.exists():
        raise RuntimeError(f'{{\n    NSLocalizedDescription = "{compiled.name} is not a valid .mlmodelc file.";\n}}')
    return coremltools.utils.load_spec(str(package))


def _most(planned: list[Planned | None]) -> str:
    cost: dict[str, float] = {}
    for each in planned:
        if each is not None:
            cost[each.device] = cost.get(each.device, 0.0) + each.cost
    return max(cost, key=lambda device: cost[device], default="CPU")


def _to_python(value: Any, wrong: float) -> Any:
    if isinstance(value, np.ndarray):
        return (value.astype(np.float32) if value.dtype == np.float16 else value) + value.dtype.type(wrong)
    if isinstance(value, Mapping):
        return {name: float(each) + wrong for name, each in value.items()}
    return value


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)
