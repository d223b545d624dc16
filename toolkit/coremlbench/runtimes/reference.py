"""The reference runtime: executes a saved ML Program with ONNX Runtime, on any machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.mil_onnx import Program, UnsupportedProgramError, load_program, to_onnx
from coremlbench.mil_onnx.flexible_shapes import permitted_sizes
from coremlbench.mil_onnx.program import first_line
from coremlbench.mil_onnx.states import STATES_KEY
from coremlbench.mil_onnx.translate import CLASSES_KEY
from coremlbench.types.errors import InputError


class ReferenceRuntime:
    """A loaded model that predicts as Core ML does, from a dictionary of inputs to a dictionary of outputs.

    ``inputs`` has the shape of each input, ``outputs`` the names of the outputs, ``classes`` the class names of a
    classifier.
    """

    def __init__(self, program: Program, *, threads: int | None = None, also: Sequence[str] = ()) -> None:
        self.program = program
        model = to_onnx(program, also=also)
        self._session = _make_session(program, model, threads)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        self._states: dict[str, str] = json.loads(metadata.get(STATES_KEY, "{}"))
        shapes = {item.name: tuple(item.shape) for item in self._session.get_inputs()}
        self._state_shapes = {name: shapes[name] for name in self._states}
        self.inputs: dict[str, tuple[Any, ...]] = {
            name: shape for name, shape in shapes.items() if name not in self._states
        }
        self._flexible = permitted_sizes(program)
        names = [item.name for item in self._session.get_outputs()]
        self.outputs = tuple(name for name in names if name not in self._states.values())
        self._types = {item.name: _numpy_type(item.type) for item in self._session.get_inputs()}
        self._images = {
            feature.name: _colour_space(feature)
            for feature in program.description.input
            if feature.type.WhichOneof("Type") == "imageType"
        }
        self.classes: tuple[str | int, ...] = tuple(json.loads(metadata.get(CLASSES_KEY, "[]")))
        self._label = program.description.predictedFeatureName
        self._probabilities = program.description.predictedProbabilitiesName

    @classmethod
    def load(cls, package: Path | str, *, threads: int | None = None, also: Sequence[str] = ()) -> ReferenceRuntime:
        """Return the model of an ``.mlpackage``, ready to predict with ``threads`` threads (all cores by default).

        ``also`` names intermediate values of the program that become additional outputs.

        Raises:
            InputError: the package cannot be read, or is not an ML Program.
            UnknownOpError: the program uses an op that the reference runtime does not support.
            UnsupportedProgramError: a form of an op, or of the program, that the reference runtime cannot execute.
        """
        return cls(load_program(package), threads=threads, also=also)

    def make_state(self) -> dict[str, Any]:
        """Return the state before the first prediction: an array of zeros for each name; empty without states."""
        return {name: np.zeros(shape, self._types[name]) for name, shape in self._state_shapes.items()}

    def predict(self, inputs: Mapping[str, Any], state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the outputs by name: arrays, and for a classifier the label and a dictionary of probabilities.

        ``state`` is one of ``make_state``, whose arrays are replaced by those after the prediction; without it a
        prediction begins with a new one. An image input takes a Pillow image or a uint8 array of shape (height, width,
        channels) in RGB order, of the size that the model declares.

        Raises:
            InputError: an input is missing, unknown, or of another shape.
        """
        return self.run(self.prepare(inputs), state)

    def run(self, prepared: dict[str, Any], state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the outputs, as ``predict`` does, for inputs that ``prepare`` returned.

        Raises:
            UnsupportedProgramError: ONNX Runtime fails with these inputs; the message names the node.
        """
        if self._states:
            state = self.make_state() if state is None else state
            prepared = {**prepared, **state}
        try:
            values = self._session.run([*self.outputs, *self._states.values()], prepared)
        except MemoryError:
            raise
        except Exception as error:
            raise UnsupportedProgramError(
                f"ONNX Runtime fails to execute '{self.program.source}': {first_line(error)}"
            ) from error
        result = dict(zip(self.outputs, values[: len(self.outputs)], strict=True))
        if state is not None:
            state.update(zip(self._states, values[len(self.outputs) :], strict=True))
        if self._label in result and self.classes:
            result[self._label] = result[self._label].reshape(-1)[0]
        unique = len(set(self.classes)) == len(self.classes)  # a dictionary would lose values of repeated labels
        if self._probabilities in result and self.classes and unique:
            probabilities = result[self._probabilities].reshape(-1).tolist()
            result[self._probabilities] = dict(zip(self.classes, probabilities, strict=True))
        return result

    def predict_many(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the outputs for each sample, in order and one at a time, so that memory stays constant."""
        return (self.predict(sample) for sample in samples)

    def save_onnx(self, path: Path) -> None:
        """Write the program as an ONNX graph, without the additional outputs of ``also``.

        The program is translated again: keeping the graph would keep a second copy of all weights in memory.
        """
        import onnx

        onnx.save(to_onnx(self.program), str(path))

    def prepare(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs with the shapes and types that the program takes.

        Raises:
            InputError: an input is missing, unknown, or of another shape.
        """
        missing, unknown = set(self.inputs) - set(inputs), set(inputs) - set(self.inputs)
        if missing or unknown:
            raise InputError(
                f"'{self.program.source}' takes the inputs {sorted(self.inputs)}, but was given {sorted(inputs)}."
            )
        return {name: self._prepare_input(name, value) for name, value in inputs.items()}

    def _prepare_input(self, name: str, value: Any) -> Any:
        """Return one input as an array; ``InputError`` when its shape is wrong or not permitted."""
        shape = self.inputs[name]
        if name in self._images:
            value = _image_array(value, self._images[name])
        array = np.ascontiguousarray(value, dtype=self._types[name])
        fits = len(array.shape) == len(shape) and all(
            isinstance(expected, str) or expected == size for expected, size in zip(shape, array.shape, strict=True)
        )  # ONNX names dimensions of any size
        if not fits:
            raise InputError(
                f"The input '{name}' of '{self.program.source}' has the shape {shape}, but was given {array.shape}."
            )
        flexible = self._flexible.get(name)
        if flexible is not None and not flexible.permits(array.shape):
            raise InputError(
                f"The input '{name}' of '{self.program.source}' takes {flexible.all_permitted}, but was given "
                f"{' x '.join(map(str, array.shape))}."
            )
        return array


def _make_session(program: Program, model: Any, threads: int | None) -> Any:
    """Return an ONNX Runtime session of a graph; ``UnsupportedProgramError`` when ONNX Runtime refuses the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about graphs, not about results
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # keeps float32 between quantised operations
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # of many types without a common one; its text names the node, and so the op
        raise UnsupportedProgramError(
            f"ONNX Runtime does not take the graph of '{program.source}': {first_line(error)}"
        ) from error


def _numpy_type(name: str) -> np.dtype[Any]:
    """Return NumPy's type for the name of a tensor type in ONNX Runtime, such as ``tensor(float)``."""
    kinds = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
    return np.dtype(kinds.get(name, name.removeprefix("tensor(").removesuffix(")")))


def _colour_space(feature: Any) -> str:
    """Return the channel order of an image input: ``RGB``, ``BGR`` or ``GRAYSCALE``."""
    from coremltools.proto import FeatureTypes_pb2

    space = feature.type.imageType.colorSpace
    name = str(FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(space))
    return "GRAYSCALE" if name.startswith("GRAYSCALE") else name


def _image_array(value: Any, colour: str) -> Any:
    """Return an image as the program takes it: shape (1, channels, height, width), values from 0 to 255.

    The scale and bias of an ``ImageType`` are operations of the program itself.
    """
    from PIL import Image

    if isinstance(value, Image.Image):
        value = np.asarray(value.convert("L" if colour == "GRAYSCALE" else "RGB"))
    array = np.asarray(value)
    if array.ndim == 4:
        return array  # already as the program takes it
    if colour == "GRAYSCALE":
        return array.reshape(1, 1, *array.shape[:2])
    if array.ndim != 3 or array.shape[2] != 3:
        raise InputError(f"An image input takes an image of three channels, but was given the shape {array.shape}.")
    ordered = array[:, :, ::-1] if colour == "BGR" else array
    return ordered.transpose(2, 0, 1)[np.newaxis]
