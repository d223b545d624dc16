"""A hint on what a wrong package and its original may differ in: a last activation, or the order of the colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from coremlbench.types.conversion import LOGITS, OUTPUT

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Values = Mapping[str, Array]

HINT_SAMPLES = 32
"""Number of samples on which a hint is tried."""
SAME = 0.02
"""Largest difference, as a share of the original's range, of outputs that count as the same for a hint."""


def difference_hint(expected: Values, actual: Values, samples: Array, predict: Callable[[Array], Values]) -> str:
    """Return a sentence on what explains the difference between a package and its original; empty if nothing does.

    ``expected`` and ``actual`` have ``OUTPUT`` and, if there are any, ``LOGITS`` of the original and of the package.
    ``samples`` are the first of theirs, as the package takes them. ``predict`` runs the package.
    """
    if LOGITS in actual and LOGITS not in expected and _same(expected[OUTPUT], actual[LOGITS]):
        return (
            "What goes into the package's last softmax or sigmoid is what the original gives: the package has that "
            "last step, and the original's outputs lack it."
        )
    if LOGITS in expected and LOGITS not in actual and _same(expected[LOGITS], actual[OUTPUT]):
        return (
            "The package gives what goes into the original's last softmax or sigmoid: the package lacks that last step."
        )
    exchanged = _with_colours_exchanged(samples)
    if exchanged is not None and _same(expected[OUTPUT][: len(samples)], predict(exchanged)[OUTPUT]):
        return (
            "With red and blue exchanged the package gives the original's outputs: one of the two takes RGB, the other "
            "BGR."
        )
    return ""


def _same(expected: Array, actual: Array) -> bool:
    """Return whether values agree within ``SAME`` of their range."""
    import numpy as np

    if expected.shape != actual.shape or not expected.size or not np.isfinite(expected).all():
        return False
    value_range = float(np.ptp(expected))
    return value_range > 0 and float(np.abs(expected - actual).max()) <= SAME * value_range


def _with_colours_exchanged(samples: Array) -> Array | None:
    """Return pictures (n, height, width, 3) or (n, 3, height, width) with red and blue exchanged; else ``None``."""
    if samples.dtype.names or samples.ndim != 4:
        return None
    if samples.shape[-1] == 3:
        return samples[..., ::-1]
    return samples[:, ::-1] if samples.shape[1] == 3 else None
