"""The trained classifier as a Core ML model: the feature extractor followed by a logistic regression (the head)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coremlbench.createml.network import Layer, Network, same_padding
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Precision = Literal["float16", "float32"]

IMAGE_INPUT = "image"


@dataclass(frozen=True)
class Head:
    """A multinomial logistic regression: class names, ``weights`` (classes, features) and ``bias`` (classes,)."""

    classes: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def logits(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the logits (images, classes) of features (images, features)."""
        return features @ self.weights.T + self.bias


def read_head(classes: Sequence[str], coefficients: Mapping[str, Sequence[float]], length: int) -> Head:
    """Return the head from Turi Create's coefficients, {label: [intercept, one weight per feature...]}.

    Label 0 is the reference class and has no coefficients: its logit is 0 by definition. ``length`` is the number of
    features.
    """
    import numpy as np

    weights = np.zeros((len(classes), length))
    bias = np.zeros(len(classes))
    for label, (intercept, *values) in coefficients.items():
        bias[int(label)] = intercept
        weights[int(label)] = values
    return Head(tuple(classes), weights, bias)


def load_head(folder: Path) -> Head:
    """Return the classifier that a run saved in ``head.npz`` of its folder.

    Raises:
        InputError: it is missing or damaged.
    """
    import numpy as np

    try:
        with np.load(folder / "head.npz", allow_pickle=False) as file:
            return Head(tuple(str(name) for name in file["classes"]), file["weights"], file["bias"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The classifier of the run {folder.name} cannot be read (head.npz: {error}); run createml again."
        ) from error


def save_classifier(
    network: Network,
    head: Head,
    path: Path,
    *,
    bgr: bool,
    description: str,
    metadata: Mapping[str, str],
    precision: Precision = "float16",
) -> None:
    """Save the model of ``build_classifier`` as an .mlpackage at ``path``, with description and metadata."""
    model = build_classifier(network, head, bgr=bgr, precision=precision)
    height, width = network.size
    model.author = "coremlbench"
    model.license = ""
    model.short_description = description
    model.version = "1"
    model.input_description[IMAGE_INPUT] = f"An image; Core ML scales it to {width} x {height}."
    for key, value in metadata.items():
        model.user_defined_metadata[key] = value
    partial = path.with_name(f"partial-{path.name}")  # coremltools requires the suffix .mlpackage
    shutil.rmtree(partial, ignore_errors=True)
    model.save(str(partial))
    partial.rename(path)


def build_classifier(
    network: Network, head: Head, *, bgr: bool, precision: Precision = "float16", target: str = "macOS12"
) -> Any:
    """Return the network and its head as a coremltools ``MLModel``.

    The input is ``image`` (RGB, of the extractor's size), the outputs are ``classLabel`` and ``classLabel_probs``. The
    head always computes in float32: its logits are sums of a thousand products, whose rounding in float16 could swap
    close classes, and its cost is negligible. ``target`` is the minimum deployment target.
    """
    import coremltools as ct

    height, width = network.size
    compute_precision = (
        ct.precision.FLOAT32
        if precision == "float32"
        else ct.transform.FP16ComputePrecision(op_selector=lambda op: not op.name.startswith("head"))
    )
    return ct.convert(
        build_program(network, head, bgr=bgr),
        convert_to="mlprogram",
        inputs=[ct.ImageType(name=IMAGE_INPUT, shape=(1, 3, height, width), color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(list(head.classes), predicted_feature_name="classLabel"),
        compute_precision=compute_precision,
        minimum_deployment_target=getattr(ct.target, target),
        skip_model_load=True,
    )


def build_program(network: Network, head: Head, *, bgr: bool) -> Any:
    """Return the MIL program of network and head; its input is float32 RGB (1, 3, height, width) from 0 to 255."""
    import numpy as np
    from coremltools.converters.mil import Builder as mb  # noqa: N813  the name that coremltools' documentation uses

    height, width = network.size

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, height, width))])  # type: ignore[untyped-decorator]
    def program(image: Any) -> Any:
        values = {network.input: image}
        for layer in network.layers:
            if layer.kind != "InputLayer":
                sources = [values[name] for name in layer.inputs]
                reverse = bgr and layer.inputs == (network.input,)
                values[layer.name] = LAYERS[layer.kind](mb, _with_reversed_input(layer) if reverse else layer, sources)
        features = mb.reshape(x=values[network.output], shape=[1, -1], name="features")
        logits = mb.linear(
            x=features,
            weight=head.weights.astype(np.float32),
            bias=head.bias.astype(np.float32),
            name="head_logits",
        )
        return mb.softmax(x=logits, axis=-1, name="head_probabilities")

    return program


