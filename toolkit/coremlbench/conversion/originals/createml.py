"""The classifier of a Create ML run: the extractor's network and the logistic regression that Turi Create trained."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coremlbench.createml.classifier import Head, build_classifier
from coremlbench.createml.network import Network
from coremlbench.types.conversion import LOGITS, OUTPUT, ModelSource
from coremlbench.types.errors import InputError

PREDICTED_AT_ONCE = 4


@dataclass
class CreateML:
    """Turi Create's own network on ONNX Runtime and its head in NumPy, as an ``Original``."""

    network: Network
    head: Head
    bgr: bool
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    pixels: bool = True
    scale: float = 1.0
    layers: dict[str, str] = field(default_factory=dict)
    _session: Any = None

    @property
    def description(self) -> str:
        """Return who executes it."""
        return "Turi Create's network on ONNX Runtime, its classifier in NumPy"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one picture."""
        return (*self.network.size, 3)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes by row of the head."""
        return self.head.classes

    def read_picture(self, path: Path) -> Any:
        """Return a picture as the features were extracted from."""
        from coremlbench.createml.feature_extraction import prepare_image

        (pixels,) = prepare_image(path, self.network.size, (), ())
        return pixels

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return the probabilities and logits of pictures."""
        import numpy as np
        import onnxruntime
        from scipy.special import softmax

        from coremlbench.createml.network_onnx import to_onnx

        if self._session is None:
            model = to_onnx(self.network, bgr=self.bgr).SerializeToString()
            self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        features = [
            self._session.run(None, {"pixels": np.asarray(samples[start : start + PREDICTED_AT_ONCE])})[0]
            for start in range(0, len(samples), PREDICTED_AT_ONCE)
        ]
        logits = self.head.logits(np.concatenate(features).astype(np.float64))
        return {OUTPUT: softmax(logits, axis=1).astype(np.float32), LOGITS: logits.astype(np.float32)}

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return the classifier as an ML Program; it takes single pictures."""
        if batch != 1:
            raise InputError("The createml classifier takes single pictures; convert it with --batch 1.")
        return build_classifier(
            self.network,
            self.head,
            bgr=self.bgr,
            precision="float32" if precision == "float32" else "float16",
            target=target,
        )

    def inner(self) -> None:
        """Return nothing: the extractor runs as one graph of its own."""


def _silent(message: str) -> None:
    """Take note of nothing: the weights were there when the run trained, as a rule."""


def open_createml(source: ModelSource, settings: Mapping[str, Any]) -> CreateML:
    """Return the classifier of a createml run: its head from the run's folder, its extractor from the cache.

    Raises:
        InputError: the head is missing, or the weights of its extractor cannot be had here.
    """
    # coremltools imports TensorFlow when it is there: seconds and memory that this conversion has no use for.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import numpy as np
    import onnxruntime

    from coremlbench.createml.extractors import MissingWeightsError, obtain_extractor
    from coremlbench.createml.network import read_network
    from coremlbench.runs import store

    folder = Path(source.path).parent
    record = store.load(folder)
    name = str(record.options.get("extractor"))
    try:
        with np.load(folder / "head.npz", allow_pickle=False) as file:
            head = Head(tuple(str(each) for each in file["classes"]), file["weights"], file["bias"])
    except (OSError, ValueError, KeyError) as problem:
        raise InputError(
            f"The classifier of the run {folder.name} cannot be read (head.npz: {problem}); run createml again."
        ) from problem
    try:
        obtained = obtain_extractor(name, Path(settings["cache"]), _silent)
    except MissingWeightsError as problem:
        raise InputError(f"The extractor {name} of the run {folder.name} is not here: {problem}") from problem
    if obtained.weights is None:
        raise InputError(f"{name} is part of macOS and cannot be converted; train with --extractor squeezenet_v1.1.")
    network = read_network(obtained.weights)
    return CreateML(
        network=network,
        head=head,
        bgr=obtained.extractor.bgr,
        versions={"coremltools": coremltools.__version__, "onnxruntime": onnxruntime.__version__},
        layers={**{layer.name.replace("/", "_"): layer.name for layer in network.layers}, "head": "classifier"},
        notes=("The classifier's own multiplication stays in float32 in the fp16 variant and in those made from it.",),
    )
