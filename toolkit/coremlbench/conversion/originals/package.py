"""Ready packages: ``.mlpackage`` and ``.mlmodel`` files of the user's, executed by the reference runtime."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coremlbench.conversion.divergence import ProgramTruth
from coremlbench.conversion.originals.input_semantics import classes_of
from coremlbench.types.conversion import LOGITS, OUTPUT, ModelSource
from coremlbench.types.errors import InputError


@dataclass
class Package:
    """A saved ML Program as an ``Original``: the compressed variants made from it are compared with it."""

    path: Path
    executed: Any
    versions: dict[str, str]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scale: float = 1.0
    layers: dict[str, str] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """Return who executes it."""
        return "the package as given, on the reference runtime"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input."""
        return tuple(self.executed.shape)

    @property
    def pixels(self) -> bool:
        """Return whether the input is a picture."""
        return bool(self.executed.pixels)

    def read_picture(self, path: Path) -> Any:
        """Return a picture of the size that the model declares."""
        from coremlbench.training.input_pipeline import load_picture

        height, width, channels = self.shape
        return load_picture(path, (height, width, channels))

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return the outputs and logits of samples."""
        found = self.executed.predict(samples)
        return {name: found[name] for name in (OUTPUT, LOGITS) if name in found}

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return the package itself: what it is compressed from."""
        import coremltools as ct

        del precision, target
        if batch != self.executed.batch:
            only = self.executed.batch
            raise InputError(f"{self.path.name} takes batches of {only}; give --batch {only}.")
        return ct.models.MLModel(str(self.path), skip_model_load=True)

    def inner(self) -> ProgramTruth:
        """Return the values of the package's own program."""
        from coremlbench.mil_onnx import load_program

        return ProgramTruth(load_program(self.path))


def open_package(source: ModelSource, settings: Mapping[str, Any]) -> Package:
    """Return a ready package.

    Raises:
        InputError: it cannot be read, is no ML Program, or does not have one input.
    """
    # coremltools imports TensorFlow when it is there: seconds and memory that a ready package has no use for.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import onnxruntime

    from coremlbench.conversion.package_runner import Executed

    path = Path(source.path)
    executed = Executed.load(path)
    classes, note = tuple(str(each) for each in executed.classes), ""
    if not classes:
        classes, note = classes_of(source, settings, _outputs(executed) if settings.get("data") else [])
    return Package(
        path=path,
        executed=executed,
        versions={"coremltools": coremltools.__version__, "onnxruntime": onnxruntime.__version__},
        classes=classes,
        notes=(note,) if note else (),
    )


def _outputs(executed: Any) -> list[tuple[int, int]]:
    """Return the shape of the only output, each input's values in one row, and nothing for several."""
    import numpy as np

    if len(executed.outputs) > 1:
        return []
    sample = np.zeros((1, *executed.shape), np.uint8 if executed.pixels else np.float32)
    return [(1, executed.predict(sample)[OUTPUT].shape[1])]
