"""The TensorFlow runtime: executes the original model, from before its conversion, on the host."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.model_files.keras_loading import load_keras
from coremlbench.model_files.signatures import choose_signature
from coremlbench.runtimes.coreml import ModelLoadError, NoSuchUnitError
from coremlbench.types.conversion import NO_FILE_OPTIONS, ModelFileOptions
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NVIDIA_DEVICE = Path("/dev/nvidiactl")
"""This file exists when the driver of an NVIDIA GPU is loaded."""

NO_GPU = "TensorFlow has no GPU here."


class TensorFlow:
    """The original Keras model or SavedModel as a traced function, called with ``training=False``."""

    name: RuntimeName = "tensorflow"
    units: tuple[UnitName, ...] = ("host-cpu", "host-gpu")
    takes: tuple[Artefact, ...] = ("original",)

    @property
    def version(self) -> str:
        """Return the versions of TensorFlow and, where it is installed, of its Metal plugin."""
        metal = _installed_version("tensorflow-metal")
        return f"TensorFlow {_installed_version('tensorflow')}" + (f", tensorflow-metal {metal}" if metal else "")

    def unavailable_reason(self, unit: UnitName, /) -> str:
        """Return a sentence that says why this machine cannot use a unit, "" when it may.

        Whether TensorFlow can use a GPU is only certain after ``start``.
        """
        if importlib.util.find_spec("tensorflow") is None:
            return "TensorFlow is not installed here."
        if unit == "host-gpu" and not (
            _installed_version("tensorflow-metal") if sys.platform == "darwin" else NVIDIA_DEVICE.exists()
        ):
            return NO_GPU
        return ""

    def start(self, unit: UnitName, /) -> None:
        """Import TensorFlow, and hide the GPUs from it when the unit is the CPU.

        Raises:
            NoSuchUnitError: a GPU was requested, and TensorFlow sees none.
        """
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if unit == "host-gpu" and not gpus:
            raise NoSuchUnitError(NO_GPU)
        if unit == "host-cpu" and gpus:
            tf.config.set_visible_devices([], "GPU")

    def load(
        self,
        model: Path,
        unit: UnitName,  # noqa: ARG002 - chosen by start
        *,
        allow_code: bool = False,
        file_options: ModelFileOptions = NO_FILE_OPTIONS,
    ) -> LoadedFunction:
        """Return the model of a Keras file or of a SavedModel folder, on the unit that ``start`` chose.

        Raises:
            ModelLoadError: TensorFlow could not load it.
        """
        try:
            if model.is_dir():
                return LoadedFunction(*_load_saved_model(model, file_options.signature))
            return LoadedFunction(*_load_keras(model, file_options, allow_code=allow_code))
        except (ValueError, OSError, TypeError, InputError) as problem:
            raise ModelLoadError(f"TensorFlow could not load '{model.name}': {problem}") from problem


class LoadedFunction:
    """A model as a function of its inputs in order; TensorFlow traces it at the first prediction."""

    predict: Callable[[Sequence[Any]], list[Any]]

    def __init__(self, model: Any, function: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[str]) -> None:
        import tensorflow as tf

        self._model, self._inputs, self._names = model, tuple(inputs), tuple(outputs)

        flatten = tf.nest.flatten

        def predict(prepared: Sequence[Any]) -> list[Any]:
            """Return the outputs as arrays in host memory, which waits until a GPU has finished."""
            return [tensor.numpy() for tensor in flatten(function(*prepared))]

        self.predict = predict

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the tensors of a sample on the unit, with a batch axis of 1 where it is missing.

        The array of a model with a single input may have any name.

        Raises:
            InputError: the sample lacks an input of the model.
        """
        names = [spec.name for spec in self._inputs]
        if len(names) == 1 and len(sample) == 1:
            values = list(sample.values())
        else:
            missing = [name for name in names if name not in sample]
            if missing:
                raise InputError(f"The model takes the inputs {names}; the samples lack {missing}.")
            values = [sample[name] for name in names]
        return [_to_tensor(value, spec) for value, spec in zip(values, self._inputs, strict=True)]

    def outputs(self, predicted: Sequence[Any], /) -> dict[str, NDArray[np.float64]]:
        """Return the outputs by name, float64 of shape (values,)."""
        import numpy as np

        return {
            name: np.asarray(value, np.float64).reshape(-1) for name, value in zip(self._names, predicted, strict=True)
        }

    def runtime_seconds(self) -> None:
        """Return ``None``: TensorFlow has no clock of its own."""

    def unload(self) -> None:
        """Release the model and its traces."""
        import keras

        del self.predict, self._model
        keras.utils.clear_session()


def _load_keras(
    path: Path, options: ModelFileOptions, *, allow_code: bool
) -> tuple[Any, Callable[..., Any], Sequence[Any], Sequence[str]]:
    """Return the model, its function, the specifications of its inputs and the names of its outputs."""
    import tensorflow as tf

    model = load_keras(
        path, allow_code=allow_code, custom_objects=options.custom_objects, input_shape=options.input_shape
    )
    has_several_inputs = len(model.inputs) > 1

    def function(*tensors: Any) -> Any:
        return model(list(tensors) if has_several_inputs else tensors[0], training=False)

    return model, tf.function(function, autograph=False), model.inputs, [tensor.name for tensor in model.outputs]


def _load_saved_model(path: Path, requested: str) -> tuple[Any, Callable[..., Any], Sequence[Any], Sequence[str]]:
    """Return the same as ``_load_keras`` for a signature of a SavedModel."""
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    name, _ = choose_signature(path.name, model.signatures, requested)
    signature = model.signatures[name]
    inputs = [
        tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.structured_input_signature[1].items()
    ]
    names = [spec.name for spec in inputs]

    def function(*tensors: Any) -> Any:
        return signature(**dict(zip(names, tensors, strict=True)))

    return model, function, inputs, sorted(signature.structured_outputs)


def _to_tensor(value: NDArray[Any], spec: Any) -> Any:
    """Return the tensor of a sample; missing axes are added: the batch, and the channel of a greyscale image."""
    import tensorflow as tf

    rank = len(spec.shape)
    if value.ndim == rank - 2 and spec.shape[-1] == 1:
        value = value[..., None]
    return tf.constant(value[None] if value.ndim == rank - 1 else value, dtype=spec.dtype)


def _installed_version(package: str) -> str:
    """Return the version of an installed package, "" when it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
