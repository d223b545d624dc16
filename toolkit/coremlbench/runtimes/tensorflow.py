"""TensorFlow on the model that was converted: what the host does without Core ML."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.model_files.formats import with_its_suffix
from coremlbench.runtimes.coreml import ModelLoadError, NoSuchUnitError
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Artefact, RuntimeName, UnitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NVIDIA = Path("/dev/nvidiactl")
"""There when the driver of an NVIDIA GPU is loaded."""

NO_GPU = "TensorFlow has no GPU here."


class TensorFlow:
    """The original Keras model or SavedModel as a traced function, called with ``training=False``."""

    name: RuntimeName = "tensorflow"
    units: tuple[UnitName, ...] = ("host-cpu", "host-gpu")
    takes: tuple[Artefact, ...] = ("original",)

    @property
    def version(self) -> str:
        """Return TensorFlow's version, and that of Metal's plugin where it is installed."""
        metal = _installed("tensorflow-metal")
        return f"TensorFlow {_installed('tensorflow')}" + (f", tensorflow-metal {metal}" if metal else "")

    def why_not_here(self, unit: UnitName, /) -> str:
        """Return in a sentence why a unit cannot be used here; a GPU is only surely there once it has started."""
        if importlib.util.find_spec("tensorflow") is None:
            return "TensorFlow is not installed here."
        if unit == "host-gpu" and not (_installed("tensorflow-metal") if sys.platform == "darwin" else NVIDIA.exists()):
            return NO_GPU
        return ""

    def start(self, unit: UnitName, /) -> None:
        """Import TensorFlow, and leave it the unit alone.

        Raises:
            NoSuchUnitError: a GPU was asked for, and TensorFlow sees none.
        """
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if unit == "host-gpu" and not gpus:
            raise NoSuchUnitError(NO_GPU)
        if unit == "host-cpu" and gpus:
            tf.config.set_visible_devices([], "GPU")

    def load(self, model: Path, unit: UnitName, *, allow_code: bool = False) -> LoadedFunction:  # noqa: ARG002 - started
        """Return the model of a Keras file or of a SavedModel's folder; the unit is the one that was started.

        Raises:
            ModelLoadError: TensorFlow could not load it.
        """
        try:
            if model.is_dir():
                return LoadedFunction(*_saved_model(model))
            return LoadedFunction(*_keras_model(model, allow_code=allow_code))
        except (ValueError, OSError, TypeError, InputError) as problem:
            raise ModelLoadError(f"TensorFlow could not load '{model.name}': {problem}") from problem


class LoadedFunction:
    """A model as a function of its inputs in order; it is traced at the first prediction, as TensorFlow does."""

    predict: Callable[[Sequence[Any]], list[Any]]

    def __init__(self, model: Any, function: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[str]) -> None:
        import tensorflow as tf

        self._model, self._inputs, self._names = model, tuple(inputs), tuple(outputs)

        flatten = tf.nest.flatten

        def predict(prepared: Sequence[Any]) -> list[Any]:
            """Return the outputs as arrays on the host, which waits for a GPU to be done."""
            return [each.numpy() for each in flatten(function(*prepared))]

        self.predict = predict

    def prepare(self, sample: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return a sample's tensors on the unit; an only input may have any name, and a batch of one is added.

        Raises:
            InputError: the sample lacks an input of the model.
        """
        names = [each.name for each in self._inputs]
        if len(names) == 1 and len(sample) == 1:
            values = list(sample.values())
        else:
            missing = [name for name in names if name not in sample]
            if missing:
                raise InputError(f"The model takes the inputs {names}; the samples lack {missing}.")
            values = [sample[name] for name in names]
        return [_tensor(value, wanted) for value, wanted in zip(values, self._inputs, strict=True)]

    def outputs(self, predicted: Sequence[Any], /) -> dict[str, NDArray[np.float64]]:
        """Return the outputs by name, flat."""
        import numpy as np

        return {
            name: np.asarray(value, np.float64).reshape(-1) for name, value in zip(self._names, predicted, strict=True)
        }

    def own_seconds(self) -> None:
        """Return nothing: it has no clock of its own."""

    def unload(self) -> None:
        """Drop the model and its traces."""
        import keras

        del self.predict, self._model
        keras.utils.clear_session()


def _keras_model(path: Path, *, allow_code: bool) -> tuple[Any, Callable[..., Any], Sequence[Any], Sequence[str]]:
    import keras
    import tensorflow as tf

    with with_its_suffix(path) as named:
        model = keras.models.load_model(named, compile=False, safe_mode=not allow_code)
    several = len(model.inputs) > 1

    def function(*tensors: Any) -> Any:
        return model(list(tensors) if several else tensors[0], training=False)

    return model, tf.function(function, autograph=False), model.inputs, [each.name for each in model.outputs]


def _saved_model(path: Path) -> tuple[Any, Callable[..., Any], Sequence[Any], Sequence[str]]:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    signature = model.signatures["serving_default"]
    inputs = [
        tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.structured_input_signature[1].items()
    ]
    names = [each.name for each in inputs]

    def function(*tensors: Any) -> Any:
        return signature(**dict(zip(names, tensors, strict=True)))

    return model, function, inputs, sorted(signature.structured_outputs)


def _tensor(value: NDArray[Any], wanted: Any) -> Any:
    """Return a sample's tensor, with the axes that a picture lacks: the batch, and the only channel of a grey one."""
    import tensorflow as tf

    rank = len(wanted.shape)
    if value.ndim == rank - 2 and wanted.shape[-1] == 1:
        value = value[..., None]
    return tf.constant(value[None] if value.ndim == rank - 1 else value, dtype=wanted.dtype)


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
