"""Feature extractors as plain data, read from and written to the Keras HDF5 files that Turi Create uses.

Turi Create on Linux has each extractor as ``<name>-TuriCreate-6.0.h5``: a functional Keras model that maps float32
pixels (N, H, W, 3) from 0 to 255 to one feature vector per image. The pipelined extraction reads the same file, without
TensorFlow, so that it runs the same network.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from coremlbench.types.errors import CoremlbenchError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = Mapping[str, npt.NDArray[np.float32]]


class UnreadableNetworkError(CoremlbenchError):
    """The file is not a Keras model, or has a layer that is not supported."""


@dataclass(frozen=True)
class Layer:
    """A layer: ``kind`` is its Keras class, ``inputs`` are names of layers; kernels in ``weights`` are HWIO."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: Mapping[str, Any]
    weights: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A feature extractor: its layers in order of execution, and ``size``, the (height, width) of its input."""

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    input: str
    output: str


KINDS = (
    "Activation",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "InputLayer",
    "MaxPooling2D",
    "ReLU",
    "Reshape",
    "ZeroPadding2D",
)


def read_network(path: Path) -> Network:
    """Return the network in a Keras HDF5 file.

    Raises:
        UnreadableNetworkError: the file is not a Keras model, or has a layer that is not in ``KINDS``.
    """
    import h5py
    import numpy as np

    try:
        with h5py.File(path, "r") as file:
            config = json.loads(_text(file.attrs["model_config"]))["config"]
            groups = file["model_weights"]
            arrays: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
            for layer in config["layers"]:
                group = groups[layer["name"]]
                arrays[layer["name"]] = {
                    _weight_key(_text(name)): np.asarray(group[_text(name)], dtype=np.float32)
                    for name in group.attrs["weight_names"]
                }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UnreadableNetworkError(
            f"{path} is not a Keras model that can be read ({error}); delete it, so that it is fetched again."
        ) from error

    layers = tuple(
        Layer(
            name=layer["name"],
            kind=layer["class_name"],
            inputs=tuple(node[0] for node in layer["inbound_nodes"][0]) if layer["inbound_nodes"] else (),
            settings=layer["config"],
            weights=arrays[layer["name"]],
        )
        for layer in config["layers"]
    )
    for layer in layers:
        if layer.kind not in KINDS:
            raise UnreadableNetworkError(
                f"Layer {layer.name} of {path.name} is a {layer.kind}, which the pipelined extraction does not know; "
                "use --extraction turicreate."
            )
    entry = next(layer for layer in layers if layer.kind == "InputLayer")
    _, height, width, _ = entry.settings["batch_input_shape"]
    return Network((height, width), layers, entry.name, config["output_layers"][0][0])


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _weight_key(name: str) -> str:
    """Return the weight's name without layer and suffix: "kernel" for "conv1/kernel:0"."""
    return name.rsplit("/", 1)[-1].split(":", 1)[0]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding of an axis as (before, after); an odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# --- SqueezeNet v1.1 ----------------------------------------------------------------------------------------

SQUEEZENET_MEAN_BGR = (104.0, 117.0, 123.0)
"""The mean that the Caffe original subtracts from the pixels (SqueezeNet v1.1, train_val.prototxt)."""

_FIRE = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}
_POOLED_BEFORE = {4: "pool3", 6: "pool5"}


