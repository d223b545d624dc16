"""The names of a package's outputs: those that the model has for them, where TensorFlow knows only of identities."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

RESERVED = (
    *("any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "state"),
    *("bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
"""Words of the language of ML Programs, which name no value (``NameSanitizer`` of coremltools 9.0)."""


def names_of(structured: Any, own: Sequence[str], count: int, taken: Sequence[str] = ()) -> tuple[str, ...]:
    """Return a name for each output of a function: the keys of a dictionary, or the model's ``own``, else "output".

    They are identifiers, as Xcode makes Swift's names of them, no two are the same, and none is in
    ``taken``, where the input's name is.
    """
    wanted = sorted(structured) if isinstance(structured, Mapping) else list(own)
    if len(wanted) != count:
        wanted = ["output" if count == 1 else f"output_{number}" for number in range(count)]
    taken = [*taken, *RESERVED]
    found: list[str] = []
    for each in wanted:
        name = re.sub(r"\W", "_", str(each), flags=re.ASCII)
        found.append(_free(f"_{name}" if name[:1].isdigit() else name or "output", [*taken, *found]))
    return tuple(found)


def renamed(model: Any, names: Sequence[str]) -> Any:
    """Return a coremltools model whose outputs have these names, in their order; a classifier's keep theirs."""
    import coremltools as ct

    spec = model.get_spec()
    old = [each.name for each in spec.description.output]
    if spec.description.predictedFeatureName or len(old) != len(names):
        return model
    inner = _values(spec)
    for before, name in zip(old, names, strict=True):
        if before != name:
            ct.utils.rename_feature(spec, before, _free(name, inner), rename_inputs=False)
    return ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


def _values(spec: Any) -> list[str]:
    """Return the names that are taken: those of a program's inputs and of all its values."""
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    values = [output.name for op in block.operations for output in op.outputs]
    return [*(each.name for each in spec.description.input), *values]


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
