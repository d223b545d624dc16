"""Feature extractors as plain data: read from the Keras HDF5 file that Turi Create uses, written as ONNX.

Turi Create on Linux keeps each extractor as ``<name>-TuriCreate-6.0.h5``: a functional Keras model, float32
pixels (N, H, W, 3) from 0 to 255 in, one feature vector per image out. Reading that very file, without
TensorFlow, means that our extraction runs the network that Turi Create would run.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.types import CoremlbenchError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = Mapping[str, npt.NDArray[np.float32]]


class UnreadableNetworkError(CoremlbenchError):
    """A file that is no extractor, or one with a layer that is not known here."""


@dataclass(frozen=True)
class Layer:
    """One layer: its Keras class, the layers it reads, its Keras settings and its weights (HWIO kernels)."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: Mapping[str, Any]
    weights: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A feature extractor: layers in the order they run, fed pixels of ``size`` = (height, width)."""

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
        UnreadableNetworkError: the file is no Keras model, or it holds a layer not in ``KINDS``.
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
    for each in layers:
        if each.kind not in KINDS:
            raise UnreadableNetworkError(
                f"Layer {each.name} of {path.name} is a {each.kind}, which the pipelined extraction does not know; "
                "use --extraction turicreate."
            )
    entry = next(each for each in layers if each.kind == "InputLayer")
    _, height, width, _ = entry.settings["batch_input_shape"]
    return Network((height, width), layers, entry.name, config["output_layers"][0][0])


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _weight_key(name: str) -> str:
    """Return "kernel" for "conv1/kernel:0": what a weight is called whatever its layer."""
    return name.rsplit("/", 1)[-1].split(":", 1)[0]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding of one axis, before and after: the odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def write_onnx(network: Network, path: Path, *, bgr: bool) -> None:
    """Write the network as an ONNX file: uint8 "pixels" (N, H, W, 3) RGB in, float32 "features" (N, F) out.

    A network that expects BGR gets the input channels of its first convolutions turned round instead, which
    costs nothing when it runs.
    """
    import onnx

    onnx.save(to_onnx(network, bgr=bgr), str(path))


def to_onnx(network: Network, *, bgr: bool) -> Any:
    """Return the network as an ``onnx.ModelProto``; see ``write_onnx``."""
    from onnx import TensorProto, checker, helper

    graph = _OnnxGraph()
    height, width = network.size
    graph.node("Cast", ["pixels"], "pixels/float", to=TensorProto.FLOAT)
    graph.node("Transpose", ["pixels/float"], network.input, perm=[0, 3, 1, 2])
    # Channels-first tensors by layer name, and the spatial size of each, which "same" padding needs.
    graph.sizes[network.input] = (height, width)
    for layer in network.layers:
        if layer.kind != "InputLayer":
            _add_onnx(graph, layer, reverse_input=bgr and layer.inputs == (network.input,))
    graph.node("Flatten", [network.output], "features", axis=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "extractor",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["images", height, width, 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["images", None])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    checker.check_model(model)
    return model


class _OnnxGraph:
    """The nodes and constants collected so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.sizes: dict[str, tuple[int, int]] = {}

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(value, name))
        return name


def _add_onnx(graph: _OnnxGraph, layer: Layer, *, reverse_input: bool) -> None:
    source = layer.inputs[0]
    size = graph.sizes.get(source, (1, 1))
    settings = layer.settings
    if layer.kind == "Conv2D":
        size = _add_convolution(graph, layer, size, reverse_input=reverse_input)
    elif layer.kind in ("MaxPooling2D", "AveragePooling2D"):
        op = "MaxPool" if layer.kind == "MaxPooling2D" else "AveragePool"
        pads, out = _window(size, settings["pool_size"], settings["strides"], settings["padding"])
        graph.node(op, [source], layer.name, kernel_shape=settings["pool_size"], strides=settings["strides"], pads=pads)
        size = out
    elif layer.kind == "BatchNormalization":
        names = [
            graph.constant(f"{layer.name}/{key}", layer.weights[key])
            for key in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        graph.node("BatchNormalization", [source, *names], layer.name, epsilon=settings["epsilon"])
    elif layer.kind == "ZeroPadding2D":
        (top, bottom), (left, right) = settings["padding"]
        import numpy as np

        pads = graph.constant(f"{layer.name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
        graph.node("Pad", [source, pads], layer.name)
        size = (size[0] + top + bottom, size[1] + left + right)
    elif layer.kind == "Add":
        _add_sum(graph, layer)
    elif layer.kind == "Concatenate":
        graph.node("Concat", list(layer.inputs), layer.name, axis=1)
    elif layer.kind == "GlobalAveragePooling2D":
        graph.node("GlobalAveragePool", [source], layer.name)
        size = (1, 1)
    elif layer.kind in ("Activation", "ReLU"):
        _activate(graph, source, layer.name, settings.get("activation", "relu"), layer)
    else:  # Dropout does nothing when it predicts; Flatten and Reshape only end the network, which is flattened
        graph.node("Identity", [source], layer.name)
    graph.sizes[layer.name] = size


def _add_sum(graph: _OnnxGraph, layer: Layer) -> None:
    total = layer.inputs[0]
    for index, term in enumerate(layer.inputs[1:], start=2):
        last = index == len(layer.inputs)
        total = graph.node("Add", [total, term], layer.name if last else f"{layer.name}/{index}")


def _add_convolution(graph: _OnnxGraph, layer: Layer, size: tuple[int, int], *, reverse_input: bool) -> tuple[int, int]:
    """Add a convolution and its activation; return the size it leaves."""
    import numpy as np

    settings = layer.settings
    kernel = layer.weights["kernel"]
    if reverse_input:
        kernel = kernel[:, :, ::-1, :]
    inputs = [
        layer.inputs[0],
        graph.constant(f"{layer.name}/kernel", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))),
    ]
    if "bias" in layer.weights:
        inputs.append(graph.constant(f"{layer.name}/bias", layer.weights["bias"]))
    pads, out = _window(size, kernel.shape[:2], settings["strides"], settings["padding"], settings["dilation_rate"])
    activation = settings.get("activation", "linear")
    raw = layer.name if activation == "linear" else f"{layer.name}/linear"
    graph.node(
        "Conv",
        inputs,
        raw,
        kernel_shape=list(kernel.shape[:2]),
        strides=list(settings["strides"]),
        dilations=list(settings["dilation_rate"]),
        group=settings.get("groups", 1),
        pads=pads,
    )
    if raw != layer.name:
        _activate(graph, raw, layer.name, activation, layer)
    return out


