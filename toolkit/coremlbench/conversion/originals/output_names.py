"""Choose the names of a package's outputs: the model's own, instead of TensorFlow's ``Identity``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

RESERVED_WORDS = (
    *("any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "state"),
    *("bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
"""Keywords of MIL, which cannot be names of values (``NameSanitizer`` of coremltools 9.0)."""
STRING_TYPE = 2
"""``DataType.STRING`` of Core ML's specification of ML Programs."""


def choose_output_names(
    structured_outputs: Any, model_names: Sequence[str], count: int, taken: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return a unique name for each of ``count`` outputs of a TensorFlow function; none of them is in ``taken``.

    The names are the keys of ``structured_outputs`` if that is a dictionary, else ``model_names``, else "output". They
    are valid identifiers, because Xcode generates Swift properties from them.
    """
    preferred = sorted(structured_outputs) if isinstance(structured_outputs, Mapping) else list(model_names)
    if len(preferred) != count:
        preferred = ["output" if count == 1 else f"output_{number}" for number in range(count)]
    names: list[str] = []
    for original in preferred:
        name = re.sub(r"\W", "_", str(original), flags=re.ASCII) or "output"
        identifier = f"_{name}" if name[0].isdigit() else name
        names.append(_unused(identifier, [*taken, *RESERVED_WORDS, *names]))
    return tuple(names)


def rename_outputs(model: Any, names: Sequence[str]) -> Any:
    """Return a coremltools ``MLModel`` with renamed outputs; a classifier is returned unchanged.

    Several outputs of one value get a name each.
    """
    import coremltools as ct

    spec = model.get_spec()
    _separate_repeated_outputs(spec)
    old_names = [feature.name for feature in spec.description.output]
    if spec.description.predictedFeatureName or len(old_names) != len(names):
        return model
    taken = _value_names(spec)
    for old_name, name in zip(old_names, names, strict=True):
        if old_name != name:
            ct.utils.rename_feature(spec, old_name, _unused(name, taken), rename_inputs=False)
    return ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


def _separate_repeated_outputs(spec: Any) -> None:
    """Make an output that repeats an earlier one the result of an ``identity`` op of its own.

    coremltools 9.0 drops such ops from float16 programs: the outputs have one name, and Core ML returns one value
    (coremltools issue 1887).
    """
    block = _main_block(spec)
    value_types = {output.name: output for op in block.operations for output in op.outputs}
    names: list[str] = []
    for index, name in enumerate(block.outputs):
        if name in names:
            repeated = _unused(name, [*_value_names(spec), *names])
            op = block.operations.add(type="identity")
            op.inputs["x"].arguments.add(name=name)
            op.outputs.add().CopyFrom(value_types[name])
            op.outputs[0].name = repeated
            op.attributes["name"].type.tensorType.dataType = STRING_TYPE
            op.attributes["name"].immediateValue.tensor.strings.values.append(repeated)
            block.outputs[index] = spec.description.output[index].name = repeated
        names.append(block.outputs[index])


def _main_block(spec: Any) -> Any:
    """Return the block of a program's main function."""
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return block


def _value_names(spec: Any) -> list[str]:
    """Return the names of a program's inputs and of all its values."""
    block = _main_block(spec)
    values = [output.name for op in block.operations for output in op.outputs]
    return [*(feature.name for feature in spec.description.input), *values]


def _unused(name: str, taken: Sequence[str]) -> str:
    """Return the name with as many underscores appended as make it differ from those in ``taken``."""
    while name in taken:
        name += "_"
    return name
