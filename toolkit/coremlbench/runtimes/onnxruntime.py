"""The reference runtime as one of the timed runtimes: the same ML Program, executed on this machine's CPU."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.runtimes.core_ml_values import numeric_outputs
from coremlbench.types.conversion import NO_FILE_OPTIONS, ModelFileOptions
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

    def unavailable_reason(self, unit: UnitName, /) -> str:  # noqa: ARG002 - it has one
        """Return "": it runs on every machine."""
        return ""

    def start(self, unit: UnitName, /) -> None:  # noqa: ARG002 - it has one
        """Import coremltools, which reads programs, and ONNX Runtime, which executes them."""
        import coremltools
        import onnxruntime

        from coremlbench.runtimes import reference

        del coremltools, onnxruntime, reference

    def load(
        self,
        model: Path,
        unit: UnitName,  # noqa: ARG002 - it has one
        *,
        allow_code: bool = False,  # noqa: ARG002 - it holds no code
        file_options: ModelFileOptions = NO_FILE_OPTIONS,
    ) -> LoadedProgram:
        """Return the model of an ``.mlpackage``, whose flexible input is fixed if ``file_options`` have its shape.

        Raises:
            InputError: the package cannot be read, or is not an ML Program.
            UnknownOpError: the program uses an op that the reference runtime does not support.
            UnsupportedProgramError: a form of an op, or of the program, that the reference runtime cannot execute.
        """
        from coremlbench.mil_onnx import load_program
        from coremlbench.mil_onnx.flexible_shapes import fix_input_shape
        from coremlbench.runtimes.reference import ReferenceRuntime

        program = load_program(model)
        if file_options.input_shape:
            fix_input_shape(program, file_options.input_shape)
        return LoadedProgram(ReferenceRuntime(program))


class LoadedProgram:
    """A program that ONNX Runtime has loaded."""

    predict: Callable[[dict[str, Any]], Any]

    def __init__(self, runtime: ReferenceRuntime) -> None:
        self._runtime = runtime
        self.predict = runtime.run

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return a sample with the shapes and types of the program's inputs."""
        return self._runtime.prepare(sample)

    def outputs(self, predicted: Mapping[str, Any], /) -> dict[str, NDArray[np.float64]]:
        """Return the numeric outputs by name, each of shape (values,)."""
        return numeric_outputs(predicted)

    def runtime_seconds(self) -> None:
        """Return ``None``: ONNX Runtime has no clock of its own."""

    def unload(self) -> None:
        """Release the session."""
        del self.predict, self._runtime
