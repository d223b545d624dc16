"""The stand-in's compute plan: which op of a model goes where, and the structure that coremltools shows it in."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.coreml_stand_in import NATIVE, Behaviour
from tests.coreml_stand_in.interface import make

UNITS = {
    "CPU_ONLY": ("CPU",),
    "CPU_AND_GPU": ("GPU", "CPU"),
    "CPU_AND_NE": ("NE", "CPU"),
    "ALL": ("NE", "GPU", "CPU"),
}
"""The devices of each unit, the preferred one first."""


@dataclass(frozen=True)
class Planned:
    """What is planned for one operation: the device that is preferred, those that could run it, and its cost.

    ``supported`` has no order of preference. ``cost`` is ``None`` where Core ML estimates none.
    """

    device: str | None
    supported: tuple[str, ...]
    cost: float | None


def plan_model(spec: Any, unit: str, behaviour: Behaviour) -> list[Planned | None]:
    """Return what is planned for each op or layer in order, of all models of a pipeline; ``None`` for constants.

    Ops that give float32 are barred from the Neural Engine, as Core ML bars them. All ops cost alike.
    """
    parts = [part for model in _models(spec) for part in _parts(model)]
    running = sum(not _is_constant(kind) for _, kind in parts)
    return [None if _is_constant(kind) else _place(op, kind, unit, behaviour, 1 / running) for op, kind in parts]


def structure_of(spec: Any, planned: Sequence[Planned | None]) -> Any:
    """Return coremltools' picture of a model; the proxy of each op or layer refers weakly to what is planned for it."""
    return _structure(spec, iter(planned))


def _structure(spec: Any, following: Iterator[Planned | None]) -> Any:
    from coremltools.models import compute_plan as shown

    pipeline = _pipeline(spec)
    if pipeline is not None:
        names = [*pipeline.names, *(f"model{number}" for number in range(len(pipeline.names), len(pipeline.models)))]
        parts = [(name, _structure(model, following)) for name, model in zip(names, pipeline.models, strict=True)]
        pictured: Any = parts  # coremltools calls it a tuple
        return shown.MLModelStructure(None, None, shown.MLModelStructurePipeline(pictured))
    network = _network(spec)
    if network is not None:
        layers = [
            shown.MLModelStructureNeuralNetworkLayer(
                layer.name, layer.WhichOneof("layer"), list(layer.input), list(layer.output), _proxy(layer, following)
            )
            for layer in network.layers
        ]
        return shown.MLModelStructure(shown.MLModelStructureNeuralNetwork(layers), None, None)
    if spec.WhichOneof("Type") != "mlProgram":
        return shown.MLModelStructure(None, None, None)
    functions = {
        name: shown.MLModelStructureProgramFunction(
            [_named(value) for value in function.inputs], _pictured(_block(function), function.opset, following)
        )
        for name, function in spec.mlProgram.functions.items()
    }
    return shown.MLModelStructure(None, shown.MLModelStructureProgram(functions), None)


def _pictured(block: Any, opset: str, following: Iterator[Planned | None]) -> Any:
    """Return coremltools' picture of a block."""
    from coremltools.models import compute_plan as shown

    operations = []
    for op in block.operations:
        proxy = _proxy(op, following)
        inputs = {name: _argument(argument) for name, argument in op.inputs.items()}
        blocks = [_pictured(each, opset, following) for each in op.blocks]
        outputs = [_named(each) for each in op.outputs]
        operations.append(
            shown.MLModelStructureProgramOperation(inputs, operator_name(op.type, opset), outputs, blocks, proxy)
        )
    return shown.MLModelStructureProgramBlock(
        [_named(value) for value in block.inputs], operations, list(block.outputs)
    )


