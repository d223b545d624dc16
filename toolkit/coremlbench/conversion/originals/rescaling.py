"""Find out whether a Keras model rescales pixels itself, so that it takes values from 0 to 255."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from coremlbench.conversion.originals.keras_library import keras_library

PIXEL_PRESERVING_LAYERS = (
    *("InputLayer", "Identity", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout"),
    *("Resizing", "CenterCrop", "Cropping2D", "ZeroPadding2D", "AugMix", "CutMix", "MixUp", "RandAugment", "Random"),
)
"""Prefixes of the class names of Keras layers that keep or only move pixels at inference."""

Effect = Literal["rescales", "preserves", "computes"]
"""The first effect of a layer, or of all paths through a model, on pixels: a rescaling or normalisation, none, or any
other computation."""


def rescales(model: Any) -> bool:
    """Return whether the first layer that changes pixels is a rescaling or a normalisation, on every path.

    A later one says nothing about the input: some networks scale a branch with it.
    """
    return classify_model(model) == "rescales"


def classify_model(model: Any) -> Effect:
    """Return the first effect of a model on pixels; a subclassed model has no graph and counts as a computation."""
    if isinstance(model, _stacks(model)):
        effects = (classify_layer(layer) for layer in model.layers)
        return next((effect for effect in effects if effect != "preserves"), "preserves")
    return classify_paths(model.inputs[0], model) if hasattr(model, "_nodes_by_depth") else "computes"


def classify_layer(layer: Any) -> Effect:
    """Return the effect of a layer on pixels."""
    keras = keras_library(layer)
    if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
        return "rescales"
    if isinstance(layer, (keras.Model, *_stacks(layer))):
        return classify_model(layer)
    from_keras = type(layer).__module__.startswith(f"{keras.__name__}.")
    return "preserves" if from_keras and type(layer).__name__.startswith(PIXEL_PRESERVING_LAYERS) else "computes"


def _stacks(model: Any) -> tuple[Any, ...]:
    """Return the classes of models that apply their layers one after the other."""
    keras = keras_library(model)
    pipeline = getattr(keras.layers, "Pipeline", None)  # new in Keras 3
    return (keras.Sequential,) if pipeline is None else (keras.Sequential, pipeline)


def classify_paths(tensor: Any, model: Any) -> Effect:
    """Return the first effect on a tensor, over all its paths through a functional model."""
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]  # noqa: SLF001 - the graph of its layers
    nodes = [node for node in nodes if not node.is_input]  # in Keras 2 an input's node reads the input itself
    readers = [node for node in nodes if any(value is tensor for value in _tensors(node.input_tensors))]
    return combine(_classify_node(node, model) for node in readers)


def _classify_node(node: Any, model: Any) -> Effect:
    effect = classify_layer(getattr(node, "operation", None) or node.layer)  # Keras 3 and Keras 2
    if effect != "preserves":
        return effect
    return combine(classify_paths(tensor, model) for tensor in _tensors(node.output_tensors))


def _tensors(value: Any) -> Iterator[Any]:
    """Yield the tensors of a node; in Keras 2 one tensor stands for itself, and several may be nested."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    else:
        yield value


def combine(effects: Iterable[Effect]) -> Effect:
    """Return the effect of several paths: a computation on one decides, then a rescaling."""
    all_effects = set(effects)
    if "computes" in all_effects:
        return "computes"
    return "rescales" if "rescales" in all_effects else "preserves"
