"""What Keras models and SavedModels have in common: a traced TensorFlow function that predicts and is converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals import exact_batch_norm, tensorflow_ops
from coremlbench.conversion.originals.conversion_errors import explain_conversion_errors, reject_growing_arrays
from coremlbench.conversion.originals.frozen_graph import (
    TensorFlowValues,
    batchless_outputs,
    conversion_input,
    final_activation,
    freeze,
    inlined_output,
    pad_batch,
    prediction_function,
)
from coremlbench.conversion.originals.index_inputs import float16_except_indices
from coremlbench.conversion.originals.layer_scopes import layers_by_name, output_ops
from coremlbench.conversion.originals.output_names import choose_output_names, rename_outputs
from coremlbench.conversion.sampling import KNOWN_RANGE, Sampling
from coremlbench.model_files.error_text import error_line
from coremlbench.types.conversion import Caveat
from coremlbench.types.errors import InputError

INPUT_NAME = "image"
PREDICTION_BATCH = 16
"""Number of samples that TensorFlow predicts at once, for a model that takes any batch."""


@dataclass
class TracedModel:
    """A TensorFlow model as an ``Original``; ``trace`` returns its concrete function for a batch size.

    ``fixed_batch`` is that of a SavedModel that takes no other. ``outputs`` are the names of a package's outputs.
    """

    trace: Callable[[int], Any]
    shape: tuple[int, ...]
    pixels: bool
    scale: float
    classes: tuple[str, ...]
    versions: dict[str, str]
    layers: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    outputs: tuple[str, ...] = ()
    fixed_batch: int | None = None
    sampling: Sampling = KNOWN_RANGE
    _predict_batch: Callable[[Any], dict[str, Any]] | None = None

    @property
    def description(self) -> str:
        """Return which libraries execute it, with their versions."""
        return ", ".join(f"{name} {version}" for name, version in self.versions.items() if name != "coremltools")

    def read_picture(self, path: Path) -> Any:
        """Return an image file as the training reads it: uint8 of ``shape``."""
        from coremlbench.training.input_pipeline import load_picture

        return load_picture(path, (self.shape[0], self.shape[1], self.shape[2]))

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS``, each (n, values), of samples (n, *shape)."""
        import numpy as np

        batch = self.fixed_batch or (1 if self.batchless_outputs else PREDICTION_BATCH)
        if self._predict_batch is None:
            self._predict_batch = prediction_function(self.trace(batch), self.batchless_outputs)
        batches: dict[str, list[Any]] = {}
        for start in range(0, len(samples), batch):
            inputs = np.asarray(samples[start : start + batch], np.float32)
            if self.pixels:
                inputs = inputs * np.float32(self.scale)
            for name, values in self._predict_batch(pad_batch(inputs, batch)).items():
                batches.setdefault(name, []).append(values[: len(inputs)])
        return {name: np.concatenate(values) for name, values in batches.items()}

    @cached_property
    def batchless_outputs(self) -> tuple[int, ...]:
        """Return the indices of the outputs without a batch dimension."""
        fixed = self.fixed_batch is not None
        return batchless_outputs(self.trace, self.fixed_batch or PREDICTION_BATCH, fixed=fixed)

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return a coremltools ``MLModel`` for a fixed batch; with batch 1 and known classes it is a classifier.

        Raises:
            InputError: the model has another fixed batch, or coremltools cannot convert one of its ops.
        """
        import coremltools as ct

        if self.fixed_batch is not None and batch != self.fixed_batch:
            raise InputError(f"The model takes batches of {self.fixed_batch} only, and one of {batch} was requested.")
        tensorflow_ops.register_ops()
        concrete = self.trace(batch)
        reject_growing_arrays(concrete)
        with explain_conversion_errors(concrete, self.layers):
            model = ct.convert(
                conversion_input(concrete),
                source="tensorflow",
                convert_to="mlprogram",
                inputs=self._inputs(ct, batch),
                outputs=_outputs(ct, concrete),
                classifier_config=self._classifier_config(ct, concrete, batch),
                compute_precision=self._compute_precision(ct, precision),
                minimum_deployment_target=getattr(ct.target, target),
                pass_pipeline=exact_batch_norm.pass_pipeline(),
                skip_model_load=True,
            )
        return rename_outputs(model, self.outputs)

    def intermediate_values(self) -> TensorFlowValues:
        """Return the model's intermediate values, computed by TensorFlow."""
        scale = self.scale if self.pixels else 1.0
        return TensorFlowValues(self.trace(self.fixed_batch or 1), scale, self.outputs)

    def _compute_precision(self, ct: Any, precision: str) -> Any:
        if precision == "float16":
            return ct.precision.FLOAT16 if self.sampling.indices is None else float16_except_indices()
        return ct.precision.FLOAT32

    def _inputs(self, ct: Any, batch: int) -> list[Any]:
        import numpy as np

        shape = (batch, *self.shape)
        if self.sampling.indices is not None:
            return [ct.TensorType(name=INPUT_NAME, shape=shape, dtype=np.float32)]  # else float16 in a float16 package
        if not self.pixels or batch > 1:  # Core ML's image inputs are single images
            return [ct.TensorType(name=INPUT_NAME, shape=shape)]
        layout = ct.colorlayout.RGB if self.shape[2] == 3 else ct.colorlayout.GRAYSCALE
        return [ct.ImageType(name=INPUT_NAME, shape=shape, color_layout=layout, scale=self.scale)]

    def _classifier_config(self, ct: Any, concrete: Any, batch: int) -> Any:
        """Return the labels of a model for single inputs that ends in a softmax over known classes, else ``None``."""
        if batch > 1 or not self.classes or len(concrete.outputs) != 1:
            return None
        output = inlined_output(concrete)
        fits = output.shape.is_compatible_with((1, len(self.classes)))  # a function may leave its batch open
        if not fits or final_activation(output) != "softmax":
            return None
        return ct.ClassifierConfig(list(self.classes), predicted_feature_name="classLabel")


