"""The pipeline of Apple's extractor and a linear classifier: what is written, field by field, and what it computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from coremlbench.createml.classifier import Head
from coremlbench.createml.head_samples import (
    HEAD_SAMPLES,
    MAX_SAMPLES,
    compare_heads,
    read_head_samples,
    save_head_samples,
)
from coremlbench.createml.vision_classifier import read_pipeline_head, save_pipeline
from coremlbench.createml.vision_feature_print import SCENES
from coremlbench.model_files.core_ml_kinds import core_ml_kind, has_feature_print
from coremlbench.types.errors import InputError
from tests.coreml_stand_in.feature_print import linear_classifier

pytestmark = pytest.mark.tensorflow  # coremltools imports it


def random_head(classes: tuple[str, ...], length: int) -> Head:
    """Return a classifier whose first class is the reference."""
    random = np.random.default_rng(0)
    weights, bias = random.normal(size=(len(classes), length)), random.normal(size=len(classes))
    weights[0], bias[0] = 0, 0
    return Head(classes, weights, bias)


def saved(folder: Path, head: Head, version: int) -> tuple[Path, Any]:
    """Return the path of the saved pipeline, and what is in it."""
    from coremltools.proto import Model_pb2

    path = folder / "model.mlmodel"
    save_pipeline(head, SCENES[version], path, description="Tells dishes apart.", metadata={"run": "r1"})
    return path, Model_pb2.Model.FromString(path.read_bytes())


@pytest.mark.parametrize(("version", "side", "length", "specification"), [(1, 299, 2048, 3), (2, 360, 768, 8)])
def test_the_pipeline_is_the_extractor_and_the_trained_classifier(
    tmp_path: Path, version: int, side: int, length: int, specification: int
) -> None:
    from coremltools.proto import FeatureTypes_pb2, GLMClassifier_pb2

    head = random_head(("ramen", "sushi", "青い"), length)
    path, pipeline = saved(tmp_path, head, version)
    assert (core_ml_kind(path), has_feature_print(path)) == ("pipelineClassifier", True)
    extractor, linear = pipeline.pipelineClassifier.pipeline.models
    assert [model.specificationVersion for model in (pipeline, extractor, linear)] == [specification, specification, 1]
    assert extractor.visionFeaturePrint.scene.version == version
    assert linear.WhichOneof("Type") == "glmClassifier"

    for model in (pipeline, extractor):
        (image,) = model.description.input
        assert image.name == "image"
        assert (image.type.imageType.width, image.type.imageType.height) == (side, side)
        assert image.type.imageType.colorSpace == FeatureTypes_pb2.ImageFeatureType.BGR
    assert extractor.description.output == linear.description.input
    (features,) = linear.description.input
    assert (features.name, list(features.type.multiArrayType.shape)) == ("features", [length])
    assert features.type.multiArrayType.dataType == FeatureTypes_pb2.ArrayFeatureType.DOUBLE
    for model in (pipeline, linear):
        label, probabilities = model.description.output
        assert (label.name, label.type.WhichOneof("Type")) == ("classLabel", "stringType")
        assert probabilities.name == "classLabel_probs"
        assert probabilities.type.dictionaryType.WhichOneof("KeyType") == "stringKeyType"
        assert model.description.predictedFeatureName == "classLabel"
        assert model.description.predictedProbabilitiesName == "classLabel_probs"

    glm = linear.glmClassifier
    assert glm.postEvaluationTransform == GLMClassifier_pb2.GLMClassifier.Logit
    assert glm.classEncoding == GLMClassifier_pb2.GLMClassifier.ReferenceClass
    assert list(glm.stringClassLabels.vector) == list(head.classes)
    assert list(glm.offset) == list(head.bias[1:])
    assert [list(row.value) for row in glm.weights] == head.weights[1:].tolist()
    assert pipeline.description.metadata.shortDescription == "Tells dishes apart."
    assert dict(pipeline.description.metadata.userDefined) == {"run": "r1"}


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c", "d")])
def test_core_mls_rule_gives_the_probabilities_of_the_head(tmp_path: Path, classes: tuple[str, ...]) -> None:
    """Also for a head whose first class has weights, from which only the differences count."""
    head = random_head(classes, 768)
    head = replace(head, weights=head.weights + 1.5, bias=head.bias - 2)
    path, pipeline = saved(tmp_path, head, 2)
    features = np.random.default_rng(1).normal(0, 0.1, (5, 768))
    expected = softmax(head.logits(features), axis=1)
    for row, probabilities in zip(features, expected, strict=True):
        answer = linear_classifier(pipeline.pipelineClassifier.pipeline.models[1], {"features": row})
        assert answer["classLabel"] == classes[int(probabilities.argmax())]
        assert list(answer["classLabel_probs"].values()) == pytest.approx(probabilities, abs=1e-12)
    back = read_pipeline_head(path)
    assert back.classes == classes
    assert softmax(back.logits(features), axis=1) == pytest.approx(expected, abs=1e-12)


def test_a_model_without_such_a_classifier_is_refused(tmp_path: Path) -> None:
    path, pipeline = saved(tmp_path, random_head(("a", "b", "c"), 768), 2)
    pipeline.pipelineClassifier.pipeline.models[1].glmClassifier.classEncoding = 1
    path.write_bytes(pipeline.SerializeToString())
    with pytest.raises(InputError, match="whose first class is the reference"):
        read_pipeline_head(path)
    path.write_bytes(b"\xff\xff")
    with pytest.raises(InputError, match="not a pipeline that ends with a linear classifier"):
        read_pipeline_head(path)


def test_samples_are_spread_over_the_test_images_and_come_back(tmp_path: Path) -> None:
    features = np.arange(1500 * 4, dtype=np.float32).reshape(1500, 4)
    save_head_samples(tmp_path / HEAD_SAMPLES, features, [row % 3 for row in range(1500)])
    samples = read_head_samples(tmp_path)
    assert samples is not None
    assert len(samples.features) == MAX_SAMPLES
    rows = samples.features[:, 0].astype(int) // 4
    assert (rows[0], rows[-1], set(np.diff(rows).tolist())) == (0, 1499, {3, 4})
    assert samples.predicted.tolist() == (rows % 3).tolist()
    (tmp_path / "none").mkdir()
    assert read_head_samples(tmp_path / "none") is None
    (tmp_path / HEAD_SAMPLES).write_bytes(b"cut short")
    with pytest.raises(InputError, match="copy the run's folder again"):
        read_head_samples(tmp_path)


def test_another_classifier_is_told_from_the_trained_one(tmp_path: Path) -> None:
    head = random_head(("a", "b", "c"), 16)
    features = np.random.default_rng(2).normal(size=(40, 16)).astype(np.float32)
    save_head_samples(tmp_path / HEAD_SAMPLES, features, head.logits(features.astype(float)).argmax(axis=1).tolist())
    samples = read_head_samples(tmp_path)
    assert samples is not None
    same = compare_heads(head, head, samples)
    assert (same.samples, same.equal, same.difference) == (40, 40, 0)
    swapped = replace(head, weights=head.weights[::-1].copy(), bias=head.bias[::-1].copy())
    other = compare_heads(head, swapped, samples)
    assert other.equal < 40
    assert other.difference > 0.1
    with pytest.raises(InputError, match="the names of classes differ"):
        compare_heads(head, replace(head, classes=("a", "c", "b")), samples)
