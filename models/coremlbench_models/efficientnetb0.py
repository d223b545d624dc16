"""EfficientNetB0 without its head, frozen, and a new classifier on top: transfer learning."""

from __future__ import annotations

from typing import Any


def build(input_shape: tuple[int, int, int], classes: int, *, weights: str | None = None) -> Any:
    """Return the network as an uncompiled ``keras.Model`` that takes pixels from 0 to 255.

    Keras's EfficientNet rescales inside, so nothing is rescaled outside. The extractor is frozen and runs in
    inference mode (its batch statistics stay what they are); only the last layer learns.

    ``weights`` is ``None`` (random) or ``"imagenet"``, which Keras reads from ``$KERAS_HOME/models`` or fetches.
    A path would not do: Keras builds one rescaling layer more for ``"imagenet"`` than for a file of the same
    weights.

    Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019.

    Raises:
        ValueError: ``weights`` is neither of the two.
    """
    import keras

    if weights not in {None, "imagenet"}:
        raise ValueError(f"The weights of EfficientNetB0 are 'imagenet' or None (random), not {weights!r}.")
    extractor = keras.applications.EfficientNetB0(include_top=False, weights=weights, input_shape=input_shape)
    extractor.trainable = False
    inputs = keras.Input(input_shape)
    features = keras.layers.GlobalAveragePooling2D()(extractor(inputs, training=False))
    outputs = keras.layers.Dense(classes, activation="softmax")(features)
    return keras.Model(inputs, outputs, name="efficientnetb0_transfer")
