"""Whether a Keras model rescales the pixels that it is given, and so takes them from 0 to 255."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

KEEPING = (
    *("InputLayer", "Identity", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout"),
    *("Resizing", "CenterCrop", "Cropping2D", "ZeroPadding2D", "AugMix", "CutMix", "MixUp", "RandAugment", "Random"),
)
"""Beginnings of the names of Keras's layers that leave pixels what they are at inference, or move them at most."""


def rescales(model: Any) -> bool:
    """Return whether the first layer that changes pixels rescales or normalises them, whatever comes before it.

    One further inside says nothing about the input: networks weaken a branch with it.
    """
    return _met_in(model) is True


def _met_in(model: Any) -> bool | None:
    """Return whether pixels meet a rescaling first in a model, ``None`` when they leave it as they were."""
    import keras

    if isinstance(model, (keras.Sequential, keras.layers.Pipeline)):
        return next((met for met in map(_met, model.layers) if met is not None), None)
    return _followed(model.inputs[0], model) if hasattr(model, "_nodes_by_depth") else False  # a subclass has no graph


def _met(layer: Any) -> bool | None:
    """Return whether a layer is a rescaling, ``None`` when it leaves pixels as they are."""
    import keras

    if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
        return True
    if isinstance(layer, (keras.Model, keras.layers.Pipeline)):
        return _met_in(layer)
    return None if type(layer).__module__.startswith("keras.") and type(layer).__name__.startswith(KEEPING) else False


def _followed(pixels: Any, model: Any) -> bool | None:
    """Return what pixels meet on all their ways through a functional model: a rescaling first, nothing, or else."""
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]  # noqa: SLF001 - the graph of its layers
    readers = [node for node in nodes if any(each is pixels for each in node.input_tensors)]
    return _all(_through(node, model) for node in readers)


def _through(node: Any, model: Any) -> bool | None:
    met = _met(node.operation)
    return _all(_followed(each, model) for each in node.output_tensors) if met is None else met


def _all(ways: Iterable[bool | None]) -> bool | None:
    """Return ``False`` when one way meets something else first, ``None`` when all lead out."""
    met = list(ways)
    return False if False in met else True if True in met else None
