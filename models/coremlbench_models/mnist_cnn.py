"""The convolutional network of apple/tensorflow_macos issue 25, often called "the tensorflow_macos benchmark"."""

from __future__ import annotations

from typing import Any


def build(input_shape: tuple[int, int, int], classes: int, *, weights: str | None = None) -> Any:
    """Return the network as an uncompiled ``keras.Model`` that takes pixels from 0 to 1.

    28x28x1 and 10 classes give 1,199,882 parameters.

    Source: github.com/apple/tensorflow_macos issue 25, where the published seconds per epoch stand.

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
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="mnist_cnn",
    )
