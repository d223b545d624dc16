"""The classifier of a Create ML run as a Core ML model: the extractor's network with the trained head on top."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coremlbench.network import Layer, Network, same_padding

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Precision = Literal["float16", "float32"]

IMAGE_INPUT = "image"


@dataclass(frozen=True)
class Head:
    """A logistic regression: ``weights`` (classes, features) and ``bias`` (classes,), and the names by row."""

    classes: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def logits(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return (images, classes) logits of (images, features)."""
        return features @ self.weights.T + self.bias


def read_head(classes: Sequence[str], coefficients: Mapping[str, Sequence[float]], length: int) -> Head:
    """Return the head from Turi Create's coefficients: by label, the intercept first; label 0 is the reference.

    In a multinomial logistic regression with a reference class, that class's logit is 0 by definition.
    """
    import numpy as np

    weights = np.zeros((len(classes), length))
    bias = np.zeros(len(classes))
    for label, (intercept, *values) in coefficients.items():
        bias[int(label)] = intercept
        weights[int(label)] = values
    return Head(tuple(classes), weights, bias)


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
    """Save the network and its head as a Core ML image classifier (.mlpackage).

    Input ``image`` (RGB, the extractor's size); outputs ``classLabel`` and ``classLabel_probs``. The head keeps
    float32: its logits are sums of a thousand products and would lose the order of close classes in float16, and it
    costs nothing beside the network.
    """
    import coremltools as ct

    program = build_program(network, head, bgr=bgr)
    height, width = network.size
    compute_precision = (
        ct.precision.FLOAT32
        if precision == "float32"
        else ct.transform.FP16ComputePrecision(op_selector=lambda op: not op.name.startswith("head"))
    )
    model = ct.convert(
        program,
        convert_to="mlprogram",
        inputs=[ct.ImageType(name=IMAGE_INPUT, shape=(1, 3, height, width), color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(list(head.classes), predicted_feature_name="classLabel"),
        compute_precision=compute_precision,
        minimum_deployment_target=ct.target.macOS12,
        skip_model_load=True,
    )
    model.author = "coremlbench"
    model.license = ""
    model.short_description = description
    model.version = "1"
    model.input_description[IMAGE_INPUT] = f"An image; Core ML scales it to {width} x {height}."
    for key, value in metadata.items():
        model.user_defined_metadata[key] = value
    partial = path.with_name(f"partial-{path.name}")  # coremltools wants the suffix
    shutil.rmtree(partial, ignore_errors=True)
    model.save(str(partial))
    partial.rename(path)


def build_program(network: Network, head: Head, *, bgr: bool) -> Any:
    """Return the ML Program of the network and the head; its input is (1, 3, H, W) float32, 0 to 255, RGB."""
    import numpy as np
    from coremltools.converters.mil import Builder as mb  # noqa: N813  its own documentation's name

    height, width = network.size

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, height, width))])  # type: ignore[untyped-decorator]
    def program(image: Any) -> Any:
        values = {network.input: image}
        for layer in network.layers:
            if layer.kind != "InputLayer":
                values[layer.name] = _mil(mb, layer, values, reverse_input=bgr and layer.inputs == (network.input,))
        features = mb.reshape(x=values[network.output], shape=[1, -1], name="features")
        logits = mb.linear(
            x=features,
            weight=head.weights.astype(np.float32),
            bias=head.bias.astype(np.float32),
            name="head_logits",
        )
        return mb.softmax(x=logits, axis=-1, name="head_probabilities")

    return program


def _mil(mb: Any, layer: Layer, values: Mapping[str, Any], *, reverse_input: bool) -> Any:
    """Return a layer's output as MIL; the layer kinds are those of ``network.KINDS``."""
    import numpy as np

    sources = [values[name] for name in layer.inputs]
    x, settings, name = sources[0], layer.settings, layer.name.replace("/", "_")
    if layer.kind == "Conv2D":
        kernel = layer.weights["kernel"][:, :, ::-1, :] if reverse_input else layer.weights["kernel"]
        x = mb.conv(
            x=x,
            weight=np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)),
            bias=layer.weights.get("bias"),
            strides=settings["strides"],
            dilations=settings["dilation_rate"],
            groups=settings.get("groups", 1),
            **_mil_padding(x, kernel.shape[:2], settings),
            name=name,
        )
        return x if settings.get("activation", "linear") == "linear" else mb.relu(x=x, name=f"{name}_relu")
    if layer.kind in ("MaxPooling2D", "AveragePooling2D"):
        window = {"x": x, "kernel_sizes": settings["pool_size"], "strides": settings["strides"], "name": name}
        padding = _mil_padding(x, settings["pool_size"], settings)
        if layer.kind == "MaxPooling2D":
            return mb.max_pool(**window, **padding)
        return mb.avg_pool(**window, **padding, exclude_padding_from_average=True)
    if layer.kind == "BatchNormalization":
        weights = layer.weights
        return mb.batch_norm(
            x=x,
            mean=weights["moving_mean"],
            variance=weights["moving_variance"],
            gamma=weights["gamma"],
            beta=weights["beta"],
            epsilon=np.float32(settings["epsilon"]),
            name=name,
        )
    if layer.kind == "ZeroPadding2D":
        (top, bottom), (left, right) = settings["padding"]
        return mb.pad(x=x, pad=[0, 0, 0, 0, top, bottom, left, right], mode="constant", constant_val=0.0, name=name)
    if layer.kind == "Add":
        for index, other in enumerate(sources[1:], start=2):
            x = mb.add(x=x, y=other, name=name if index == len(sources) else f"{name}_{index}")
        return x
    if layer.kind == "Concatenate":
        return mb.concat(values=sources, axis=1, name=name)
    if layer.kind == "GlobalAveragePooling2D":
        return mb.reduce_mean(x=x, axes=[2, 3], keep_dims=False, name=name)
    if layer.kind in ("Activation", "ReLU"):
        return mb.relu(x=x, name=name)
    return mb.identity(x=x, name=name)


def _mil_padding(x: Any, kernel: Sequence[int], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return MIL's padding of a window; "same" is spelt out, with TensorFlow's odd pixel after."""
    if settings["padding"] == "valid":
        return {"pad_type": "valid"}
    dilation = settings.get("dilation_rate", (1, 1))
    pads: list[int] = []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        pads += same_padding(int(x.shape[2 + axis]), reach, settings["strides"][axis])
    return {"pad_type": "custom", "pad": pads}
