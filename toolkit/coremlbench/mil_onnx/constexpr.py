"""Compressed constants: their values, as the ops that stand for them in the ML Program define them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt


def is_compressed(var: Any) -> bool:
    """Return whether a ``constexpr_*`` op stands for the value."""
    return var.op is not None and bool(var.op.op_type.startswith("constexpr_"))


def materialise(var: Any) -> npt.NDArray[Any]:
    """Return the dense value of an output of a ``constexpr_*`` op, computed by coremltools' own definition of it.

    The inputs of such an op may themselves be compressed, as a palette of quantised values or the places of a sparse
    palette are; coremltools' own ``materialized_val_inference`` follows some of them only.
    """
    return np.asarray(_results(var.op, {})[list(var.op.outputs).index(var)])


def _results(op: Any, known: dict[Any, tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the values of all outputs of ``op``: of the sparse forms the mask comes first, then what is not zero."""
    if op not in known:
        if op.op_type == "constexpr_cast":
            known[op] = (np.float32(_given(op.source_val, known)),)
        else:
            # What the definition takes bears the names of the op's inputs; their order differs between versions.
            named = inspect.signature(op.decompress).parameters
            made = op.decompress(**{name: _given(getattr(op, name), known) for name in named})
            known[op] = made if isinstance(made, tuple) else (made,)
    return known[op]


def _given(var: Any, known: dict[Any, tuple[Any, ...]]) -> Any:
    if var is None or var.val is not None or not is_compressed(var):
        return None if var is None else var.val
    return _results(var.op, known)[list(var.op.outputs).index(var)]