def _activate(graph: _OnnxGraph, source: str, output: str, activation: str, layer: Layer) -> None:
    plain_relu = not (layer.settings.get("max_value") or layer.settings.get("negative_slope"))
    if activation != "relu" or not plain_relu:
        raise UnreadableNetworkError(
            f"Layer {layer.name} has the activation {activation}, which the pipelined extraction does not know; "
            "use --extraction turicreate."
        )
    graph.node("Relu", [source], output)


def _window(
    size: tuple[int, int], kernel: Any, strides: Any, padding: str, dilation: Any = (1, 1)
) -> tuple[list[int], tuple[int, int]]:
    """Return ONNX's pads (top, left, bottom, right) of a sliding window, and the size it leaves."""
    begins, ends, out = [], [], []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        before, after = same_padding(size[axis], reach, strides[axis]) if padding == "same" else (0, 0)
        begins.append(before)
        ends.append(after)
        out.append((size[axis] + before + after - reach) // strides[axis] + 1)
    return [*begins, *ends], (out[0], out[1])


# --- SqueezeNet v1.1 ----------------------------------------------------------------------------------------

SQUEEZENET_MEAN_BGR = (104.0, 117.0, 123.0)
"""What the Caffe original subtracts from its pixels, channel by channel (SqueezeNet v1.1, train_val.prototxt)."""

_FIRE = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}
_POOLED_BEFORE = {4: "pool3", 6: "pool5"}


def squeezenet(weights: Path) -> Network:
    """Return SqueezeNet v1.1 up to its 1000 pooled features, from keras-squeezenet's weights file.

    The layers are those of the paper's Caffe original (Iandola et al., 2016, arXiv:1602.07360). Caffe rounds the
    size of a pooling up, hence "same" on the poolings where that matters. The mean is folded into the first bias,
    which is exact because that convolution pads nothing.
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
            for branch in ("expand1x1", "expand3x3"):
                layers.append(_convolution(f"{fire}/{branch}", squeeze, arrays(f"{fire}/{branch}"), padding="same"))
            last = f"{fire}/concat"
            layers.append(Layer(last, "Concatenate", (f"{fire}/expand1x1", f"{fire}/expand3x3"), {"axis": -1}))
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


def write_keras(network: Network, path: Path) -> None:
    """Write the network as the Keras 2 HDF5 model that Turi Create loads; the same bytes for the same network."""
    import h5py
    import numpy as np

    config = {
        "class_name": "Model",
        "config": {
            "name": "extractor",
            "layers": [
                {
                    "name": layer.name,
                    "class_name": layer.kind,
                    "config": {"name": layer.name, **layer.settings},
                    "inbound_nodes": [[[source, 0, 0, {}] for source in layer.inputs]] if layer.inputs else [],
                }
                for layer in network.layers
            ],
            "input_layers": [[network.input, 0, 0]],
            "output_layers": [[network.output, 0, 0]],
        },
    }
    with h5py.File(path, "w", track_order=True) as file:
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
    """Return a hash of what the network computes, the same whatever file it was read from."""
    import hashlib

    import numpy as np

    digest = hashlib.sha256()
    for layer in network.layers:
        digest.update(f"{layer.kind} {layer.name} {layer.inputs}\n".encode())
        for key in sorted(layer.weights):
            array = np.ascontiguousarray(layer.weights[key])
            digest.update(struct.pack(f"<{array.ndim}q", *array.shape) + array.tobytes())
    return digest.hexdigest()
