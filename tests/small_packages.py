"""Small Core ML packages with inputs and expected outputs, for the tests of what executes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.runtimes.reference import ReferenceRuntime
from tests.mil_programs import Builder, ct, types

RANDOM = np.random.default_rng(0)
FILTERS = RANDOM.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float16)
HEAD = RANDOM.normal(0, 0.3, (3, 8)).astype(np.float16)


@dataclass(frozen=True)
class Small:
    """A package, its inputs and the outputs that the reference runtime gives for them."""

    package: Path
    inputs: Path
    expected: Path


def network(folder: Path) -> Small:
    """Return a program of five ops that takes float16 (1, 3, 8, 6) and gives ``scores`` of three numbers."""

    @Builder.program(input_specs=[_input(types.fp16)], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        return Builder.softmax(x=_logits(x), axis=-1, name="scores")

    samples = {"x": RANDOM.normal(0, 1, (3, 1, 3, 8, 6)).astype(np.float16)}
    return _save(folder, "network", _convert(program), samples)


def classifier(folder: Path, labels: Sequence[str | int] = ("dog", "bird", "cat")) -> Small:
    """Return a classifier of pictures of 8x6 (height, width) into three classes."""

    @Builder.program(input_specs=[_input(types.fp32)], opset_version=ct.target.iOS16)
    def program(image: Any) -> Any:
        return Builder.softmax(x=_logits(Builder.cast(x=image, dtype="fp16")), axis=-1)

    model = _convert(
        program,
        inputs=[ct.ImageType(name="image", shape=(1, 3, 8, 6), scale=1 / 127.5, bias=[-1, -1, -1])],
        classifier_config=ct.ClassifierConfig(list(labels)),
    )
    samples = {"image": RANDOM.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)}
    return _save(folder, "classifier", model, samples)


def picture_to_picture(folder: Path, colour: str) -> Small:
    """Return a program from a picture of 8x6 (height, width) to its negative, in a colour space of Core ML."""
    channels = 1 if colour.startswith("GRAYSCALE") else 3

    @Builder.program(
        input_specs=[Builder.TensorSpec(shape=(1, channels, 8, 6), dtype=types.fp32)], opset_version=ct.target.iOS16
    )
    def program(image: Any) -> Any:
        return Builder.sub(x=np.float32(255), y=image, name="negative")

    layout = ct.colorlayout.GRAYSCALE if channels == 1 else ct.colorlayout.RGB
    model = _convert(
        program,
        inputs=[ct.ImageType(name="image", shape=(1, channels, 8, 6), color_layout=layout)],
        compute_precision=ct.precision.FLOAT32,
    )
    spec = model.get_spec()
    kind = spec.description.input[0].type.imageType.ColorSpace.Value(colour)
    spec.description.input[0].type.imageType.colorSpace = kind
    output = spec.description.output[0].type.imageType
    output.width, output.height, output.colorSpace = 6, 8, kind
    model = ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)
    shape = (3, 8, 6) if channels == 1 else (3, 8, 6, 3)
    return _save(folder, "negative", model, {"image": RANDOM.integers(0, 256, shape, dtype=np.uint8)})


def _input(kind: Any) -> Any:
    return Builder.TensorSpec(shape=(1, 3, 8, 6), dtype=kind)


def _logits(x: Any) -> Any:
    x = Builder.relu(x=Builder.conv(x=x, weight=FILTERS, pad_type="same"))
    return Builder.linear(x=Builder.reduce_mean(x=x, axes=[2, 3], keep_dims=False), weight=HEAD)


def _convert(program: Any, **settings: Any) -> Any:
    return ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        skip_model_load=True,
        **settings,
    )


def _save(folder: Path, name: str, model: Any, samples: dict[str, np.ndarray]) -> Small:
    from coremlbench.runtimes.core_ml_values import numeric_outputs

    small = Small(folder / f"{name}.mlpackage", folder / f"{name}-inputs.npz", folder / f"{name}-expected.npz")
    model.save(str(small.package))
    runtime = ReferenceRuntime.load(small.package, threads=1)
    count = len(next(iter(samples.values())))
    outputs = [
        numeric_outputs(runtime.predict({key: value[index] for key, value in samples.items()}))
        for index in range(count)
    ]
    np.savez(small.inputs, **samples)  # type: ignore[arg-type]  # its other parameter is not among the names
    expected = {key: np.stack([each[key] for each in outputs]) for key in outputs[0]}
    np.savez(small.expected, **expected)  # type: ignore[arg-type]  # as above
    return small