def operator_name(kind: str, opset: str) -> str:
    """Return the name of an operator in a compiled program: with the opset that its definition is from, but for const.

    As in 0seba/VoxCPMANE 15 and pytorch/executorch 19252: ``const``, ``ios16.reduce_mean`` and ``ios18.mul`` in one
    program. Which definitions a version of macOS has is not known; here they are all from the program's opset.
    """
    return kind if kind == "const" else f"{opset_name(opset)}.{kind}"


def opset_name(opset: str) -> str:
    """Return a prefix such as ios17 for the name of an opset in a specification, such as CoreML7."""
    number = int(opset.removeprefix("CoreML"))
    return f"ios{26 if number == 9 else number + 10}"


def _argument(argument: Any) -> Any:
    from coremltools.models import compute_plan as shown

    bindings = []
    for each in argument.arguments:
        named = each.WhichOneof("binding") == "name"
        value = None if named else shown.MLModelStructureProgramValue()
        bindings.append(shown.MLModelStructureProgramBinding(each.name if named else None, value))
    return shown.MLModelStructureProgramArgument(bindings)


def _named(value: Any) -> Any:
    from coremltools.models import compute_plan as shown

    return shown.MLModelStructureProgramNamedValueType(value.name, shown.MLModelStructureProgramValueType())


def _proxy(part: Any, following: Iterator[Planned | None]) -> Any:
    """Return the proxy of an operation or a layer, which refers weakly to the next thing that is planned."""
    planned = next(following, None)
    is_operation = part.DESCRIPTOR.name == "Operation"
    name = "ProgramOperation" if is_operation else "NeuralNetworkLayer"
    cls = getattr(sys.modules[NATIVE], f"_MLModelStructure{name}Proxy")
    return make(cls, _planned=None if planned is None else weakref.ref(planned))


# --- what is planned ----------------------------------------------------------------------------------------


def _place(op: Any, kind: str, unit: str, behaviour: Behaviour, cost: float) -> Planned:
    devices = [device for device in UNITS.get(unit, UNITS["ALL"]) if device in behaviour.devices]
    if kind in behaviour.unplanned:
        return Planned(None, (), None)
    if kind in behaviour.cpu_ops or unit in behaviour.fallback:
        devices = ["CPU"]
    if "NE" in devices and _gives_float32(op):
        devices.remove("NE")
    supported = tuple(device for device in ("CPU", "GPU", "NE") if device in devices)
    return Planned(devices[0] if devices else None, supported, cost)


def _models(spec: Any) -> Iterator[Any]:
    pipeline = _pipeline(spec)
    if pipeline is None:
        yield spec
    else:
        for model in pipeline.models:
            yield from _models(model)


def _parts(spec: Any) -> Iterator[tuple[Any, str]]:
    """Yield each operation or layer of a model, with its kind."""
    network = _network(spec)
    if network is not None:
        for layer in network.layers:
            yield layer, layer.WhichOneof("layer")
    elif spec.WhichOneof("Type") == "mlProgram":
        for function in spec.mlProgram.functions.values():
            for op in _walk(_block(function)):
                yield op, op.type


def _pipeline(spec: Any) -> Any:
    kind = spec.WhichOneof("Type")
    if kind == "pipeline":
        return spec.pipeline
    return getattr(spec, kind).pipeline if kind in ("pipelineClassifier", "pipelineRegressor") else None


def _network(spec: Any) -> Any:
    kind = spec.WhichOneof("Type")
    return getattr(spec, kind) if str(kind).startswith("neuralNetwork") else None


def _block(function: Any) -> Any:
    return function.block_specializations[function.opset]


def _walk(block: Any) -> Iterator[Any]:
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from _walk(inner)


def _is_constant(kind: str) -> bool:
    return kind == "const" or kind.startswith("constexpr_")


def _gives_float32(op: Any) -> bool:
    from coremltools.proto import MIL_pb2

    outputs = op.outputs if op.DESCRIPTOR.name == "Operation" else ()
    return any(each.type.tensorType.dataType == MIL_pb2.FLOAT32 for each in outputs)
