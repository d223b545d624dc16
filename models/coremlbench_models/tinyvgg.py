"""TinyVGG, the small convolutional network of CNN Explainer."""

from __future__ import annotations

from typing import Any


def build(input_shape: tuple[int, int, int], classes: int, *, weights: str | None = None) -> Any:
    """Return TinyVGG as an uncompiled ``keras.Model`` that takes pixels from 0 to 1.

    Two blocks of two 3x3 convolutions with 10 filters (stride 1, no padding) and a 2x2 maximum, then one dense
    layer. 64x64x3 and 10 classes give 19,920 parameters, 224x224x3 gives 283,920.

    Source: Wang et al., "CNN Explainer: Learning Convolutional Neural Networks with Interactive Visualization",
    2020 (poloclub.github.io/cnn-explainer).

    Raises:
        ValueError: ``weights`` is given; nobody publishes any for this network.
    """
    import keras

    if weights is not None:
        raise ValueError(f"There are no published weights for TinyVGG, {weights!r} was asked for.")
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(10, 3, activation="relu"),
            layers.Conv2D(10, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(10, 3, activation="relu"),
            layers.Conv2D(10, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ],
        name="tinyvgg",
    )
