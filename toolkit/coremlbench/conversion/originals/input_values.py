"""What values the input of a TensorFlow function takes: pixels of a range, indices of tables, or measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coremlbench.conversion.originals.index_inputs import TABLE_OPS, UNKNOWN_TABLES, index_ranges
from coremlbench.conversion.originals.input_graph import InputGraph, op_types
from coremlbench.conversion.originals.input_semantics import PixelScaling, may_be_pixels, pixel_scaling
from coremlbench.conversion.originals.pixel_range import wanted_maximum
from coremlbench.conversion.sampling import Sampling, index_note


def input_values(
    concrete: Any, name: str, shape: tuple[int, ...], settings: Mapping[str, Any], *, takes_uint8: bool
) -> tuple[PixelScaling, Sampling]:
    """Return how a traced function takes pixels, and how samples of its input are made.

    Raises:
        InputError: numbers of the input are indices of a table whose size cannot be told.
    """
    if takes_uint8:
        return pixel_scaling(shape, settings, wanted_maximum=None, takes_uint8=True), Sampling()
    has_tables = bool(op_types(concrete) & (set(TABLE_OPS) | UNKNOWN_TABLES))
    if not has_tables and not may_be_pixels(shape, settings):
        scaling = pixel_scaling(shape, settings, wanted_maximum=None)
        return scaling, Sampling(range_known=False)
    graph = InputGraph(concrete)
    indices = index_ranges(graph, name) if has_tables else None
    if indices is not None:
        left_out = "" if settings.get("scale") is None else " --scale was left out."
        note = f"{index_note(indices)}{left_out}"
        return PixelScaling(False, 1.0, note=note), Sampling(bool(indices.is_index.all()), indices=indices)
    maximum = wanted_maximum(graph) if may_be_pixels(shape, settings) else None
    scaling = pixel_scaling(shape, settings, wanted_maximum=maximum)
    return scaling, Sampling(scaling.known, scaling.other_scales)
