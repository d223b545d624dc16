"""What executes a model in the place of Core ML: the reference runtime, or what a test adds for another kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.coreml_stand_in.feature_print import load_feature_print


class Executable(Protocol):
    """A model that is ready to be executed."""

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs by name for arrays and Pillow images."""


Loader = Callable[[Path, Any], Executable]
"""Takes the package or model file and its specification."""

LOADERS: dict[str, Loader] = {"visionFeaturePrint": load_feature_print, "pipelineClassifier": load_feature_print}
"""Loaders by the kind of model (``spec.WhichOneof("Type")``), for kinds other than ML Programs."""


def load_executable(source: Path, spec: Any) -> Executable:
    """Return the model of a package or model file, ready to be executed."""
    loader = LOADERS.get(spec.WhichOneof("Type"), _reference)
    return loader(source, spec)


def _reference(source: Path, spec: Any) -> Executable:
    from coremlbench.runtimes.reference import ReferenceRuntime

    return _Program(ReferenceRuntime.load(source, threads=1))


class _Program:
    """An ML Program on the reference runtime."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        outputs: dict[str, Any] = self._runtime.predict({name: self._planes(value) for name, value in inputs.items()})
        probabilities = self._runtime.program.description.predictedProbabilitiesName
        if self._runtime.classes and probabilities in outputs and not isinstance(outputs[probabilities], Mapping):
            values = outputs[probabilities].reshape(-1).tolist()  # of repeated labels, of which Core ML keeps one
            outputs[probabilities] = dict(zip(self._runtime.classes, values, strict=True))
        return outputs

    @staticmethod
    def _planes(value: Any) -> Any:
        """Return a greyscale image of floats as the runtime takes it, (1, 1, height, width); others as they are."""
        import numpy as np

        return np.asarray(value)[np.newaxis, np.newaxis] if getattr(value, "mode", "") == "F" else value
