"""The LeNet of apple/tensorflow_macos issue 10."""

from __future__ import annotations

from typing import Any


def build(input_shape: tuple[int, int, int], classes: int, *, weights: str | None = None) -> Any:
    """Return this LeNet as an uncompiled ``keras.Model`` that takes pixels from 0 to 1.

    28x28x1 and 10 classes give 585,958 parameters. Two benchmarks of late 2020 go by this name; the other one is
    ``mnist_cnn``.

    Source: github.com/apple/tensorflow_macos issue 10.

    Raises:
        ValueError: ``weights`` is given; nobody publishes any for this network.
    """
    import keras

    if weights is not None:
        raise ValueError(f"There are no published weights for this LeNet, {weights!r} was asked for.")
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 2, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(500, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="lenet",
    )
