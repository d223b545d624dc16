"""Changes to a saved ML Program that coremltools writes and cannot read back.

Each keeps what the program computes, but for the rounding of a default to float16. They are made in the specification
in memory, before coremltools reads it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


def repair(specification: Any) -> None:
    """Repair the functions of an ML Program's specification (``MIL.proto``'s ``Program``) in place."""
    for function in specification.functions.values():
        for block in function.block_specializations.values():
            types = {value.name: value.type for value in function.inputs}
            _repair_block(block, types, {})


def _repair_block(block: Any, types: dict[str, Any], constants: dict[str, Any]) -> None:
    """Repair a block; ``types`` and ``constants`` are the types and the constants by name of what it can use."""
    types, constants = dict(types), dict(constants)
    types.update({value.name: value.type for value in block.inputs})
    for op in block.operations:
        types.update({output.name: output.type for output in op.outputs})
        if op.type == "const" and "val" in op.attributes:
            constants.update({output.name: op.attributes["val"] for output in op.outputs})
        _repair_defaults(op, types, constants)
        _close_unknown_rank(op)
        for inner in op.blocks:
            _repair_block(inner, types, constants)


def _repair_defaults(op: Any, types: dict[str, Any], constants: dict[str, Any]) -> None:
    """Make scalar float32 constants float16 where an op wants inputs of one type and the others are float16.

    coremltools writes the default of such an input (an epsilon, a padding value) as float32 whatever the others are.
    """
    from coremltools.proto.MIL_pb2 import FLOAT16, FLOAT32

    for names in _same_type_inputs(op.type):
        bindings = [binding for name in names if name in op.inputs for binding in op.inputs[name].arguments]
        kinds = [_element_type(binding, types) for binding in bindings]
        if FLOAT16 not in kinds:
            continue
        for binding, kind in zip(bindings, kinds, strict=True):
            value = constants.get(binding.name) if binding.WhichOneof("binding") == "name" else binding.value
            if kind == FLOAT32 and value is not None and _is_scalar(value):
                number = np.float16(value.immediateValue.tensor.floats.values[0])
                binding.Clear()
                binding.value.type.tensorType.dataType = FLOAT16
                binding.value.immediateValue.tensor.bytes.values = number.tobytes()


@functools.cache
def _same_type_inputs(op_type: str) -> list[list[str]]:
    """Return the groups of an op's inputs whose element types have to be the same, in the versions of all systems."""
    from coremltools.converters.mil.mil.input_type import TensorInputType
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    if op_type not in SSAOpRegistry.core_ops:
        return []
    result: list[list[str]] = []
    for op_class in dict.fromkeys(SSAOpRegistry.core_ops[op_type].values()):
        groups: dict[str, list[str]] = {}
        for name, kind in op_class.input_spec.input_types.items():
            if isinstance(kind, TensorInputType) and kind.type_domain_id is not None:
                groups.setdefault(kind.type_domain_id, []).append(name)
        result += [names for names in groups.values() if len(names) > 1 and names not in result]
    return result


def _element_type(binding: Any, types: dict[str, Any]) -> int | None:
    kind = types.get(binding.name) if binding.WhichOneof("binding") == "name" else binding.value.type
    return kind.tensorType.dataType if kind is not None and kind.WhichOneof("type") == "tensorType" else None


def _is_scalar(value: Any) -> bool:
    """Return whether a value is a number of float32 that stands in the specification itself."""
    tensor = value.immediateValue.tensor
    return value.type.tensorType.rank == 0 and len(tensor.floats.values) == 1


def _close_unknown_rank(op: Any) -> None:
    """Turn the mark of an unknown number of dimensions into one open dimension.

    coremltools infers the type of an op's output itself and compares it with this one, which it may read then.
    """
    for output in op.outputs:
        for dimension in output.type.tensorType.dimensions:
            if dimension.WhichOneof("dimension") == "unknown" and dimension.unknown.variadic:
                dimension.unknown.variadic = False