def _with_reversed_input(layer: Layer) -> Layer:
    """Return a convolution with the input channels of its kernel reversed; other layers are returned unchanged."""
    if "kernel" not in layer.weights:
        return layer
    return replace(layer, weights={**layer.weights, "kernel": layer.weights["kernel"][:, :, ::-1, :]})


def _convolution(mb: Any, layer: Layer, sources: Sequence[Any]) -> Any:
    import numpy as np

    settings, kernel = layer.settings, layer.weights["kernel"]
    output = mb.conv(
        x=sources[0],
        weight=np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)),
        bias=layer.weights.get("bias"),
        strides=settings["strides"],
        dilations=settings["dilation_rate"],
        groups=settings.get("groups", 1),
        **_padding(sources[0], kernel.shape[:2], settings),
        name=_name(layer),
    )
    return (
        output if settings.get("activation", "linear") == "linear" else mb.relu(x=output, name=f"{_name(layer)}_relu")
    )


def _max_pooling(mb: Any, layer: Layer, sources: Sequence[Any]) -> Any:
    settings = layer.settings
    return mb.max_pool(
        x=sources[0],
        kernel_sizes=settings["pool_size"],
        strides=settings["strides"],
        **_padding(sources[0], settings["pool_size"], settings),
        name=_name(layer),
    )


def _average_pooling(mb: Any, layer: Layer, sources: Sequence[Any]) -> Any:
    settings = layer.settings
    return mb.avg_pool(
        x=sources[0],
        kernel_sizes=settings["pool_size"],
        strides=settings["strides"],
        **_padding(sources[0], settings["pool_size"], settings),
        exclude_padding_from_average=True,
        name=_name(layer),
    )


def _batch_normalization(mb: Any, layer: Layer, sources: Sequence[Any]) -> Any:
    import numpy as np

    return mb.batch_norm(
        x=sources[0],
        mean=layer.weights["moving_mean"],
        variance=layer.weights["moving_variance"],
        gamma=layer.weights["gamma"],
        beta=layer.weights["beta"],
        epsilon=np.float32(layer.settings["epsilon"]),
        name=_name(layer),
    )


def _zero_padding(mb: Any, layer: Layer, sources: Sequence[Any]) -> Any:
    (top, bottom), (left, right) = layer.settings["padding"]
    pad = [0, 0, 0, 0, top, bottom, left, right]
    return mb.pad(x=sources[0], pad=pad, mode="constant", constant_val=0.0, name=_name(layer))


def _sum(mb: Any, layer: Layer, sources: Sequence[Any]) -> Any:
    total = sources[0]
    for index, term in enumerate(sources[1:], start=2):
        total = mb.add(x=total, y=term, name=_name(layer) + ("" if index == len(sources) else f"_{index}"))
    return total


LAYERS: dict[str, Callable[[Any, Layer, Sequence[Any]], Any]] = {
    "Activation": lambda mb, layer, sources: mb.relu(x=sources[0], name=_name(layer)),
    "Add": _sum,
    "AveragePooling2D": _average_pooling,
    "BatchNormalization": _batch_normalization,
    "Concatenate": lambda mb, layer, sources: mb.concat(values=sources, axis=1, name=_name(layer)),
    "Conv2D": _convolution,
    "Dropout": lambda mb, layer, sources: mb.identity(x=sources[0], name=_name(layer)),
    "Flatten": lambda mb, layer, sources: mb.identity(x=sources[0], name=_name(layer)),
    "GlobalAveragePooling2D": lambda mb, layer, sources: mb.reduce_mean(
        x=sources[0], axes=[2, 3], keep_dims=True, name=_name(layer)
    ),
    "MaxPooling2D": _max_pooling,
    "ReLU": lambda mb, layer, sources: mb.relu(x=sources[0], name=_name(layer)),
    "Reshape": lambda mb, layer, sources: mb.identity(x=sources[0], name=_name(layer)),
    "ZeroPadding2D": _zero_padding,
}
"""Layers to MIL operations. Activations are ReLU: ``network_onnx`` has rejected networks with others."""


def _name(layer: Layer) -> str:
    return layer.name.replace("/", "_")


def _padding(x: Any, kernel: Sequence[int], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return MIL's padding arguments of a window; "same" is given explicitly, as TensorFlow pads an odd pixel after."""
    if settings["padding"] == "valid":
        return {"pad_type": "valid"}
    dilation = settings.get("dilation_rate", (1, 1))
    pads: list[int] = []
    for axis in (0, 1):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        pads += same_padding(int(x.shape[2 + axis]), extent, settings["strides"][axis])
    return {"pad_type": "custom", "pad": pads}
