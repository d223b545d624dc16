"""Random weights that keep signals alive on the way to the logits, and random pictures that mean something to them.

Batch normalisations take the mean and variance of what reaches them (one pass over a few random images) and are
shifted by as much as they scale; the scales that ConvNeXt starts at a millionth are set to 1; networks without any
normalisation get He's variance. Without the shift a deep random network is chaotic: ResNet152 makes a difference of
1e-3 of the logits' range out of one of 1e-6 in its input, and no two runtimes agree on it; with it, 1e-6 stays 1e-6,
and one value in six still falls on a ReLU's flat side.
"""

from __future__ import annotations

from typing import Any

CALIBRATION = 8
"""How many random images the statistics of batch normalisations are taken from."""


def set_seed(seed: int) -> None:
    """Make what follows depend on the seed alone."""
    import keras

    keras.utils.set_random_seed(seed)


def enliven(model: Any, *, scale: float, offset: float = 0.0) -> None:
    """Give a freshly built Keras model statistics and variances that keep signals alive.

    The model takes pixels from 0 to 255 times ``scale``, plus ``offset``.
    """
    import keras
    import numpy as np

    layers = list(model._flatten_layers())  # noqa: SLF001 - those of nested models too
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the statistics of the next batch replace the old ones
            factor = 1.0 if layer.gamma is None else 0.5
            for weight in (layer.gamma, layer.beta):
                if weight is not None:
                    weight.assign(np.full(weight.shape, factor))
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(np.ones(layer.gamma.shape))
    if any("Normalization" in type(layer).__name__ for layer in layers):
        pictures = random_pictures(model.input_shape[1:], 0, CALIBRATION)
        _take_statistics(model, layers, pictures * np.float32(scale) + np.float32(offset))
    else:
        _scale_kernels(layers)


def _take_statistics(model: Any, layers: list[Any], pictures: Any) -> None:
    """Run one batch in training with every part of the model trainable: a frozen one would keep its statistics."""
    import keras

    frozen = [layer for layer in layers if not layer.trainable]
    outer = model.trainable
    model.trainable = True
    for layer in layers:
        layer.trainable = True
    normalised: list[Any] = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    _forward(model, pictures)
    for layer in normalised:
        layer.momentum = 0.99
    model.trainable = outer
    for layer in frozen:
        layer.trainable = False


def _forward(model: Any, pictures: Any) -> None:
    """Run an extractor inside the model in training too, although it was built in with ``training=False``.

    Other models inside one, such as ConvNeXt's steps from stage to stage, take no pictures and have no statistics.
    As a graph it drops each value once it was used; called as it is, Keras keeps all of them to the end, and those of
    EfficientNetB7 take 20 GB.
    """
    import keras
    import tensorflow as tf

    nested = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.Model)
        and any(isinstance(each, keras.layers.BatchNormalization) for each in layer._flatten_layers())  # noqa: SLF001
    ]
    for inner in nested or [model]:
        tf.function(lambda images, inner=inner: inner(images, training=True), autograph=False)(pictures)


def _scale_kernels(layers: list[Any]) -> None:
    """Give weights the variance that keeps a ReLU's signal (He et al. 2015)."""
    import numpy as np

    for layer in layers:
        if hasattr(layer, "kernel"):
            fan_in = int(np.prod(layer.kernel.shape[:-1]))
            layer.kernel.assign(layer.kernel * np.sqrt(2 / fan_in) / np.std(layer.kernel))


def random_pictures(shape: tuple[int, ...], seed: int, count: int) -> Any:
    """Return float32 pictures (count, height, width, channels) of coloured patches of many sizes, 0 to 255.

    Noise alone would do for no network: averaged over a receptive field every picture is the same grey, the variances
    that batch normalisation sees are tiny, and it amplifies rounding errors instead of features.
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
    """Return random inputs of a model: uint8 pictures (from 0 to 255), pictures from 0 to 1, or normal numbers.

    Pictures from 0 to 1 are bytes over 255, for a package of the same model may take them as bytes.
    """
    import numpy as np

    if pixels:
        return random_pictures(shape, seed, count).round().astype(np.uint8)
    if len(shape) == 3 and shape[2] in (1, 3):
        return random_pictures(shape, seed, count).round() / np.float32(255)
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)
