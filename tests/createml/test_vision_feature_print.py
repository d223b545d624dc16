"""Apple's extractors as Core ML models: what is written, field by field, and what Core ML's answers are checked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.createml.core_ml_extraction import CoreMLExtraction
from coremlbench.createml.extractors import EXTRACTORS
from coremlbench.createml.feature_extraction import Part, Target, write_rows
from coremlbench.createml.feature_journal import JournalEntry
from coremlbench.createml.vision_feature_print import (
    SCENES,
    BadFeaturesError,
    FeaturePrint,
    save_extractor,
    unavailable_reason,
)

SIZES = {1: (299, 2048, 3), 2: (360, 768, 8)}
"""Side of the image, features and version of the model format, by version of the layer (Apple's documentation)."""


@pytest.mark.tensorflow
@pytest.mark.parametrize("version", SIZES)
def test_the_extractor_is_written_as_turi_create_writes_it(version: int, tmp_path: Path) -> None:
    from coremltools.proto import FeatureTypes_pb2, Model_pb2

    side, length, specification = SIZES[version]
    save_extractor(SCENES[version], tmp_path / "m.mlmodel")
    model = Model_pb2.Model.FromString((tmp_path / "m.mlmodel").read_bytes())
    assert model.specificationVersion == specification
    assert model.WhichOneof("Type") == "visionFeaturePrint"
    assert model.visionFeaturePrint.WhichOneof("VisionFeaturePrintType") == "scene"
    assert model.visionFeaturePrint.scene.version == version
    (image,), (features,) = model.description.input, model.description.output
    assert (image.name, features.name) == ("image_input", "output")
    assert (image.type.imageType.width, image.type.imageType.height) == (side, side)
    assert image.type.imageType.colorSpace == FeatureTypes_pb2.ImageFeatureType.BGR
    assert features.type.multiArrayType.dataType == FeatureTypes_pb2.ArrayFeatureType.DOUBLE
    assert list(features.type.multiArrayType.shape) == [length]
    known = EXTRACTORS["VisionFeaturePrint_Scene" if version == 1 else "VisionFeaturePrint_Scene-2"]
    assert (known.size, known.features, known.scene) == ((side, side), length, version)


@pytest.mark.parametrize(
    ("version", "macos", "reason"),
    [
        (1, (13, 0), ""),
        (2, (14,), ""),
        (2, (26, 1), ""),
        (1, (), "is part of macOS"),
        (2, (13, 7, 1), "needs macOS 14 or later, and this is 13.7.1"),
    ],
)
def test_which_systems_have_which_version(version: int, macos: tuple[int, ...], reason: str) -> None:
    assert unavailable_reason(SCENES[version], macos) == reason


class Answering:
    """A loaded model that gives the same values for every image."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.seen = values, 0

    def prepare(self, sample: dict[str, Any]) -> dict[str, Any]:
        return sample

    def predict(self, inputs: Sequence[dict[str, Any]]) -> list[dict[str, np.ndarray]]:
        self.seen += len(inputs)
        return [{"output": self.values} for _ in inputs]


def test_features_that_are_none_are_an_error() -> None:
    images = [np.zeros((299, 299, 3), np.uint8)] * 2
    right = np.linspace(0, 1, 2048)
    features = FeaturePrint(SCENES[1], Answering(right)).features(images)  # type: ignore[arg-type]
    assert features.dtype == np.float32
    assert np.array_equal(features, np.stack([right, right]).astype(np.float32))
    with pytest.raises(BadFeaturesError, match="768 features for each of 2 images, and 2048"):
        FeaturePrint(SCENES[1], Answering(right[:768])).features(images)  # type: ignore[arg-type]
    with pytest.raises(BadFeaturesError, match=r"not numbers; run it again with --units cpu"):
        FeaturePrint(SCENES[1], Answering(np.full(2048, np.nan))).features(images)  # type: ignore[arg-type]


def means(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return three features of each image, in float32: the means of its colours."""
    return np.stack([image.mean(axis=(0, 1)) for image in images]).astype(np.float32)


def test_images_that_other_processes_prepare_give_the_same_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    paths = []
    for index in range(101):  # from 100 on there are several processes
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(random.integers(0, 256, (7, 5, 3), dtype=np.uint8)).save(paths[-1])
    parts = [Part("train", tuple(paths[:1]), ("rotation", "flip"), seed=1), Part("test", tuple(paths[1:]))]

    def extracted(processes: int) -> np.ndarray:
        target = Target(tmp_path / f"{processes}.f32", (9, 9), length=3)
        written: list[JournalEntry] = []
        extraction = CoreMLExtraction(means, processes)
        rows = write_rows(parts, target, lambda done, total: None, on_written=written.append, extract=extraction)
        assert (rows, sorted(entry.row for entry in written)) == (112, [0, *range(12, 112)])
        return np.fromfile(target.path, np.float32).reshape(112, 3)

    alone = extracted(1)
    assert np.array_equal(extracted(2), alone)
    assert (alone > 0).all()
