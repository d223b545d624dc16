"""Where a model can be executed: one module for each runtime, and the table that names them all.

A host runtime is there to compare with and never stands in for Core ML: each names itself in every record.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.runtimes.coreml import CoreML, is_stand_in
from coremlbench.runtimes.onnxruntime import Reference
from coremlbench.runtimes.tensorflow import TensorFlow
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RUNTIMES", "Loaded", "Runtime", "is_stand_in"]


class Loaded(Protocol):
    """A model that is ready to predict on one unit."""

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> Any:
        """Return one sample, an array for each input, in the form that ``predict`` takes without further work."""

    def predict(self, prepared: Any, /) -> Any:
        """Return what the runtime itself returns, complete and on the host: this is what is timed."""

    def outputs(self, predicted: Any, /) -> dict[str, NDArray[np.float64]]:
        """Return a prediction's numeric outputs by name, flat; a classifier's probabilities in the order of its names.

        The names are sorted as text, since dictionaries come back in any order. Labels are left out.
        """

    def own_seconds(self) -> float | None:
        """Return how long the last prediction took by the runtime's own clock; ``None`` when it has none."""

    def unload(self) -> None:
        """Give the model back to the system; it cannot predict any more."""


class Runtime(Protocol):
    """Something that executes models.

    ``takes`` are the forms of a model that it can load, the best first.
    """

    name: RuntimeName
    units: tuple[UnitName, ...]
    takes: tuple[Artefact, ...]

    @property
    def version(self) -> str:
        """Return the name and version of what executes; nothing is imported for it."""

    def why_not_here(self, unit: UnitName, /) -> str:
        """Return in a sentence why this machine cannot use a unit, and nothing when it may; nothing is imported."""

    def start(self, unit: UnitName, /) -> None:
        """Import what the runtime needs, which takes seconds, so that loading a model takes only its own time.

        Raises:
            CoremlbenchError: the unit turns out not to be there.
        """

    def load(self, model: Path, unit: UnitName, *, allow_code: bool = False) -> Loaded:
        """Return the model, loaded for a unit; ``allow_code`` lets a model file bring code of its own.

        Raises:
            CoremlbenchError: the runtime cannot load it; its own words are in the message.
        """


RUNTIMES: dict[RuntimeName, Runtime] = {
    "coreml": CoreML(),
    "reference": Reference(),
    "tensorflow": TensorFlow(),
}
