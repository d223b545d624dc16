"""The original models that packages are made from and compared with: one module for each kind, see ``ORIGINALS``.

They are opened in the conversion worker; the command line does not import these modules.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.types.conversion import Caveat, ModelSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from coremlbench.conversion.divergence import ReferenceValues

    Array = npt.NDArray[np.generic]


class Original(Protocol):
    """A model that predicts, and that can be converted to an ML Program in float16 or float32."""

    @property
    def description(self) -> str:
        """Return which runtimes execute it, with their versions."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input; (height, width, channels) for a picture."""

    @property
    def pixels(self) -> bool:
        """Return whether the input is an 8-bit image, which the ML Program multiplies with ``scale``; else float32."""

    @property
    def scale(self) -> float:
        """Return the factor for pixel values."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes by index, empty when they are not known."""

    @property
    def layers(self) -> Mapping[str, str]:
        """Return the names of the model's layers by the prefixes of their ops' names."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Return the versions of the libraries that execute and convert it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes for the record, as sentences."""

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """Return what is uncertain about the original's inputs, classes or function; shown with each verdict."""

    def read_picture(self, path: Path) -> Array:
        """Return an image file as the model's training reads it: uint8 of ``shape``."""

    def predict(self, samples: Array) -> dict[str, Array]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS``, each (n, values), of samples (n, *shape)."""

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return a coremltools ``MLModel`` for a fixed batch; ``target`` is the oldest system that runs it."""

    def intermediate_values(self) -> ReferenceValues | None:
        """Return the model's intermediate values, ``None`` when it cannot output them."""


ORIGINALS = {
    "keras": "coremlbench.conversion.originals.keras:open_keras",
    "h5": "coremlbench.conversion.originals.keras:open_keras",
    "saved-model": "coremlbench.conversion.originals.saved_model:open_saved_model",
    "createml": "coremlbench.conversion.originals.createml:open_createml",
    "mlpackage": "coremlbench.conversion.originals.package:open_package",
    "mlmodel": "coremlbench.conversion.originals.package:open_package",
}
"""The function that opens a source, by its format; the module is imported when it is needed."""


def open_original(source: ModelSource, settings: Mapping[str, Any]) -> Original:
    """Open the original of a source.

    ``settings`` are ``allow_code``, ``scale``, ``input_shape``, ``signature`` and ``custom_objects`` of the options,
    ``cache`` (the cache's folder), ``data`` (``name`` and ``classes`` of the data it is compared on, if any), and
    ``save_model`` (a path at which a network with random weights is saved).

    Raises:
        InputError: the model cannot be opened, or has a form that cannot be converted.
    """
    module, _, name = ORIGINALS[source.format].partition(":")
    original: Original = getattr(importlib.import_module(module), name)(source, settings)
    return original
