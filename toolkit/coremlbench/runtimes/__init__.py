"""The runtimes that execute models: one module for each, and the table of all of them.

Host runtimes are there for comparison. Their figures are never reported as Core ML's: every record names its runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.runtimes.coreml import CoreML, is_stand_in
from coremlbench.runtimes.onnxruntime import Reference
from coremlbench.runtimes.tensorflow import TensorFlow
from coremlbench.types.conversion import NO_FILE_OPTIONS, ModelFileOptions
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RUNTIMES", "Loaded", "Runtime", "is_stand_in"]


class Loaded(Protocol):
    """A model that is loaded on one unit and ready to predict."""

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> Any:
        """Return one sample, an array for each input, converted to what ``predict`` takes."""

    def predict(self, prepared: Any, /) -> Any:
        """Return the runtime's own result, complete and in host memory. This call is what is timed."""

    def outputs(self, predicted: Any, /) -> dict[str, NDArray[np.float64]]:
        """Return the numeric outputs of a prediction by name, each of shape (values,); labels are left out.

        Class probabilities are sorted by class name as text, since dictionaries come back in any order.
        """

    def runtime_seconds(self) -> float | None:
        """Return the seconds of the last prediction by the runtime's own clock; ``None`` when it has none."""

    def unload(self) -> None:
        """Release the model; it cannot predict afterwards."""


class Runtime(Protocol):
    """A runtime that executes models. ``takes`` lists the forms of a model that it can load, the best one first."""

    name: RuntimeName
    units: tuple[UnitName, ...]
    takes: tuple[Artefact, ...]

    @property
    def version(self) -> str:
        """Return the name and version of the runtime, without importing it."""

    def unavailable_reason(self, unit: UnitName, /) -> str:
        """Return a sentence that says why this machine cannot use a unit, "" when it may; nothing is imported."""

    def start(self, unit: UnitName, /) -> None:
        """Import what the runtime needs, which takes seconds and must not be timed as part of loading a model.

        Raises:
            CoremlbenchError: the unit is not available on this machine.
        """

    def load(
        self,
        model: Path,
        unit: UnitName,
        *,
        allow_code: bool = False,
        file_options: ModelFileOptions = NO_FILE_OPTIONS,
    ) -> Loaded:
        """Return the model, loaded for a unit.

        ``allow_code`` lets the model file run code of its own; ``file_options`` tell how its conversion opened it.

        Raises:
            CoremlbenchError: the runtime cannot load it; the message includes the runtime's error.
        """


RUNTIMES: dict[RuntimeName, Runtime] = {
    "coreml": CoreML(),
    "reference": Reference(),
    "tensorflow": TensorFlow(),
}
