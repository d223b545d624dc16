"""Compressed constants: their values, as the ops that stand for them in the ML Program define them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def materialise(op: Any) -> npt.NDArray[Any]:
    """Return the dense value of a ``constexpr_*`` op, computed by coremltools' own definition of it.

    The inputs of such an op may themselves be compressed (a sparse table of quantised values); coremltools follows
    them.
    """
    return np.asarray(op.materialized_val_inference())
