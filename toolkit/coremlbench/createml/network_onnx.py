"""Conversion of a feature extractor to ONNX, with one function per kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coremlbench.createml.network import Layer, Network, UnreadableNetworkError, same_padding

Size = tuple[int, int]

OPSET = 17
IR_VERSION = 8


def write_onnx(network: Network, path: Path, *, bgr: bool) -> None:
    """Write the network as an ONNX file that maps uint8 RGB "pixels" (N, H, W, 3) to float32 "features" (N, F).

    If the network expects BGR (``bgr``), the input channels of its first convolutions' kernels are reversed, which
    costs nothing at run time.
    """
    import onnx

    onnx.save(to_onnx(network, bgr=bgr), str(path))


def to_onnx(network: Network, *, bgr: bool) -> Any:
    """Return the network as an ``onnx.ModelProto``; see ``write_onnx``."""
    from onnx import TensorProto, checker, helper

    graph = OnnxGraph(reverse_input=network.input if bgr else None)
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


class OnnxGraph:
    """An ONNX graph under construction: its nodes, its constants, and the output (height, width) of each layer.

    The sizes are needed for "same" padding. ``reverse_input`` is the input whose channels are read in reverse order.
    """

    def __init__(self, *, reverse_input: str | None) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.sizes: dict[str, Size] = {}
        self.reverse_input = reverse_input

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """Add an array; return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def size(self, layer: Layer) -> Size:
        """Return the (height, width) of a layer's input."""
        return self.sizes[layer.inputs[0]]


def _convolution(graph: OnnxGraph, layer: Layer) -> Size:
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
    pads, size = _pads_and_size(
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


def _pooling(op: str) -> Callable[[OnnxGraph, Layer], Size]:
    def add(graph: OnnxGraph, layer: Layer) -> Size:
        settings = layer.settings
        pads, size = _pads_and_size(graph.size(layer), settings["pool_size"], settings["strides"], settings["padding"])
        graph.node(
            op, layer.inputs, layer.name, kernel_shape=settings["pool_size"], strides=settings["strides"], pads=pads
        )
        return size

    return add


def _batch_normalization(graph: OnnxGraph, layer: Layer) -> Size:
    names = [
        graph.constant(f"{layer.name}/{key}", layer.weights[key])
        for key in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    graph.node("BatchNormalization", [layer.inputs[0], *names], layer.name, epsilon=layer.settings["epsilon"])
    return graph.size(layer)


def _zero_padding(graph: OnnxGraph, layer: Layer) -> Size:
    import numpy as np

    (top, bottom), (left, right) = layer.settings["padding"]
    pads = graph.constant(f"{layer.name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    graph.node("Pad", [layer.inputs[0], pads], layer.name)
    height, width = graph.size(layer)
    return height + top + bottom, width + left + right


def _sum(graph: OnnxGraph, layer: Layer) -> Size:
    graph.node("Add" if len(layer.inputs) == 2 else "Sum", layer.inputs, layer.name)
    return graph.size(layer)


def _concatenate(graph: OnnxGraph, layer: Layer) -> Size:
    graph.node("Concat", layer.inputs, layer.name, axis=1)
    return graph.size(layer)


def _global_average(graph: OnnxGraph, layer: Layer) -> Size:
    graph.node("GlobalAveragePool", layer.inputs, layer.name)
    return 1, 1


def _activation(graph: OnnxGraph, layer: Layer) -> Size:
    _relu(graph, layer, layer.inputs[0], layer.settings.get("activation", "relu"))
    return graph.size(layer)


def _identity(graph: OnnxGraph, layer: Layer) -> Size:
    """Add a node that copies its input: for dropout, and for a final flattening, as the graph's output is flattened."""
    graph.node("Identity", layer.inputs, layer.name)
    return graph.size(layer)


LAYERS: dict[str, Callable[[OnnxGraph, Layer], Size]] = {
    "Activation": _activation,
    "Add": _sum,
    "AveragePooling2D": _pooling("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dropout": _identity,
    "Flatten": _identity,
    "GlobalAveragePooling2D": _global_average,
    "MaxPooling2D": _pooling("MaxPool"),
    "ReLU": _activation,
    "Reshape": _identity,
    "ZeroPadding2D": _zero_padding,
}


def _relu(graph: OnnxGraph, layer: Layer, source: str, activation: str) -> None:
    is_modified = layer.settings.get("max_value") or layer.settings.get("negative_slope")
    if activation != "relu" or is_modified:
        raise UnreadableNetworkError(
            f"Layer {layer.name} has the activation {activation}, which the pipelined extraction does not know; "
            "use --extraction turicreate."
        )
    graph.node("Relu", [source], layer.name)


def _pads_and_size(
    size: Size, kernel: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int] = (1, 1)
) -> tuple[list[int], Size]:
    """Return ONNX's pads (top, left, bottom, right) of a sliding window, and the (height, width) of its output."""
    begins, ends, output = [], [], []
    for axis in (0, 1):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        before, after = same_padding(size[axis], extent, strides[axis]) if padding == "same" else (0, 0)
        begins.append(before)
        ends.append(after)
        output.append((size[axis] + before + after - extent) // strides[axis] + 1)
    return [*begins, *ends], (output[0], output[1])
