"""The classifier of a ``createml`` run: a feature extractor and the logistic regression trained by Turi Create."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coremlbench.conversion.sampling import KNOWN_RANGE, Sampling
from coremlbench.createml.classifier import Head, build_classifier, load_head
from coremlbench.createml.network import Network
from coremlbench.types.conversion import LOGITS, OUTPUT, Caveat, ModelSource
from coremlbench.types.errors import InputError

PREDICTION_BATCH = 4
"""Number of pictures for which features are extracted at once."""


@dataclass
class CreateMLClassifier:
    """An ``Original``: Turi Create's feature extractor on ONNX Runtime and its classifier (``head``) in NumPy."""

    network: Network
    head: Head
    bgr: bool
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    pixels: bool = True
    scale: float = 1.0
    layers: dict[str, str] = field(default_factory=dict)
    sampling: Sampling = KNOWN_RANGE
    _session: Any = None

    @property
    def description(self) -> str:
        """Return which runtimes execute it."""
        return "Turi Create's network on ONNX Runtime, its classifier in NumPy"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one picture: (height, width, 3)."""
        return (*self.network.size, 3)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes by index."""
        return self.head.classes

    def read_picture(self, path: Path) -> Any:
        """Return an image file as the feature extraction reads it: uint8 of ``shape``."""
        from coremlbench.createml.feature_extraction import prepare_image

        (pixels,) = prepare_image(path, self.network.size, (), ())
        return pixels

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return ``OUTPUT`` (probabilities) and ``LOGITS``, each (n, classes), of pictures (n, *shape)."""
        import numpy as np
        import onnxruntime
        from scipy.special import softmax

        from coremlbench.createml.network_onnx import to_onnx

        if self._session is None:
            model = to_onnx(self.network, bgr=self.bgr).SerializeToString()
            self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        features = [
            self._session.run(None, {"pixels": np.asarray(samples[start : start + PREDICTION_BATCH])})[0]
            for start in range(0, len(samples), PREDICTION_BATCH)
        ]
        logits = self.head.logits(np.concatenate(features).astype(np.float64))
        return {OUTPUT: softmax(logits, axis=1).astype(np.float32), LOGITS: logits.astype(np.float32)}

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return the classifier as a coremltools ``MLModel``; raise ``InputError`` for a batch other than 1."""
        if batch != 1:
            raise InputError("The createml classifier takes single pictures; convert it with --batch 1.")
        return build_classifier(
            self.network,
            self.head,
            bgr=self.bgr,
            precision="float32" if precision == "float32" else "float16",
            target=target,
        )

    def intermediate_values(self) -> None:
        """Return ``None``: ONNX Runtime gives only the features."""


def _ignore_progress(message: str) -> None:
    """Ignore the progress of a download; the weights are normally in the cache since the training."""


def open_createml(source: ModelSource, settings: Mapping[str, Any]) -> CreateMLClassifier:
    """Open the classifier of a ``createml`` run; its extractor's weights come from the cache, or are downloaded.

    Raises:
        InputError: the classifier is missing or damaged, or the extractor's weights are not available.
    """
    # coremltools imports TensorFlow if it is installed; this conversion does not need it.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import onnxruntime

    from coremlbench.createml.extractors import MissingWeightsError, obtain_extractor
    from coremlbench.createml.network import read_network
    from coremlbench.runs import store

    folder = Path(source.path).parent
    record = store.load(folder)
    name = str(record.options.get("extractor"))
    head = load_head(folder)
    try:
        obtained = obtain_extractor(name, Path(settings["cache"]), _ignore_progress)
    except MissingWeightsError as error:
        raise InputError(f"The extractor {name} of the run {folder.name} is not available: {error}") from error
    if obtained.weights is None:
        raise InputError(
            f"{name} is part of macOS and has no network to convert, and the run {folder.name} saved no pipeline; run "
            "createml again."
        )
    network = read_network(obtained.weights)
    return CreateMLClassifier(
        network=network,
        head=head,
        bgr=obtained.extractor.bgr,
        versions={"coremltools": coremltools.__version__, "onnxruntime": onnxruntime.__version__},
        layers={**{layer.name.replace("/", "_"): layer.name for layer in network.layers}, "head": "classifier"},
        notes=("The classifier's own multiplication stays in float32 in the fp16 variant and in those made from it.",),
    )
