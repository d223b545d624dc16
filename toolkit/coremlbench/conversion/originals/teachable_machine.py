"""Recognise the image models that Teachable Machine exports as ``keras_model.h5``.

Such a model takes pixels from -1 to 1 and has no layer that scales them; the program that is exported with it computes
``image / 127.5 - 1`` (github.com/googlecreativelab/teachablemachine-community, snippets/markdown/image/tensorflow).
"""

from __future__ import annotations

import re
from typing import Any

from coremlbench.conversion.originals.keras import Preprocessing

LAYER_NAMES = {
    "GlobalAveragePooling2D": re.compile(r"global_average_pooling2d_GlobalAveragePooling2D\d+"),
    "Dense": re.compile(r"dense_Dense\d+"),
}
"""TensorFlow.js gives its layers such names, and Python's Keras others."""

NOTE = "Teachable Machine exported the model: its pixels are scaled to x / 127.5 - 1, a part of the package."


def preprocessing_of(model: Any) -> Preprocessing | None:
    """Return what is done with pixels before a model of Teachable Machine, ``None`` for any other model."""
    return Preprocessing(scale_pixels, NOTE) if is_teachable_machine(model) else None


def is_teachable_machine(model: Any) -> bool:
    """Return whether a Keras model is one of Teachable Machine: a network and its pooling, then dense layers."""
    parts = getattr(model, "layers", ())
    if [type(part).__name__ for part in (model, *parts)] != ["Sequential"] * 3:
        return False
    network, head = (part.layers for part in parts)
    pooling, kinds = network[-1], [type(layer).__name__ for layer in (*network[1:], *head)]
    has_pictures = len(model.input_shape) == 4 and model.input_shape[-1] == 3
    known = all(LAYER_NAMES[type(layer).__name__].fullmatch(layer.name) for layer in (pooling, *head))
    return has_pictures and kinds == ["GlobalAveragePooling2D", "Dense", "Dense"] and known


def scale_pixels(image: Any) -> Any:
    """Return pixels from 0 to 255 as numbers from -1 to 1."""
    return image * (1 / 127.5) - 1.0
