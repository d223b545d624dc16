"""The reference runtime as something to compare Core ML with: the same ML Program, on this machine's processor."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runtimes.coreml import numeric
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coremlbench.runtimes.reference import ReferenceRuntime


class Reference:
    """An ``.mlpackage`` executed with ONNX Runtime on all cores."""

    name: RuntimeName = "reference"
    units: tuple[UnitName, ...] = ("host-cpu",)
    takes: tuple[Artefact, ...] = ("package",)

    @property
    def version(self) -> str:
        """Return ONNX Runtime's version."""
        return f"reference (ML Program on ONNX Runtime {importlib.metadata.version('onnxruntime')})"

    def why_not_here(self, unit: UnitName, /) -> str:  # noqa: ARG002 - it has one
        """Return nothing: it runs everywhere."""
        return ""

    def start(self, unit: UnitName, /) -> None:  # noqa: ARG002 - it has one
        """Import what reads programs and what executes them."""
        import coremltools
        import onnxruntime

        from coremlbench.runtimes import reference

        del coremltools, onnxruntime, reference

    def load(self, model: Path, unit: UnitName, *, allow_code: bool = False) -> LoadedProgram:  # noqa: ARG002 - as above
        """Return the model of an ``.mlpackage``.

        Raises:
            InputError: the package cannot be read, or is not an ML Program.
            UnknownOp: the program uses an op that the reference runtime does not know.
        """
        from coremlbench.runtimes.reference import ReferenceRuntime

        return LoadedProgram(ReferenceRuntime.load(model))


class LoadedProgram:
    """A program in ONNX Runtime's hands."""

    predict: Callable[[dict[str, Any]], Any]

    def __init__(self, runtime: ReferenceRuntime) -> None:
        self._runtime = runtime
        self.predict = runtime.run

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return a sample in the shapes and types of the program's inputs."""
        return self._runtime.prepare(sample)

    def outputs(self, predicted: Mapping[str, Any], /) -> dict[str, NDArray[np.float64]]:
        """Return the numeric outputs by name, flat."""
        return numeric(predicted)

    def own_seconds(self) -> None:
        """Return nothing: it has no clock of its own."""

    def unload(self) -> None:
        """Drop the session."""
        del self.predict, self._runtime
