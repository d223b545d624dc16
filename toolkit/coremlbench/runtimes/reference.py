"""The reference runtime: executes a saved ML Program with ONNX Runtime, on any machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.mil_onnx import Program, UnsupportedProgram, load_program, to_onnx
from coremlbench.mil_onnx.program import first_line
from coremlbench.mil_onnx.translate import CLASSES_KEY
from coremlbench.types.errors import InputError


class ReferenceRuntime:
    """A loaded model that predicts as Core ML does: a dictionary of inputs gives a dictionary of outputs."""

    def __init__(self, program: Program, *, threads: int | None = None, also: Sequence[str] = ()) -> None:
        import onnxruntime

        self.program = program
        model = to_onnx(program, also=also)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; its warnings are about graphs, not about results
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # what is float32 between ops stays so
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except MemoryError:
            raise
        except Exception as error:  # of many types without a common one; its text names the node, and so the op
            raise UnsupportedProgram(
                f"ONNX Runtime does not take the graph of '{program.source}': {first_line(error)}"
            ) from error
        self.inputs: dict[str, tuple[Any, ...]] = {item.name: tuple(item.shape) for item in self._session.get_inputs()}
        self.outputs = tuple(item.name for item in self._session.get_outputs())
        self._types = {item.name: _numpy_type(item.type) for item in self._session.get_inputs()}
        self._images = {
            feature.name: _colour(feature)
            for feature in program.description.input
            if feature.type.WhichOneof("Type") == "imageType"
        }
        found = {entry.key: entry.value for entry in model.metadata_props}
        self.classes: tuple[str | int, ...] = tuple(json.loads(found.get(CLASSES_KEY, "[]")))
        self._label = program.description.predictedFeatureName
        self._probabilities = program.description.predictedProbabilitiesName

    @classmethod
    def load(cls, package: Path | str, *, threads: int | None = None, also: Sequence[str] = ()) -> ReferenceRuntime:
        """Return the model of an ``.mlpackage``, ready to predict with ``threads`` threads (all cores by default).

        ``also`` names inner values of the program to give out beside its outputs.

        Raises:
            InputError: the package cannot be read, or is not an ML Program.
            UnknownOp: the program uses an op that the reference runtime does not know.
            UnsupportedProgram: a form of an op, or of the program, that the reference runtime cannot execute.
        """
        return cls(load_program(package), threads=threads, also=also)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name: arrays, and for a classifier the label and a dictionary of probabilities.

        An image input takes a Pillow image, or an array of bytes (height, width, channels) in RGB order, of the
        size that the model declares.

        Raises:
            InputError: an input is missing, unknown, or of another shape.
        """
        return self.run(self.prepare(inputs))

    def run(self, prepared: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs, as ``predict`` does, for inputs that ``prepare`` made ready.

        Raises:
            UnsupportedProgram: ONNX Runtime fails at these inputs; the sentence names the node.
        """
        try:
            values = self._session.run(None, prepared)
        except MemoryError:
            raise
        except Exception as error:
            raise UnsupportedProgram(
                f"ONNX Runtime fails to execute '{self.program.source}': {first_line(error)}"
            ) from error
        result = dict(zip(self.outputs, values, strict=True))
        if self._label in result and self.classes:
            result[self._label] = result[self._label].reshape(-1)[0]
        if self._probabilities in result and self.classes:
            probabilities = result[self._probabilities].reshape(-1).tolist()
            result[self._probabilities] = dict(zip(self.classes, probabilities, strict=True))
        return result

    def predict_many(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Return the outputs for each of many inputs, in order and one at a time, so that memory stays flat."""
        return (self.predict(sample) for sample in samples)

    def save_onnx(self, path: Path) -> None:
        """Write the program as an ONNX graph, with its own outputs alone.

        It is translated anew: a graph kept for this would hold every weight once more for as long as the model lives.
        """
        import onnx

        onnx.save(to_onnx(self.program), str(path))

    def prepare(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs in the shapes and types that the program takes.

        Raises:
            InputError: an input is missing, unknown, or of another shape.
        """
        missing, unknown = set(self.inputs) - set(inputs), set(inputs) - set(self.inputs)
        if missing or unknown:
            raise InputError(
                f"'{self.program.source}' takes the inputs {sorted(self.inputs)}, but was given {sorted(inputs)}."
            )
        return {name: self._prepared(name, value) for name, value in inputs.items()}

    def _prepared(self, name: str, value: Any) -> Any:
        shape = self.inputs[name]
        if name in self._images:
            value = _image(value, self._images[name])
        array = np.ascontiguousarray(value, dtype=self._types[name])
        fits = len(array.shape) == len(shape) and all(
            isinstance(wanted, str) or wanted == given for wanted, given in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"The input '{name}' of '{self.program.source}' has the shape {shape}, but was given {array.shape}."
            )
        return array


def _numpy_type(name: str) -> np.dtype[Any]:
    kinds = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
    return np.dtype(kinds.get(name, name.removeprefix("tensor(").removesuffix(")")))


def _colour(feature: Any) -> str:
    """Return ``RGB``, ``BGR`` or ``GRAYSCALE``: how a model wants the channels of an image input."""
    from coremltools.proto import FeatureTypes_pb2

    space = feature.type.imageType.colorSpace
    name = str(FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(space))
    return "GRAYSCALE" if name.startswith("GRAYSCALE") else name


def _image(value: Any, colour: str) -> Any:
    """Return an image as the program's function takes it: (1, channels, height, width), values from 0 to 255.

    The scale and bias of an ``ImageType`` are operations of the program itself.
    """
    from PIL import Image

    if isinstance(value, Image.Image):
        value = np.asarray(value.convert("L" if colour == "GRAYSCALE" else "RGB"))
    array = np.asarray(value)
    if array.ndim == 4:
        return array  # already as the function takes it
    if colour == "GRAYSCALE":
        return array.reshape(1, 1, *array.shape[:2])
    if array.ndim != 3 or array.shape[2] != 3:
        raise InputError(f"An image input takes an image of three channels, but was given the shape {array.shape}.")
    ordered = array[:, :, ::-1] if colour == "BGR" else array
    return ordered.transpose(2, 0, 1)[np.newaxis]
