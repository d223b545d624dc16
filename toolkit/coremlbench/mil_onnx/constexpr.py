"""Decompress the constants of ``constexpr_*`` ops."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt


def is_compressed(var: Any) -> bool:
    """Return whether a value is the output of a ``constexpr_*`` op."""
    return var.op is not None and bool(var.op.op_type.startswith("constexpr_"))


def materialise(var: Any) -> npt.NDArray[Any]:
    """Return the dense value of an output of a ``constexpr_*`` op, computed by coremltools' definition of the op.

    The inputs of such an op may be compressed too, such as a quantised palette or the indices of a sparse palette;
    coremltools' own ``materialized_val_inference`` handles only some of these.
    """
    return np.asarray(_results(var.op, {})[list(var.op.outputs).index(var)])


def _results(op: Any, known: dict[Any, tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the values of all outputs of ``op``; sparse forms have a mask and the values that are not zero."""
    if op not in known:
        if op.op_type == "constexpr_cast":
            known[op] = (np.float32(_input_value(op.source_val, known)),)
        else:
            # Its parameters have the names of the op's inputs; their order differs between versions.
            named = inspect.signature(op.decompress).parameters
            result = op.decompress(**{name: _input_value(getattr(op, name), known) for name in named})
            known[op] = result if isinstance(result, tuple) else (result,)
    return known[op]


def _input_value(var: Any, known: dict[Any, tuple[Any, ...]]) -> Any:
    """Return the value of an input, decompressed if necessary; ``None`` for an omitted input."""
    if var is None or var.val is not None or not is_compressed(var):
        return None if var is None else var.val
    return _results(var.op, known)[list(var.op.outputs).index(var)]
