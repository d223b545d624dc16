"""The stand-in's compute plan: which op of a program goes where, and the structure that coremltools shows it in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.coreml_stand_in import Behaviour

UNITS = {
    "CPU_ONLY": ("CPU",),
    "CPU_AND_GPU": ("GPU", "CPU"),
    "CPU_AND_NE": ("NE", "CPU"),
    "ALL": ("NE", "GPU", "CPU"),
}
"""The devices of each unit, the preferred one first."""


@dataclass(frozen=True)
class Planned:
    """What is planned for one operation."""

    device: str
    supported: tuple[str, ...]
    cost: float


def plan_program(spec: Any, unit: str, behaviour: Behaviour) -> list[Planned | None]:
    """Return what is planned for each op of a program in order; ``None`` for constants.

    Ops that give float32 are barred from the Neural Engine, as Core ML bars them. All ops cost alike.
    """
    ops = [op for function in spec.mlProgram.functions.values() for op in _walk(_block(function))]
    running = sum(not _is_constant(op) for op in ops)
    return [None if _is_constant(op) else _place(op, unit, behaviour, 1 / running) for op in ops]


def structure_of(spec: Any, planned: Sequence[Planned | None]) -> Any:
    """Return coremltools' picture of a program, with what is planned for each op in its proxy."""
    from coremltools.models import compute_plan as shown

    following = iter(planned)

    def named(value: Any) -> Any:
        return shown.MLModelStructureProgramNamedValueType(value.name, shown.MLModelStructureProgramValueType())

    def operation(op: Any) -> Any:
        mine = next(following, None)
        inputs = {
            name: shown.MLModelStructureProgramArgument(
                [
                    shown.MLModelStructureProgramBinding(
                        each.name if each.WhichOneof("binding") == "name" else None,
                        None if each.WhichOneof("binding") == "name" else shown.MLModelStructureProgramValue(),
                    )
                    for each in argument.arguments
                ]
            )
            for name, argument in op.inputs.items()
        }
        blocks = [block(each) for each in op.blocks]
        return shown.MLModelStructureProgramOperation(
            inputs, op.type, [named(each) for each in op.outputs], blocks, mine
        )

    def block(each: Any) -> Any:
        operations = [operation(op) for op in each.operations]
        return shown.MLModelStructureProgramBlock(
            [named(value) for value in each.inputs], operations, list(each.outputs)
        )

    functions = {
        name: shown.MLModelStructureProgramFunction(
            [named(value) for value in function.inputs], block(_block(function))
        )
        for name, function in spec.mlProgram.functions.items()
    }
    return shown.MLModelStructure(None, shown.MLModelStructureProgram(functions), None)


def _place(op: Any, unit: str, behaviour: Behaviour, cost: float) -> Planned:
    supported = [device for device in UNITS[unit] if device in behaviour.devices]
    if op.type in behaviour.cpu_ops or unit in behaviour.fallback:
        supported = ["CPU"]
    if _gives_float32(op) and "NE" in supported:
        supported.remove("NE")
    return Planned(supported[0], tuple(supported), cost)


def _block(function: Any) -> Any:
    return function.block_specializations[function.opset]


def _walk(block: Any) -> Iterator[Any]:
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from _walk(inner)


def _is_constant(op: Any) -> bool:
    return str(op.type) == "const" or str(op.type).startswith("constexpr_")


def _gives_float32(op: Any) -> bool:
    from coremltools.proto import MIL_pb2

    return any(each.type.tensorType.dataType == MIL_pb2.FLOAT32 for each in op.outputs)
