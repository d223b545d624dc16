"""The trained classifier as the Core ML pipeline that Create ML writes: Apple's extractor, then a linear classifier.

The linear classifier (``glmClassifier``) holds the regression's own float64 weights; its first class is the reference
class, as it is for Turi Create's solver.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coremlbench.createml.classifier import IMAGE_INPUT, Head
from coremlbench.createml.vision_feature_print import Scene, build_extractor
from coremlbench.types.errors import InputError

LABEL_OUTPUT, PROBABILITIES_OUTPUT = "classLabel", "classLabel_probs"
"""The outputs of every classifier that a Create ML run saves."""

FEATURES = "features"
"""What the two models of the pipeline hand over."""

LINEAR_SPECIFICATION = 1
"""The version of Core ML's model format that has linear classifiers: the first one."""


def build_pipeline(
    head: Head, scene: Scene, *, description: str = "", metadata: Mapping[str, str] | None = None
) -> Any:
    """Return the specification (``Model``) of the pipeline.

    The input is ``image`` in BGR order and of the extractor's size, the outputs are ``classLabel`` and
    ``classLabel_probs``.
    """
    from coremltools.proto import FeatureTypes_pb2, Model_pb2

    pipeline = Model_pb2.Model()
    pipeline.specificationVersion = scene.specification
    extractor = build_extractor(scene, input_name=IMAGE_INPUT, output_name=FEATURES)
    linear = Model_pb2.Model()
    linear.specificationVersion = LINEAR_SPECIFICATION
    linear.description.input.add().CopyFrom(extractor.description.output[0])
    _fill_linear_classifier(linear.glmClassifier, head)
    for model in (pipeline, linear):
        label, probabilities = model.description.output.add(), model.description.output.add()
        label.name, probabilities.name = LABEL_OUTPUT, PROBABILITIES_OUTPUT
        label.type.stringType.CopyFrom(FeatureTypes_pb2.StringFeatureType())
        probabilities.type.dictionaryType.stringKeyType.CopyFrom(FeatureTypes_pb2.StringFeatureType())
        model.description.predictedFeatureName = LABEL_OUTPUT
        model.description.predictedProbabilitiesName = PROBABILITIES_OUTPUT
    pipeline.description.input.add().CopyFrom(extractor.description.input[0])
    pipeline.pipelineClassifier.pipeline.models.extend([extractor, linear])
    _describe(pipeline.description, scene, description, metadata or {})
    return pipeline


def _fill_linear_classifier(linear: Any, head: Head) -> None:
    """Set weights, offsets and classes of a ``GLMClassifier``; the first class's logit is subtracted from all."""
    from coremltools.proto import GLMClassifier_pb2

    linear.postEvaluationTransform = GLMClassifier_pb2.GLMClassifier.Logit
    linear.classEncoding = GLMClassifier_pb2.GLMClassifier.ReferenceClass
    linear.stringClassLabels.vector.extend(head.classes)
    linear.offset.extend(head.bias[1:] - head.bias[0])
    for weights in head.weights[1:] - head.weights[0]:
        linear.weights.add().value.extend(weights)


def _describe(interface: Any, scene: Scene, description: str, metadata: Mapping[str, str]) -> None:
    height, width = scene.size
    interface.input[0].shortDescription = f"An image; Core ML scales it to {width} x {height}."
    interface.output[0].shortDescription = "The most probable class."
    interface.output[1].shortDescription = "The probability of each class."
    interface.metadata.author = "coremlbench"
    interface.metadata.shortDescription = description
    interface.metadata.versionString = "1"
    interface.metadata.userDefined.update(metadata)


def save_pipeline(
    head: Head, scene: Scene, path: Path, *, description: str = "", metadata: Mapping[str, str] | None = None
) -> None:
    """Save the model of ``build_pipeline`` as an .mlmodel, the form in which Create ML saves it."""
    pipeline = build_pipeline(head, scene, description=description, metadata=metadata)
    path.write_bytes(pipeline.SerializeToString(deterministic=True))


def read_pipeline_head(path: Path) -> Head:
    """Return the linear classifier at the end of a saved pipeline; the first class has weights and bias 0.

    Raises:
        InputError: the model does not end with a linear classifier of named classes.
    """
    import numpy as np
    from coremltools.proto import GLMClassifier_pb2, Model_pb2
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

    pipeline = Model_pb2.Model()
    try:
        pipeline.ParseFromString(path.read_bytes())
        linear = pipeline.pipelineClassifier.pipeline.models[-1].glmClassifier
    except (OSError, DecodeError, IndexError) as error:
        raise InputError(f"{path.name} is not a pipeline that ends with a linear classifier.") from error
    weights = np.array([row.value for row in linear.weights])
    classes = tuple(linear.stringClassLabels.vector)
    reference_class = linear.classEncoding == GLMClassifier_pb2.GLMClassifier.ReferenceClass
    if (
        not reference_class
        or weights.ndim != 2
        or len(weights) != len(classes) - 1
        or len(linear.offset) != len(weights)
    ):
        raise InputError(f"{path.name} does not end with a linear classifier whose first class is the reference.")
    return Head(classes, np.vstack([np.zeros_like(weights[:1]), weights]), np.array([0.0, *linear.offset]))
