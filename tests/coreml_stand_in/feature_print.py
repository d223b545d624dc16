"""The stand-in's ``visionFeaturePrint``: features that depend on nothing but the pixels, and pipelines that use them.

Its features are made up: projections of the means of an image's blocks, which tell colours apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

GRID = 6
VERSIONS = {1: (299, 2048), 2: (360, 768)}
"""The side of the image and the number of features of each version of the scene print."""


def load_feature_print(source: Path, spec: Any) -> FeaturePrintModel:
    """Return the model of a specification that is a feature print, or a pipeline that begins with one."""
    stages = list(spec.pipelineClassifier.pipeline.models) or [spec]
    if stages[0].WhichOneof("Type") != "visionFeaturePrint":
        raise NotImplementedError("The stand-in executes no pipelines but those that begin with a feature print.")
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
    side, length = VERSIONS[version]
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
