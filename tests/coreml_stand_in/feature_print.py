"""The stand-in's ``visionFeaturePrint``: features that depend on nothing but the pixels, and pipelines that use them.

Its features are made up: projections of the means of an image's blocks, which tell colours apart. What is checked is
what Core ML checks: the size of the image, and whether the version of macOS has the version of the layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.coreml_stand_in import Behaviour

MODEL_FILE = "model.mlmodel"
"""The specification in a compiled model that was made from an .mlmodel."""
GRID = 6
VERSIONS = {1: ((10, 14), 299, 2048), 2: ((14, 0), 360, 768)}
"""The first macOS, the side of the image and the number of features of each version of the scene print."""


def load_feature_print(compiled: Path, behaviour: Behaviour) -> FeaturePrintModel | None:
    """Return the model that a compiled one holds, if it is a feature print or a pipeline that begins with one."""
    from coremltools.proto import Model_pb2

    file = compiled / MODEL_FILE
    if not file.exists():
        return None
    model = Model_pb2.Model.FromString(file.read_bytes())
    stages = list(model.pipelineClassifier.pipeline.models) or [model]
    if stages[0].WhichOneof("Type") != "visionFeaturePrint":
        return None
    first = VERSIONS[stages[0].visionFeaturePrint.scene.version][0]
    if behaviour.macos < first:
        raise RuntimeError(f"Unsupported scene version; it needs macOS {first[0]}.")
    return FeaturePrintModel(stages)


class FeaturePrintModel:
    """A feature print, alone or with a linear classifier behind it."""

    def __init__(self, stages: list[Any]) -> None:
        self._print, *self._rest = stages

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        (name,) = (feature.name for feature in self._print.description.input)
        version = self._print.visionFeaturePrint.scene.version
        values: dict[str, Any] = {self._print.description.output[0].name: scene_print(inputs[name], version)}
        for stage in self._rest:
            values = linear_classifier(stage, values)
        return values


def scene_print(image: Any, version: int) -> np.ndarray:
    """Return the features of a Pillow image."""
    _, side, length = VERSIONS[version]
    if image.size != (side, side) or image.mode != "RGB":
        raise ValueError(f"Image size {image.width} x {image.height} ({image.mode}) is not in the allowed set.")
    pixels = np.asarray(image, np.float64) / 255
    edges = np.linspace(0, side, GRID + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(pixels, edges, axis=0), edges, axis=1)
    blocks = sums.reshape(-1) * (GRID / side) ** 2
    features: np.ndarray = np.maximum(blocks @ _projection(version, blocks.size, length), 0.0)
    return features


@lru_cache
def _projection(version: int, values: int, length: int) -> np.ndarray:
    return np.random.default_rng(version).normal(0, 1, (values, length))


def linear_classifier(stage: Any, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the outputs of a ``glmClassifier``, whose first class is the reference: its logit is 0."""
    linear = stage.glmClassifier
    features = values[stage.description.input[0].name]
    logits = [0.0] + [
        float(np.dot(row.value, features)) + offset for row, offset in zip(linear.weights, linear.offset, strict=True)
    ]
    powers = np.exp(np.array(logits) - max(logits))
    labels = list(linear.stringClassLabels.vector)
    probabilities = dict(zip(labels, (powers / powers.sum()).tolist(), strict=True))
    return {
        stage.description.predictedFeatureName: labels[int(np.argmax(logits))],
        stage.description.predictedProbabilitiesName: probabilities,
    }
