"""The dense network of Keras's beginner tutorial."""

from __future__ import annotations

from typing import Any


def build(input_shape: tuple[int, int, int], classes: int, *, weights: str | None = None) -> Any:
    """Return the beginner's classifier as an uncompiled ``keras.Model`` that takes pixels from 0 to 1.

    One hidden layer of 128 and a dropout of 0.2; 28x28x1 and 10 classes give 101,770 parameters.

    Source: the TensorFlow 2 quickstart for beginners.

    Raises:
        ValueError: ``weights`` is given; nobody publishes any for this network.
    """
    import keras

    if weights is not None:
        raise ValueError(f"There are no published weights for this network, {weights!r} was asked for.")
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(classes, activation="softmax"),
        ],
        name="fashion_mnist",
    )
