"""What ``coremltools.libcoremlpython`` offers, with the names, arguments, results and errors of ``interface.py``."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.coreml_stand_in import PLAYED, Behaviour
from tests.coreml_stand_in.compiled import (
    MARK,
    compile_model,
    description_of,
    newest_specification,
    package_in,
    read_spec,
)
from tests.coreml_stand_in.errors import FrameworkError, handed_on
from tests.coreml_stand_in.execution import load_executable
from tests.coreml_stand_in.inputs import check_inputs, features_of, to_feature
from tests.coreml_stand_in.interface import (
    CLASSES,
    MODULE_DOCUMENTATION,
    NEWEST_SPECIFICATION,
    apply,
    framework_text,
    make,
    text,
)
from tests.coreml_stand_in.interpreter_lock import wait_with_lock
from tests.coreml_stand_in.outputs import to_python
from tests.coreml_stand_in.plan import Planned, plan_model, structure_of

__all__ = ["Core", "make_module", "read_spec"]

SPIN_SECONDS = 0.0003
"""A sleep may end this much too late: the rest of a wait is spent awake."""
NEURAL_ENGINE_CORES = 16
DAY = 86_400.0


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
                raise FrameworkError(
                    "Failed to build the model execution plan using a model architecture file 'model.mil' with error "
                    "code: -5."
                )
            if each.how == "hang":
                _touch(Path(self.behaviour.cache) / "hanging")
            while each.how == "hang":
                wait_with_lock(DAY)
            os.kill(os.getpid(), getattr(signal, each.how))

    def needs(self, what: str, version: tuple[int, int]) -> None:
        """Refuse what the version of macOS that is played does not have, with a text of the native module."""
        if self.behaviour.macos < version:
            raise RuntimeError(text(what))

    def compile(self, path: Path) -> Path:
        """Return the folder of a compiled model that is new; ``FrameworkError`` for a model that is refused."""
        self.strike("compile", path.name)
        PLAYED.wait(self.behaviour.compile_seconds)
        newest = self.behaviour.specification_version or newest_specification(self.behaviour.macos)
        return compile_model(path, newest, self.behaviour.temporary)

    def read(self, path: str) -> Any:
        """Return the specification of a compiled model for its structure; what is there but no model aborts."""
        if Path(path).exists() and not (Path(path) / MARK).exists():
            os.abort()
        return read_spec(Path(path))

    def wait_for_first_load(self, package: Path, unit: str) -> None:
        """Take the time of a first load, once for a model and unit as long as the cache is kept."""
        seconds = self.behaviour.first_load_seconds.get(unit, 0.0)
        if not seconds:
            return
        digest = hashlib.sha256(unit.encode())
        for file in sorted(each for each in (package, *package.rglob("*")) if each.is_file()):
            digest.update(file.read_bytes())
        mark = Path(self.behaviour.cache) / digest.hexdigest()
        if not mark.exists():
            PLAYED.wait(seconds)
            _touch(mark)


def _touch(mark: Path) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def is_compiled_path(path: str) -> bool:
    """Return whether the native module takes a path for that of a compiled model (CoreMLPythonUtils.mm:21-31)."""
    return path.removesuffix("/").endswith(".mlmodelc")


class Model:
    """``_MLModelProxy``, but for its static functions, which ``make_module`` adds."""

    _core: Core
    _state: type

    def __init__(self, path: str, unit: str, function: str, hints: Mapping[str, str], asset: Any = None) -> None:
        core = self._core
        # An unknown unit is ALL: the assertion is not compiled in.
        self._unit = unit if unit in ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE") else "ALL"
        self._own = asset is None and not is_compiled_path(path)
        self._compiled = asset.path if asset is not None else Path(path)
        self._name = self._compiled.name
        if self._own:
            try:
                self._compiled = core.compile(self._compiled)
            except FrameworkError as problem:
                self._own = False
                raise RuntimeError(text("compile", problem.description)) from problem
        self._configure(function, hints)
        began = time.perf_counter_ns()
        with handed_on():
            core.strike("load", self._name, self._unit)
            package, spec = package_in(self._compiled), read_spec(self._compiled)
            core.wait_for_first_load(package, self._unit)
        self._description = description_of(spec)
        self._model = load_executable(package, spec)
        devices = plan_model(spec, self._unit, core.behaviour)
        self._seconds = core.behaviour.seconds.get(_most(devices), 0.0)
        self._calls = 0
        self._load_duration = time.perf_counter_ns() - began
        self._last_duration: int | None = None

    def _configure(self, function: str, hints: Mapping[str, str]) -> None:
        """Refuse what the version of macOS that is played cannot be configured to do."""
        core = self._core
        if self._unit == "CPU_AND_NE":
            core.needs("CPU_AND_NE", (13, 0))
        if core.behaviour.macos < (15, 0) and hints:
            raise RuntimeError(text("hint", next(iter(hints))))
        if function:
            core.needs("function", (15, 0))
        if function not in ("", "main"):
            raise NotImplementedError("The stand-in loads no functions other than main.")

    def __del__(self) -> None:
        if getattr(self, "_own", False):
            shutil.rmtree(self._compiled, ignore_errors=True)

    def predict(self, inputs: dict[str, Any], state: Any) -> dict[str, Any]:
        features = features_of(inputs)
        if state is not None:
            self._core.needs("predict with state", (15, 0))
        began = time.perf_counter_ns()
        outputs = self._execute(features, state)
        self._last_duration = time.perf_counter_ns() - began
        return to_python(self._description, outputs, self._core.behaviour.wrong)

    def batchPredict(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N802 - Apple's
        features = [features_of(inputs) for inputs in batch]
        began = time.perf_counter_ns()
        outputs = [self._execute(each, None) for each in features]
        self._last_duration = time.perf_counter_ns() - began
        return [to_python(self._description, each, self._core.behaviour.wrong) for each in outputs]

    def _execute(self, features: Mapping[str, Any], state: Any) -> Mapping[str, Any]:
        """Return the outputs of one prediction after the time that it takes."""
        began = time.perf_counter_ns()
        self._calls += 1
        with handed_on():
            self._core.strike("predict", self._name, self._unit, self._calls)
            check_inputs(self._description, features)
            for item in self._description.state if state is None else ():
                raise FrameworkError(framework_text("state missing", item.name))
            known = {item.name for item in self._description.input}
            try:
                outputs = self._model.predict({name: features[name].value for name in features if name in known})
            except Exception as problem:
                raise FrameworkError(str(problem)) from problem
        self._wait(began)
        return outputs

    def get_compiled_model_path(self) -> str:
        return str(self._compiled)

    def get_load_duration_in_nano_seconds(self) -> int | None:
        return self._load_duration

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        return self._last_duration

    def newState(self) -> Any:  # noqa: N802 - Apple's
        self._core.needs("state", (15, 0))
        arrays = {
            item.name: np.zeros(tuple(item.type.stateType.arrayType.shape), np.float32)
            for item in self._description.state
        }
        return make(self._state, _arrays=arrays)

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
    classes = {"_MLModelProxy": _model_class(core), "_State": State, **_plan_classes(), **_device_classes()}
    classes["_MLModelAssetProxy"] = ModelAsset
    module: Any = ModuleType(name, MODULE_DOCUMENTATION)
    for table in CLASSES:
        original = classes[table.name]
        setattr(module, table.name, apply(table, type(original.__name__, (original,), {})))
    module._MLModelProxy._state = module._State
    module.__stand_in__ = True
    module.core = core
    module.macos_version = lambda: core.behaviour.macos
    installed: ModuleType = module
    return installed


def _model_class(core: Core) -> type:
    """Return ``_MLModelProxy`` with its static functions."""

    class ModelProxy(Model):
        _core = core

        @staticmethod
        def compileModel(path: str) -> str:  # noqa: N802 - Apple's
            with handed_on():
                return str(core.compile(Path(path)))

        @staticmethod
        def maximum_supported_specification_version() -> int:
            return NEWEST_SPECIFICATION

        @staticmethod
        def auto_set_specification_version(specification: bytes) -> bytes:
            return specification

        @staticmethod
        def create_model_asset_from_path(path: str) -> Any:
            from coremltools.models.model import MLModelAsset

            core.needs("asset", (15, 0))
            return MLModelAsset(make(_native("_MLModelAssetProxy"), path=Path(path)))

        @staticmethod
        def create_model_asset_from_memory(specification: bytes, blobs: dict[str, bytes]) -> Any:
            raise NotImplementedError("The stand-in loads no models from memory.")

        @staticmethod
        def get_all_compute_devices() -> list[Any]:
            core.needs("devices", (14, 0))
            return [make_device(each) for each in core.behaviour.devices]

        get_available_compute_devices = get_all_compute_devices

        @staticmethod
        def get_model_structure(path: str) -> Any:
            core.needs("structure", (14, 4))
            with handed_on():
                return structure_of(core.read(path), [])

        @staticmethod
        def get_compute_plan(path: str, unit: str) -> Any:
            from coremltools.models.compute_plan import MLComputePlan

            core.needs("plan", (14, 4))
            with handed_on():
                core.strike("plan", Path(path).name, unit)
                spec = core.read(path)
            planned = plan_model(spec, unit, core.behaviour)
            proxy = make(_native("_MLComputePlanProxy"), model_structure=structure_of(spec, planned), _planned=planned)
            return MLComputePlan(proxy)

    return ModelProxy


class State:
    """``_State``."""

    _arrays: dict[str, Any]

    def read_state(self, name: str) -> Any:
        return np.array(self._array(name))

    def write_state(self, name: str, value: Any) -> None:
        feature = to_feature(value)
        if feature is None or feature.kind != "multiArray":
            raise RuntimeError(text("write state"))
        self._array(name)[...] = feature.value

    def _array(self, name: str) -> Any:
        with suppress(KeyError):
            return self._arrays[name]
        raise RuntimeError(f"There is no state named {name}.")


class ModelAsset:
    """``_MLModelAssetProxy``."""

    path: Path


def _native(name: str) -> Any:
    import sys

    from tests.coreml_stand_in import NATIVE

    return getattr(sys.modules[NATIVE], name)


def _device_classes() -> dict[str, type]:
    """Return the proxies of devices."""

    class Processor:
        def __init__(self) -> None:
            """Make one in Python, of no device."""

    class NeuralEngine(Processor):
        _cores = 0

        def get_total_core_count(self) -> int:
            return self._cores

    return {
        "_MLCPUComputeDeviceProxy": Processor,
        "_MLGPUComputeDeviceProxy": Processor,
        "_MLNeuralEngineComputeDeviceProxy": NeuralEngine,
    }


def make_device(name: str) -> Any:
    """Return coremltools' device of a kind, of ``CPU``, ``GPU`` and ``NE``."""
    from coremltools.models import compute_device

    if name == "NE":
        proxy = make(_native("_MLNeuralEngineComputeDeviceProxy"), _cores=NEURAL_ENGINE_CORES)
        return compute_device.MLNeuralEngineComputeDevice(proxy)
    kinds = {"CPU": compute_device.MLCPUComputeDevice, "GPU": compute_device.MLGPUComputeDevice}
    return kinds[name](_native(f"_ML{name}ComputeDeviceProxy")())


