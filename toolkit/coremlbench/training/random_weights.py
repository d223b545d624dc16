"""Random weights for networks without published ones, such that signals neither vanish nor explode; random images.

Batch normalisations get the mean and variance of their inputs (one pass over a few random images), with a shift as
large as their scale. ConvNeXt's layer scales, initially 1e-6, are set to 1. Networks without normalisation get He's
variance. Without the shift a deep random network is chaotic: in ResNet152 a difference of 1e-6 in the input
becomes 1e-3 of the logits' range, so that no two runtimes agree. With the shift 1e-6 stays 1e-6, and one value in six
is still in the flat part of a ReLU.
"""

from __future__ import annotations

from typing import Any

CALIBRATION_IMAGES = 8
"""The number of random images for the statistics of batch normalisations."""


def set_seed(seed: int) -> None:
    """Seed all random generators that Keras uses."""
    import keras

    keras.utils.set_random_seed(seed)


def calibrate_random_weights(model: Any, *, scale: float, offset: float = 0.0) -> None:
    """Adjust the random weights of a new Keras model in place, as the module's docstring says.

    The model's inputs are pixels from 0 to 255, times ``scale`` plus ``offset``.
    """
    import keras
    import numpy as np

    layers = list(model._flatten_layers())  # noqa: SLF001 - includes layers of nested models
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the next batch's statistics replace the old ones
            factor = 1.0 if layer.gamma is None else 0.5
            for weight in (layer.gamma, layer.beta):
                if weight is not None:
                    weight.assign(np.full(weight.shape, factor))
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(np.ones(layer.gamma.shape))
    if any("Normalization" in type(layer).__name__ for layer in layers):
        images = random_pictures(model.input_shape[1:], 0, CALIBRATION_IMAGES)
        _set_statistics(model, layers, images * np.float32(scale) + np.float32(offset))
    else:
        _scale_kernels(layers)


def _set_statistics(model: Any, layers: list[Any], images: Any) -> None:
    """Set the statistics of batch normalisations by one training pass over the images, with all layers trainable.

    Frozen layers are unfrozen meanwhile, as they would not update their statistics.
    """
    import keras

    frozen = [layer for layer in layers if not layer.trainable]
    outer = model.trainable
    model.trainable = True
    for layer in layers:
        layer.trainable = True
    normalisations: list[Any] = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    _training_pass(model, images)
    for layer in normalisations:
        layer.momentum = 0.99
    model.trainable = outer
    for layer in frozen:
        layer.trainable = False


def _training_pass(model: Any, images: Any) -> None:
    """Run the model in training mode, or the feature extractors nested in it, which are called with ``training=False``.

    Nested models without batch normalisation, such as ConvNeXt's downsampling blocks, are not run on their own. The
    pass runs as a ``tf.function``, which frees each intermediate value after its last use. Called eagerly, Keras keeps
    all of them to the end, 20 GB for EfficientNetB7.
    """
    import keras
    import tensorflow as tf

    nested = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.Model)
        and any(isinstance(inner, keras.layers.BatchNormalization) for inner in layer._flatten_layers())  # noqa: SLF001
    ]
    for network in nested or [model]:
        tf.function(lambda batch, network=network: network(batch, training=True), autograph=False)(images)


def _scale_kernels(layers: list[Any]) -> None:
    """Scale kernels to the variance that preserves a signal's variance through ReLUs (He et al. 2015)."""
    import numpy as np

    for layer in layers:
        if hasattr(layer, "kernel"):
            fan_in = int(np.prod(layer.kernel.shape[:-1]))
            layer.kernel.assign(layer.kernel * np.sqrt(2 / fan_in) / np.std(layer.kernel))


def random_pictures(shape: tuple[int, ...], seed: int, count: int) -> Any:
    """Return random images of coloured patches of many sizes, float32 (count, height, width, channels), 0 to 255.

    Plain noise would not do: averaged over a receptive field every image is the same grey, so that the variances in
    batch normalisations would be tiny, and rounding errors would be amplified instead of features.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    height, width, channels = shape
    total = np.zeros((count, height, width, channels), np.float32)
    for cells in (2, 4, 8, 16, 32):
        patches = random.uniform(-1, 1, (count, cells, cells, channels)).astype(np.float32)
        rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
        total += patches[:, rows][:, :, columns]
    total /= np.abs(total).max()
    return (total + 1) * np.float32(127.5)


def random_samples(shape: tuple[int, ...], *, pixels: bool, seed: int, count: int) -> Any:
    """Return random inputs of a model, (count, *shape).

    With ``pixels`` they are uint8 images. Otherwise inputs with the shape of an image are float32 images from 0 to 1,
    whole multiples of 1/255, since a package of the same model may take them as bytes; others are normally distributed.
    """
    import numpy as np

    if pixels:
        return random_pictures(shape, seed, count).round().astype(np.uint8)
    if len(shape) == 3 and shape[2] in (1, 3):
        return random_pictures(shape, seed, count).round() / np.float32(255)
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)
