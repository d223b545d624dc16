"""Apple's image feature extractors, which are part of macOS: Core ML models that are one ``visionFeaturePrint`` layer.

Core ML has the layer since macOS 10.14 (``VisionFeaturePrint.proto`` of its model format); the weights are in the
system. Turi Create on a Mac writes the same model, compiles it and lets Core ML run it
(``mlmodel_image_feature_extractor.mm``), and Create ML's image classifiers begin with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.types.errors import CoremlbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from coremlbench.runtimes.coreml import LoadedModel
    from coremlbench.types.timing import UnitName

IMAGE_INPUT, FEATURES_OUTPUT = "image_input", "output"
"""The names that Turi Create gives to input and output."""

ALL_UNITS: UnitName = "ALL"
"""The units of a run that does not name them."""


@dataclass(frozen=True)
class Scene:
    """A version of the layer ``VisionFeaturePrint.Scene``.

    ``size`` is the (height, width) of its image, ``features`` the length of its feature vector. ``specification`` is
    the lowest version of Core ML's model format that has it, ``macos`` the first macOS.
    """

    version: int
    size: tuple[int, int]
    features: int
    specification: int
    macos: tuple[int, ...]


SCENES = {
    scene.version: scene
    for scene in (
        Scene(1, (299, 299), 2048, specification=3, macos=(10, 14)),
        Scene(2, (360, 360), 768, specification=8, macos=(14,)),
    )
}
"""The versions of the layer. Specification 3 is that of iOS 12 and macOS 10.14, 8 that of iOS 17 and macOS 14."""


class BadFeaturesError(CoremlbenchError):
    """Core ML gave something else than the features of the images."""


def unavailable_reason(scene: Scene, macos: tuple[int, ...]) -> str:
    """Return why a version of the layer cannot run under this macOS, "" when it can; () is another system."""
    if not macos:
        return "is part of macOS"
    if macos < scene.macos:
        return f"needs macOS {'.'.join(map(str, scene.macos))} or later, and this is {'.'.join(map(str, macos))}"
    return ""


def build_extractor(scene: Scene, *, input_name: str = IMAGE_INPUT, output_name: str = FEATURES_OUTPUT) -> Any:
    """Return the specification (``Model``) of a model that is this one layer, with an image input in BGR order."""
    from coremltools.proto import FeatureTypes_pb2, Model_pb2

    specification = Model_pb2.Model()
    specification.specificationVersion = scene.specification
    specification.visionFeaturePrint.scene.version = scene.version
    image = specification.description.input.add()
    image.name = input_name
    image.type.imageType.height, image.type.imageType.width = scene.size
    image.type.imageType.colorSpace = FeatureTypes_pb2.ImageFeatureType.BGR
    features = specification.description.output.add()
    features.name = output_name
    features.type.multiArrayType.dataType = FeatureTypes_pb2.ArrayFeatureType.DOUBLE
    features.type.multiArrayType.shape.append(scene.features)
    return specification


def save_extractor(scene: Scene, path: Path) -> None:
    """Save the model of ``build_extractor`` as an .mlmodel; its weights are in the system."""
    path.write_bytes(build_extractor(scene).SerializeToString(deterministic=True))


class FeaturePrint:
    """An extractor that Core ML has loaded for some compute units."""

    def __init__(self, scene: Scene, loaded: LoadedModel) -> None:
        self.scene, self._loaded = scene, loaded

    @classmethod
    def load(cls, scene: Scene, path: Path, units: UnitName) -> FeaturePrint:
        """Return the extractor in an .mlmodel, compiled and loaded for these units.

        Raises:
            NoSuchUnitError: this machine does not have the units.
            ModelLoadError: Core ML could not compile or load it; the message includes Core ML's error.
        """
        from coremlbench.runtimes.coreml import CoreML

        runtime = CoreML()
        runtime.start(units)
        return cls(scene, runtime.load(path, units))

    def features(self, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """Return the features (images, length) of RGB images of the layer's size, all in one call of Core ML.

        Raises:
            BadFeaturesError: Core ML gave another number of values, or values that are not finite.
        """
        import numpy as np

        inputs: Any = [self._loaded.prepare({IMAGE_INPUT: image}) for image in images]
        predictions = self._loaded.predict(inputs)
        features = np.stack(
            [np.asarray(prediction[FEATURES_OUTPUT], np.float64).reshape(-1) for prediction in predictions]
        )
        if features.shape != (len(images), self.scene.features):
            raise BadFeaturesError(
                f"Core ML gave {features.shape[1]} features for each of {features.shape[0]} images, and "
                f"{self.scene.features} for each of {len(images)} were expected."
            )
        if not np.isfinite(features).all():
            raise BadFeaturesError("Core ML gave features that are not numbers; run it again with --units cpu.")
        return features.astype(np.float32)
