"""ResNet50 trained from nothing, on images as small as CIFAR-10's."""

from __future__ import annotations

from typing import Any


def build(input_shape: tuple[int, int, int], classes: int, *, weights: str | None = None) -> Any:
    """Return ResNet50 as an uncompiled ``keras.Model`` that takes pixels from 0 to 1.

    32x32x3 and 10 classes give 23,608,202 parameters.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2015.

    Raises:
        ValueError: ``weights`` is given; the experiment trains the whole network from random weights.
    """
    import keras

    if weights is not None:
        raise ValueError(f"ResNet50 is trained from random weights here, {weights!r} was asked for.")
    return keras.applications.ResNet50(weights=None, input_shape=input_shape, classes=classes, name="cifar10_resnet50")
