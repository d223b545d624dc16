"""Files of Keras 2, made by ``tf_keras``, and the predictions of their models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Keras2File:
    """A saved model; ``predict`` returns what Keras 2 predicts, (n, values)."""

    path: Path
    model: Any

    def predict(self, samples: npt.NDArray[Any]) -> Array:
        return np.asarray(self.model.predict(samples.astype(np.float32), verbose=0)).reshape(len(samples), -1)


def save(model: Any, path: Path, *, version: str | None = "2.9.0") -> Keras2File:
    """Save a model; an HDF5 file names ``version`` of Keras, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # HDF5 is called legacy
        model.save(path)
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            del file.attrs["keras_version"]
            if version is not None:
                file.attrs["keras_version"] = version
    return Keras2File(path, model)


def sequential(shape: tuple[int, ...], layers: Callable[[Any], Sequence[Any]]) -> Any:
    """Return a model with weights of seed 0; ``layers`` returns its layers from the module ``tf_keras.layers``."""
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    return tf_keras.Sequential([tf_keras.Input(shape), *layers(tf_keras.layers)])


def teachable_machine(folder: Path, labels: str) -> Keras2File:
    """Save a small model of the form and the names that Teachable Machine gives its own, with a ``labels.txt``."""
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    image = tf_keras.Input((24, 24, 3))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, use_bias=False)(image)))
    network = tf_keras.Model(image, layers.DepthwiseConv2D(3)(x), name="model1")
    pooling = layers.GlobalAveragePooling2D(name="global_average_pooling2d_GlobalAveragePooling2D1")
    head = [layers.Dense(16, activation="relu", name="dense_Dense1", input_shape=(8,))]
    head += [layers.Dense(3, activation="softmax", use_bias=False, name="dense_Dense2")]
    parts = [tf_keras.Sequential([network, pooling], name="sequential_1"), tf_keras.Sequential(head)]
    model = tf_keras.Sequential(parts)
    model.build((None, 24, 24, 3))
    model.get_layer(index=1).layers[-1].set_weights([20 * np.random.default_rng(0).normal(size=(16, 3))])
    saved = save(model, folder / "keras_model.h5", version="2.7.0")
    (folder / "labels.txt").write_text(labels, encoding="utf-8")
    return saved
