"""Small Keras networks through the route that models really take: traced, converted with all passes, saved, run."""

from pathlib import Path
from typing import Any

import coremltools as ct
import keras
import numpy as np
import pytest
import tensorflow as tf

from coremlbench.runtimes.reference import ReferenceRuntime

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and coremltools warn about each other
]


def convolutional() -> Any:
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    branch = layers.DepthwiseConv2D(3, padding="same")(x)
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(branch))
    x = layers.Add()([x, layers.Multiply()([branch, gate])])
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2, padding="same")(x)])
    x = layers.LeakyReLU()(layers.Conv2D(12, 3, dilation_rate=2, padding="same")(layers.ZeroPadding2D(1)(x)))
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(5)(layers.Flatten()(layers.UpSampling2D(2, interpolation="bilinear")(x))))


def transformer() -> Any:
    inputs = keras.Input((24, 24, 3))
    x = layers.Reshape((9, 16))(layers.Conv2D(16, 8, strides=8)(inputs))
    x = x + layers.Embedding(9, 16)(np.arange(9)[np.newaxis])
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 8)(y, y)
        y = layers.Dense(32)(layers.LayerNormalization()(x))
        x = x + layers.Dense(16)(keras.ops.gelu(y, approximate=True))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))))


@pytest.mark.parametrize("network", [convolutional, transformer])
def test_a_network_gives_tensorflows_logits(tmp_path: Path, network: Any) -> None:
    keras.utils.set_random_seed(0)
    model = network()
    signature = [tf.TensorSpec((1, 24, 24, 3), tf.float32, name="image")]
    traced = tf.function(lambda image: model(image, training=False), input_signature=signature).get_concrete_function()
    images = np.random.default_rng(0).uniform(-1, 1, (4, 1, 24, 24, 3)).astype(np.float32)
    expected = np.concatenate([model(image, training=False).numpy() for image in images])
    for precision, target, limit in (
        (ct.precision.FLOAT32, ct.target.macOS12, 3e-6),
        (ct.precision.FLOAT16, ct.target.macOS15, 1e-2),
    ):
        converted = ct.convert(
            [traced],
            source="tensorflow",
            convert_to="mlprogram",
            compute_precision=precision,
            minimum_deployment_target=target,
            skip_model_load=True,
        )
        package = tmp_path / f"{precision.value}.mlpackage"
        converted.save(str(package))
        runtime = ReferenceRuntime.load(package, threads=1)
        actual = np.concatenate([runtime.predict({"image": image})[runtime.outputs[0]] for image in images])
        assert np.abs(actual - expected).max() < limit * np.ptp(expected)
