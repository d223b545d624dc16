"""Keras models that compute in bfloat16, a type that Core ML does not have: made to compute in float32."""

from __future__ import annotations

from typing import Any

from coremlbench.types.conversion import Caveat

BFLOAT16_NAMES = frozenset({"bfloat16", "mixed_bfloat16"})
"""Names of Keras's types and dtype policies."""


def in_float32(model: Any) -> tuple[Any, tuple[Caveat, ...]]:
    """Return a model that computes in float32 where this one does in bfloat16, with the same weights, and a caveat.

    A model without bfloat16 is returned as it is.
    """
    names = {str(layer.dtype_policy.name) for layer in model._flatten_layers()} & BFLOAT16_NAMES  # noqa: SLF001 - nested ones too
    if not names:
        return model, ()
    converted = type(model).from_config(_without_bfloat16(model.get_config()))
    converted.set_weights([_float32(weight) for weight in model.get_weights()])
    text = (
        f"The model computes in bfloat16 (dtype policy {' and '.join(sorted(names))}), which Core ML does not have: it "
        "was converted, and compared, with float32 in its place."
    )
    return converted, (Caveat("original", text),)


def _without_bfloat16(value: Any) -> Any:
    """Return a configuration with float32 in the place of bfloat16."""
    if isinstance(value, dict):
        return {key: _without_bfloat16(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_without_bfloat16, value))
    return "float32" if isinstance(value, str) and value in BFLOAT16_NAMES else value


def _float32(weight: Any) -> Any:
    """Return a weight of bfloat16 as float32, others as they are."""
    import numpy as np

    return weight.astype(np.float32) if str(weight.dtype) == "bfloat16" else weight