def _plan_classes() -> dict[str, type]:
    """Return the proxies of plans and of what they plan; an operation's own proxy refers weakly to its place."""

    class Plan:
        model_structure: Any = None

        def __init__(self) -> None:
            """Make one in Python, of no plan."""

        def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
            from coremltools.models.compute_plan import MLComputePlanDeviceUsage

            planned = _planned(operation)
            if planned is None:
                return None
            preferred = None if planned.device is None else make_device(planned.device)
            return MLComputePlanDeviceUsage(preferred, [make_device(each) for each in planned.supported])

        get_compute_device_usage_for_neuralnetwork_layer = get_compute_device_usage_for_mlprogram_operation

        def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
            from coremltools.models.compute_plan import MLComputePlanCost

            planned = _planned(operation)
            return None if planned is None or planned.cost is None else MLComputePlanCost(planned.cost)

    class Operation:
        """The proxy of an operation or a layer."""

    return {
        "_MLComputePlanProxy": Plan,
        "_MLModelStructureProgramOperationProxy": Operation,
        "_MLModelStructureNeuralNetworkLayerProxy": Operation,
    }


def _planned(operation: Any) -> Planned | None:
    """Return what is planned for an operation or layer; ``None`` for a constant, or when its plan is gone."""
    reference = operation.__proxy__._planned
    planned: Planned | None = None if reference is None else reference()
    return planned


def _most(planned: list[Planned | None]) -> str:
    """Return the device with the largest cost."""
    cost: dict[str, float] = {}
    for each in planned:
        if each is not None and each.device is not None:
            cost[each.device] = cost.get(each.device, 0.0) + (each.cost or 0.0)
    return max(cost, key=lambda device: cost[device], default="CPU")