def _outputs(ct: Any, concrete: Any) -> list[Any] | None:
    """Return the outputs of a function in their order; coremltools sorts them by name, ``Identity_10`` second.

    ``None`` for a single one, because a classifier has two in Core ML.
    """
    names = [tensor.op.name for tensor in concrete.outputs]
    return [ct.TensorType(name=name) for name in names] if len(names) > 1 else None


# --- tracing ------------------------------------------------------------------------------------------------


def make_tracer(
    call: Callable[[Any], Any], shape: tuple[int, ...], *, name: str = "The model", takes_uint8: bool = False
) -> Callable[[int], Any]:
    """Return a function of a batch size that traces ``call`` for float32 inputs (batch, *shape); results are cached.

    It raises ``InputError`` with ``name`` when the model cannot be computed. With ``takes_uint8`` the inputs are cast
    to uint8 by an op that the conversion leaves out, because Core ML has no uint8 arithmetic.

    Functions run eagerly during tracing: Keras compiles grouped convolutions to a function of their own, which
    coremltools could not see into.
    """
    import tensorflow as tf

    def cast_and_call(image: Any) -> Any:
        return call(tf.cast(image, tf.uint8, name=tensorflow_ops.BYTE_CAST_NAME) if takes_uint8 else image)

    @cache
    def trace(batch: int) -> Any:
        signature = [tf.TensorSpec((batch, *shape), tf.float32, name=INPUT_NAME)]
        tf.config.run_functions_eagerly(True)
        try:
            return tf.function(cast_and_call, input_signature=signature).get_concrete_function()
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a model's own code can raise anything
            raise InputError(_tracing_message(name, shape, error_line(error))) from error
        finally:
            tf.config.run_functions_eagerly(False)

    return trace


def _tracing_message(name: str, shape: tuple[int, ...], reason: str) -> str:
    """Return the message for a model that TensorFlow cannot trace."""
    if "valid scope name" in reason or "valid root scope name" in reason:
        wrong = reason.partition(" is not a valid")[0]
        return (
            f"{name} has a name that TensorFlow cannot compute with ({wrong}); name the model and its layers with "
            "letters, digits and _ . / > - alone, and save it again."
        )
    return (
        f"{name} cannot be computed for an input of the shape {shape} ({reason}); make sure that it predicts such an "
        "input in TensorFlow, or give another --input-shape."
    )


def name_outputs_and_layers(
    concrete: Any, model_names: Sequence[str], scopes: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of a package's outputs, and layers by the prefixes of their ops' names in Core ML.

    ``model_names`` are the model's names for its outputs, used where the function has none. ``scopes`` are layers by
    name scope.
    """
    names = choose_output_names(concrete.structured_outputs, model_names, len(concrete.outputs), [INPUT_NAME])
    ops = output_ops(concrete)
    function_names = {output.op.name: op for output, op in zip(concrete.outputs, ops, strict=True)}
    package_names = dict(zip(names, ops, strict=True))
    return names, layers_by_name(scopes, {**function_names, **package_names})


# --- errors ------------------------------------------------------------------------------------------------


BYTE_SAFE_OPS = {
    *("Identity", "StopGradient", "Shape", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Slice", "StridedSlice"),
    *("ReverseV2", "Pad", "PadV2", "MirrorPad", "ResizeNearestNeighbor", "ResizeBilinear"),
}
"""Ops that give the same result for uint8 as for float32."""


def reject_byte_arithmetic(concrete: Any, name: str) -> None:
    """Raise ``InputError`` when a function computes in uint8 before it casts its input to float.

    uint8 overflows at 256 and has no fractions. A package computes in float from the start, so that results differ.
    """
    import tensorflow as tf

    wide_types = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64)
    for op in freeze(concrete).graph.get_operations():
        cast = op.type == "Cast" and op.outputs[0].dtype in wide_types
        reads_bytes = any(tensor.dtype == tf.uint8 for tensor in op.inputs)
        if reads_bytes and not cast and op.type not in BYTE_SAFE_OPS:
            raise InputError(
                f"{name} computes with bytes ({op.type} in '{op.name}'), which Core ML has no arithmetic for; cast "
                "its input to float32 first."
            )


# --- libraries ----------------------------------------------------------------------------------------------


def library_versions(library: Any = None) -> dict[str, str]:
    """Return the versions of TensorFlow, Keras and coremltools; ``library`` is ``tf_keras`` for a model of Keras 2."""
    import coremltools
    import keras
    import tensorflow as tf

    library = library or keras
    name = "Keras" if library is keras else library.__name__
    return {"TensorFlow": tf.__version__, name: library.__version__, "coremltools": coremltools.__version__}


def start_tensorflow_on_cpu() -> None:
    """Import TensorFlow with fewer log messages and without GPUs, which conversions do not need."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