def squeezenet(weights: Path) -> Network:
    """Return SqueezeNet v1.1 up to its 1000 pooled features, with the weights of a keras-squeezenet file.

    The layers are those of the authors' Caffe model (Iandola et al., 2016, arXiv:1602.07360). Caffe rounds the output
    size of a pooling up; "same" padding does the same where it matters. The subtraction of the mean is folded into the
    first bias, which is exact because the first convolution has no padding.
    """
    import h5py
    import numpy as np

    with h5py.File(weights, "r") as file:

        def arrays(name: str) -> dict[str, npt.NDArray[np.float32]]:
            return {
                "kernel": np.asarray(file[name][f"{name}_W:0"], np.float32),
                "bias": np.asarray(file[name][f"{name}_b:0"], np.float32),
            }

        first = arrays("conv1")
        first["bias"] = first["bias"] - np.einsum("hwio,i->o", first["kernel"], np.array(SQUEEZENET_MEAN_BGR)).astype(
            np.float32
        )
        layers = [
            Layer("data", "InputLayer", (), {"batch_input_shape": [None, 227, 227, 3], "dtype": "float32"}),
            _convolution("conv1", "data", first, strides=2),
            _pooling("pool1", "conv1", "valid"),
        ]
        last = "pool1"
        for index in _FIRE:
            if index in _POOLED_BEFORE:
                layers.append(_pooling(_POOLED_BEFORE[index], last, "same"))
                last = _POOLED_BEFORE[index]
            fire = f"fire{index}"
            squeeze = f"{fire}/squeeze1x1"
            layers.append(_convolution(squeeze, last, arrays(squeeze)))
            branches = (f"{fire}/expand1x1", f"{fire}/expand3x3")
            layers += [_convolution(branch, squeeze, arrays(branch), padding="same") for branch in branches]
            last = f"{fire}/concat"
            layers.append(Layer(last, "Concatenate", branches, {"axis": -1}))
        layers.append(_convolution("conv10", last, arrays("conv10")))
    layers.append(Layer("pool10", "GlobalAveragePooling2D", ("conv10",), {"data_format": "channels_last"}))
    return Network((227, 227), tuple(layers), "data", "pool10")


def _convolution(name: str, source: str, weights: Weights, *, strides: int = 1, padding: str = "valid") -> Layer:
    kernel = weights["kernel"]
    return Layer(
        name,
        "Conv2D",
        (source,),
        {
            "filters": int(kernel.shape[3]),
            "kernel_size": [int(side) for side in kernel.shape[:2]],
            "strides": [strides, strides],
            "padding": padding,
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "activation": "relu",
            "use_bias": True,
        },
        weights,
    )


def _pooling(name: str, source: str, padding: str) -> Layer:
    settings = {"pool_size": [3, 3], "strides": [2, 2], "padding": padding, "data_format": "channels_last"}
    return Layer(name, "MaxPooling2D", (source,), settings)


def write_keras(network: Network, target: Path | IO[bytes]) -> None:
    """Write the network to a path or an open file as a Keras 2 HDF5 model that Turi Create can load."""
    import h5py
    import numpy as np

    config: dict[str, Any] = {
        "class_name": "Model",
        "config": {
            "name": "extractor",
            "layers": [
                {
                    "name": layer.name,
                    "class_name": layer.kind,
                    "config": {"name": layer.name} | dict(layer.settings),
                    "inbound_nodes": [[[source, 0, 0, {}] for source in layer.inputs]] if layer.inputs else [],
                }
                for layer in network.layers
            ],
            "input_layers": [[network.input, 0, 0]],
            "output_layers": [[network.output, 0, 0]],
        },
    }
    with h5py.File(target, "w", track_order=True) as file:
        file.attrs["keras_version"] = np.bytes_("2.4.0")
        file.attrs["backend"] = np.bytes_("tensorflow")
        file.attrs["model_config"] = np.bytes_(json.dumps(config).encode())
        root = file.create_group("model_weights", track_order=True)
        root.attrs["layer_names"] = [np.bytes_(layer.name.encode()) for layer in network.layers]
        root.attrs["backend"] = np.bytes_("tensorflow")
        root.attrs["keras_version"] = np.bytes_("2.4.0")
        for layer in network.layers:
            group = root.create_group(layer.name, track_order=True)
            names = [f"{layer.name}/{key}:0" for key in layer.weights]
            group.attrs["weight_names"] = [np.bytes_(name.encode()) for name in names]
            for name, array in zip(names, layer.weights.values(), strict=True):
                group.create_dataset(name, data=array, track_times=False)


def fingerprint(network: Network) -> str:
    """Return a SHA-256 over the network's layers and weights; it does not depend on the file format."""
    import hashlib

    import numpy as np

    digest = hashlib.sha256()
    for layer in network.layers:
        digest.update(f"{layer.kind} {layer.name} {layer.inputs}\n".encode())
        for key in sorted(layer.weights):
            array = np.ascontiguousarray(layer.weights[key])
            digest.update(struct.pack(f"<{array.ndim}q", *array.shape) + array.tobytes())
    return digest.hexdigest()
