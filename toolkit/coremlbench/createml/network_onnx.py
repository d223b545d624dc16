"""A feature extractor as an ONNX graph: one small function for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coremlbench.createml.network import Layer, Network, UnreadableNetworkError, same_padding

Size = tuple[int, int]

OPSET = 17
IR_VERSION = 8


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

    graph = Graph(reverse_input=network.input if bgr else None)
    height, width = network.size
    graph.node("Cast", ["pixels"], "pixels/float", to=TensorProto.FLOAT)
    graph.node("Transpose", ["pixels/float"], network.input, perm=[0, 3, 1, 2])
    graph.sizes[network.input] = network.size
    for layer in network.layers:
        if layer.kind != "InputLayer":
            graph.sizes[layer.name] = LAYERS[layer.kind](graph, layer)
    graph.node("Flatten", [network.output], "features", axis=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "extractor",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["images", height, width, 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["images", None])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return model


class Graph:
    """What has been added so far: nodes, constants, and each layer's (height, width), which "same" padding needs.

    ``reverse_input`` names the input whose channels are to be read in reverse.
    """

    def __init__(self, *, reverse_input: str | None) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.sizes: dict[str, Size] = {}
        self.reverse_input = reverse_input

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """Add an array and return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def size(self, layer: Layer) -> Size:
        """Return the (height, width) that a layer reads."""
        return self.sizes[layer.inputs[0]]


def _convolution(graph: Graph, layer: Layer) -> Size:
    import numpy as np

    settings, kernel = layer.settings, layer.weights["kernel"]
    if layer.inputs[0] == graph.reverse_input:
        kernel = kernel[:, :, ::-1, :]
    inputs = [
        layer.inputs[0],
        graph.constant(f"{layer.name}/kernel", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))),
    ]
    if "bias" in layer.weights:
        inputs.append(graph.constant(f"{layer.name}/bias", layer.weights["bias"]))
    pads, size = _window(
        graph.size(layer), kernel.shape[:2], settings["strides"], settings["padding"], settings["dilation_rate"]
    )
    activation = settings.get("activation", "linear")
    output = graph.node(
        "Conv",
        inputs,
        layer.name if activation == "linear" else f"{layer.name}/linear",
        kernel_shape=list(kernel.shape[:2]),
        strides=list(settings["strides"]),
        dilations=list(settings["dilation_rate"]),
        group=settings.get("groups", 1),
        pads=pads,
    )
    if output != layer.name:
        _relu(graph, layer, output, activation)
    return size


def _pooling(op: str) -> Callable[[Graph, Layer], Size]:
    def add(graph: Graph, layer: Layer) -> Size:
        settings = layer.settings
        pads, size = _window(graph.size(layer), settings["pool_size"], settings["strides"], settings["padding"])
        graph.node(
            op, layer.inputs, layer.name, kernel_shape=settings["pool_size"], strides=settings["strides"], pads=pads
        )
        return size

    return add


def _batch_normalization(graph: Graph, layer: Layer) -> Size:
    names = [
        graph.constant(f"{layer.name}/{key}", layer.weights[key])
        for key in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    graph.node("BatchNormalization", [layer.inputs[0], *names], layer.name, epsilon=layer.settings["epsilon"])
    return graph.size(layer)


def _zero_padding(graph: Graph, layer: Layer) -> Size:
    import numpy as np

    (top, bottom), (left, right) = layer.settings["padding"]
    pads = graph.constant(f"{layer.name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    graph.node("Pad", [layer.inputs[0], pads], layer.name)
    height, width = graph.size(layer)
    return height + top + bottom, width + left + right


def _sum(graph: Graph, layer: Layer) -> Size:
    graph.node("Add" if len(layer.inputs) == 2 else "Sum", layer.inputs, layer.name)
    return graph.size(layer)


def _concatenate(graph: Graph, layer: Layer) -> Size:
    graph.node("Concat", layer.inputs, layer.name, axis=1)
    return graph.size(layer)


def _global_average(graph: Graph, layer: Layer) -> Size:
    graph.node("GlobalAveragePool", layer.inputs, layer.name)
    return 1, 1


def _activation(graph: Graph, layer: Layer) -> Size:
    _relu(graph, layer, layer.inputs[0], layer.settings.get("activation", "relu"))
    return graph.size(layer)


def _nothing(graph: Graph, layer: Layer) -> Size:
    """Add nothing: dropout does nothing when it predicts, and flattening only ends a network that is flattened."""
    graph.node("Identity", layer.inputs, layer.name)
    return graph.size(layer)


LAYERS: dict[str, Callable[[Graph, Layer], Size]] = {
    "Activation": _activation,
    "Add": _sum,
    "AveragePooling2D": _pooling("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dropout": _nothing,
    "Flatten": _nothing,
    "GlobalAveragePooling2D": _global_average,
    "MaxPooling2D": _pooling("MaxPool"),
    "ReLU": _activation,
    "Reshape": _nothing,
    "ZeroPadding2D": _zero_padding,
}


def _relu(graph: Graph, layer: Layer, source: str, activation: str) -> None:
    bent = layer.settings.get("max_value") or layer.settings.get("negative_slope")
    if activation != "relu" or bent:
        raise UnreadableNetworkError(
            f"Layer {layer.name} has the activation {activation}, which the pipelined extraction does not know; "
            "use --extraction turicreate."
        )
    graph.node("Relu", [source], layer.name)


def _window(
    size: Size, kernel: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int] = (1, 1)
) -> tuple[list[int], Size]:
    """Return ONNX's pads (top, left, bottom, right) of a sliding window, and the size it leaves."""
    begins, ends, left = [], [], []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        before, after = same_padding(size[axis], reach, strides[axis]) if padding == "same" else (0, 0)
        begins.append(before)
        ends.append(after)
        left.append((size[axis] + before + after - reach) // strides[axis] + 1)
    return [*begins, *ends], (left[0], left[1])
