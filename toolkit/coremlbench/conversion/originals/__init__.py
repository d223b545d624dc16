"""The originals that packages are made of and compared with: one file for each kind, one row in ``ORIGINALS``.

They live in the child that converts; nothing here is imported by the command line.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.types.conversion import ModelSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from coremlbench.conversion.divergence import Truth

    Array = npt.NDArray[np.generic]


class Original(Protocol):
    """A model that can be asked for its predictions, and saved as an ML Program of float16 or float32.

    ``shape`` is that of one input; ``pixels`` tells that it is a picture of bytes, which the program scales by
    ``scale``, and else it is an array of float32. ``classes`` is empty when they are not known. ``layers`` maps the
    names that ops begin with to those of the model's layers.
    """

    @property
    def description(self) -> str:
        """Return who executes it, and the versions."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input, (height, width, channels) of a picture."""

    @property
    def pixels(self) -> bool:
        """Return whether an input is a picture of bytes."""

    @property
    def scale(self) -> float:
        """Return what pixels are multiplied with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes by index."""

    @property
    def layers(self) -> Mapping[str, str]:
        """Return the layers by the beginning of their ops' names."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Return the versions of the libraries that take part."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return sentences on what a reader of the record must know."""

    def read_picture(self, path: Path) -> Array:
        """Return a picture as the model's training read it: uint8 of ``shape``."""

    def predict(self, samples: Array) -> dict[str, Array]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS`` of samples (n, *shape): uint8 pixels, or float32."""

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return a coremltools ``MLModel`` of the model for a fixed batch."""

    def inner(self) -> Truth | None:
        """Return the model's inner values, ``None`` when only a conversion of it can show them."""


ORIGINALS = {
    "keras": "coremlbench.conversion.originals.keras:open_keras",
    "h5": "coremlbench.conversion.originals.keras:open_keras",
    "saved-model": "coremlbench.conversion.originals.saved_model:open_saved_model",
    "createml": "coremlbench.conversion.originals.createml:open_createml",
    "mlpackage": "coremlbench.conversion.originals.package:open_package",
    "mlmodel": "coremlbench.conversion.originals.package:open_package",
}
"""The function that opens each format of a source; its module is imported then."""


def open_original(source: ModelSource, settings: Mapping[str, Any]) -> Original:
    """Return the original of a source; ``settings`` are ``allow_code``, ``scale``, ``input_shape`` and ``data``.

    ``data`` are the name and the classes of the data that it is to be compared on, if there are any.

    Raises:
        InputError: the model cannot be opened, or has a form that cannot be converted.
    """
    module, _, name = ORIGINALS[source.format].partition(":")
    opened: Original = getattr(importlib.import_module(module), name)(source, settings)
    return opened
