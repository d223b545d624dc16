"""Find out from the first ops of a model which range of pixels it wants: 0 to 255, 0 to 1, or neither for sure.

Rescaling and normalisation make ``a * x + b`` of a pixel ``x``, whether by layers, by functional ops such as those of
``keras.applications.*.preprocess_input``, or in a SavedModel; crops, flips and exchanged channels move it. The first
other op gets the numbers that the network was trained on. What the first ops make of 0, 128 and 255 therefore tells
what ``x`` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coremlbench.conversion.originals.input_graph import MOVING_OPS, SHAPE_OPS, InputGraph, moved_inputs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

RANGES = (1.0, 255.0)
"""The largest pixel of the ranges that are known; both begin at 0."""
PROBES = (0.0, 128.0, 255.0)
"""The pixels that the first ops are evaluated for."""

RESAMPLING_OPS = {
    *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate", "AvgPool"),
    "MaxPool",
}
"""Ops that give an image of one colour that colour again."""
AFFINE_OPS = {"Mul", "Add", "AddV2", "Sub", "RealDiv", "Neg", "BiasAdd", "FusedBatchNorm", "FusedBatchNormV3"}
"""Ops that make a * x + b of each number of their first input, or of their only one that depends on the pixels."""
COMMUTATIVE_OPS = {"Mul", "Add", "AddV2", "Sub"}
"""Those of ``AFFINE_OPS`` that do so for either operand."""

WIDTHS = (0.9, 64.0)
"""Widths that the wanted range has after the first ops. A standard deviation of numbers from 0 to 1 is 0.5 at most, so
that a normalisation by it makes 2 or more of the width; plain rescalings make 1 or 2 of it."""
BYTE_WIDTHS = (250.0, 260.0)
"""The width of a range of bytes: a mean is subtracted and nothing is scaled, as Caffe's networks have it."""
SCALED_WIDTHS = (0.5, 5.1)
"""Widths that a plain rescaling, without an offset, makes of 0 to 255."""
NEGLIGIBLE = 1e-3
"""Largest relative deviation of an affine function, and of an offset from zero in pixels."""
MIN_ZERO_POINT = 2 / 255
"""The smallest share of a range at which the pixel lies that becomes 0; a mean of pixels is never smaller."""
KNOWN_SHARE, AGREEING_SHARE = 0.5, 0.9
"""The share of the numbers for which a range must be known, and the share of those that must have the same one. A mean
image has odd values where all its pixels are black."""


def wanted_maximum(graph: InputGraph) -> float | None:
    """Return the largest pixel that a model wants, one of ``RANGES``; ``None`` when its first ops do not tell."""
    import numpy as np

    names = prefix_ends(graph)
    probes = [graph.values(names, np.full(graph.input_shape, pixel, np.float32)) for pixel in PROBES]
    factors = {
        range_of(*(np.asarray(value, np.float64).ravel() for value in values)) for values in zip(*probes, strict=True)
    }
    return factors.pop() if len(factors) == 1 else None


def prefix_ends(graph: InputGraph) -> list[str]:
    """Return the names of the tensors, affine functions of single pixels, that the first other ops read."""
    constant, pixels, ends = set[str](), {graph.input_name}, dict[str, None]()
    for op in graph.ops:
        outputs = [tensor.name for tensor in op.outputs]
        if graph.input_name in outputs:
            continue
        if op.type in SHAPE_OPS or all(tensor.name in constant for tensor in op.inputs):
            constant.update(outputs)
        elif _keeps_pixels_apart(op, constant, pixels):
            pixels.update(outputs)
        else:
            ends.update(dict.fromkeys(tensor.name for tensor in op.inputs if tensor.name in pixels))
    ends.update(dict.fromkeys(name for name in graph.outputs if name in pixels))
    return list(ends)


def _keeps_pixels_apart(op: Any, constant: set[str], pixels: set[str]) -> bool:
    """Return whether each output number of an op is an affine function of one pixel, given what its inputs are."""
    dependent = [tensor for tensor in op.inputs if tensor.name not in constant]
    if not all(tensor.name in pixels for tensor in dependent) or not op.outputs[0].dtype.is_floating:
        return False
    if op.type in MOVING_OPS:
        moved = {tensor.name for tensor in moved_inputs(op)}
        return all(tensor.name in moved for tensor in dependent)
    first_only = [tensor.name for tensor in dependent] == [op.inputs[0].name]
    if op.type == "Cast" or op.type in RESAMPLING_OPS:
        return first_only
    if op.type in {"FusedBatchNorm", "FusedBatchNormV3"} and op.get_attr("is_training"):
        return False
    return op.type in AFFINE_OPS and (first_only or (op.type in COMMUTATIVE_OPS and len(dependent) == 1))


def range_of(black: Array, grey: Array, white: Array) -> float | None:
    """Return the range, one of ``RANGES``, that numbers come from; ``None`` when they do not tell.

    The arguments are what the first ops make of images whose pixels are all 0, 128 and 255, each of shape (numbers,).
    Numbers that do not depend on the pixels, such as padding, say nothing.
    """
    import numpy as np

    alive = np.isfinite(black) & np.isfinite(white) & (black != white)
    black, grey, white = black[alive], grey[alive], white[alive]
    if not black.size:
        return None
    slope = (white - black) / 255
    bend = np.abs(grey - black - 128 * slope)
    affine = bend <= NEGLIGIBLE * np.abs(white - black)
    candidates = [affine & _fits(slope, -black / slope, largest) for largest in RANGES]
    known = np.logical_or.reduce(candidates).sum()
    for largest, fits in zip(RANGES, candidates, strict=True):
        if known >= KNOWN_SHARE * black.size and fits.sum() >= AGREEING_SHARE * known:
            return largest
    return None


def _fits(slope: Array, zero_point: Array, largest: float) -> Any:
    """Return for each number whether it may come from pixels from 0 to ``largest``.

    ``slope`` is the factor, and ``zero_point`` the pixel that becomes 0. A network is trained on numbers around 0, so
    the zero point lies within the range; or on small positive ones, and then it is 0.
    """
    import numpy as np

    width, position = np.abs(slope) * largest, zero_point / largest
    plain = np.abs(zero_point) < NEGLIGIBLE
    inside = ~plain & (position >= MIN_ZERO_POINT) & (position <= 1 + NEGLIGIBLE)
    # Small numbers that are only multiplied may be anything; 0 to 1 is known where they become bytes.
    plain_widths = BYTE_WIDTHS if largest == 1 else SCALED_WIDTHS
    return (inside & (_within(width, WIDTHS) | _within(width, BYTE_WIDTHS))) | (plain & _within(width, plain_widths))


def _within(values: Array, limits: Sequence[float]) -> Any:
    low, high = limits
    return (values >= low) & (values <= high)
