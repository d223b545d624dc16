"""Ready packages: ``.mlpackage`` and ``.mlmodel`` files, executed by the reference runtime."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coremlbench.conversion.divergence import ProgramReference
from coremlbench.conversion.originals.input_semantics import class_names, input_shape
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.types.conversion import OUTPUT, Caveat, ModelSource
from coremlbench.types.errors import InputError


@dataclass
class ReadyPackage:
    """A saved ML Program as an ``Original``: compressed variants are made from it and compared with it."""

    path: Path
    runner: PackageRunner
    versions: dict[str, str]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    scale: float = 1.0
    layers: dict[str, str] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """Return which runtime executes it."""
        return "the package as given, on the reference runtime"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input; (height, width, channels) for a picture."""
        return self.runner.shape

    @property
    def pixels(self) -> bool:
        """Return whether the input is an 8-bit image."""
        return self.runner.pixels

    def read_picture(self, path: Path) -> Any:
        """Return an image file resized to the model's input: uint8 of ``shape``."""
        from coremlbench.training.input_pipeline import load_picture

        height, width, channels = self.shape
        return load_picture(path, (height, width, channels))

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS``, each (n, values), of samples (n, *shape)."""
        return self.runner.predict(samples)

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return the package itself as an ``MLModel``; raise ``InputError`` for a batch that is not its own."""
        import coremltools as ct

        del precision, target
        fixed = self.runner.batch
        if batch != fixed:
            raise InputError(f"{self.path.name} takes batches of {fixed}; give --batch {fixed}.")
        return ct.models.MLModel(str(self.path), skip_model_load=True)

    def intermediate_values(self) -> ProgramReference:
        """Return the values of the package's program."""
        from coremlbench.mil_onnx import load_program
        from coremlbench.mil_onnx.flexible_shapes import fix_input_shape

        return ProgramReference(fix_input_shape(load_program(self.path), self.shape))


def open_package(source: ModelSource, settings: Mapping[str, Any]) -> ReadyPackage:
    """Open a ready package.

    Raises:
        InputError: it cannot be read, is no ML Program, does not have exactly one input, or takes several sizes of it
            and none was given.
    """
    # coremltools imports TensorFlow if it is installed; a ready package does not need it.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import coremltools
    import onnxruntime

    path = Path(source.path)
    runner = PackageRunner.load(path, input_shape=settings.get("input_shape"))
    input_shape(path.name, runner.shape, settings)  # raises for a size that a package of fixed shape does not take
    classes, note = tuple(str(label) for label in runner.classes), ""
    if not classes:
        classes, note = class_names(source, settings, _output_shapes(runner) if settings.get("data") else [])
    return ReadyPackage(
        path=path,
        runner=runner,
        versions={"coremltools": coremltools.__version__, "onnxruntime": onnxruntime.__version__},
        classes=classes,
        notes=(note,) if note else (),
    )


def _output_shapes(runner: PackageRunner) -> list[tuple[int, int]]:
    """Return (1, values) of the only output; an empty list for several outputs."""
    import numpy as np

    if len(runner.outputs) > 1:
        return []
    sample = np.zeros((1, *runner.shape), np.uint8 if runner.pixels else np.float32)
    return [(1, runner.predict(sample)[OUTPUT].shape[1])]
