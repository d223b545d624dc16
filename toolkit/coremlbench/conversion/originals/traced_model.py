"""What Keras models and SavedModels have in common: a traced TensorFlow function, predictions and conversion."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals import exact_batch_norm, tensorflow_ops
from coremlbench.conversion.originals.error_text import reason_of
from coremlbench.conversion.originals.layer_scopes import in_coreml, layers_by_name, origins
from coremlbench.conversion.originals.output_names import names_of, renamed
from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError

INPUT = "image"
PREDICTED_AT_ONCE = 16
FOLDED_BYTES = 256 * 2**20
"""The weights up to which TensorFlow folds a graph's constants before coremltools takes it.

It saves a quarter of the conversion's time, and now and then an op where two multiply by constants, and some 25 copies
of the weights are in memory then: 13.8 GiB for VGG16. A graph that is frozen beforehand coremltools takes as it is, and
a dozen copies are the most.
"""
ENDS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


@dataclass
class Traced:
    """A TensorFlow model as an ``Original``: ``trace`` makes its concrete function for a batch.

    ``fixed_batch`` is that of a SavedModel which takes no other; ``outputs`` are the names of a package's outputs.
    """

    trace: Callable[[int], Any]
    shape: tuple[int, ...]
    pixels: bool
    scale: float
    classes: tuple[str, ...]
    versions: dict[str, str]
    layers: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    fixed_batch: int | None = None
    _runner: Any = None

    @property
    def description(self) -> str:
        """Return who executes it."""
        return ", ".join(f"{name} {version}" for name, version in self.versions.items() if name != "coremltools")

    def read_picture(self, path: Path) -> Any:
        """Return a picture as our training reads it."""
        from coremlbench.training.input_pipeline import load_picture

        return load_picture(path, (self.shape[0], self.shape[1], self.shape[2]))

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return the outputs and logits of samples, some at once, as TensorFlow computes them."""
        import numpy as np

        batch = self.fixed_batch or PREDICTED_AT_ONCE
        if self._runner is None:
            self._runner = _runner(self.trace(batch))
        run, ends_in = self._runner
        rows: dict[str, list[Any]] = {}
        for start in range(0, len(samples), batch):
            part = np.asarray(samples[start : start + batch], np.float32)
            if self.pixels:
                part = part * np.float32(self.scale)
            filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            for name, value in run(filled).items():
                rows.setdefault(name, []).append(value[: len(part)])
        found = {name: np.concatenate(values) for name, values in rows.items()}
        return found if ends_in else {OUTPUT: found[OUTPUT]}

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Return the ML Program for a fixed batch; a classifier of single pictures takes and names them as such."""
        import coremltools as ct

        if self.fixed_batch is not None and batch != self.fixed_batch:
            raise InputError(f"The model takes batches of {self.fixed_batch} only, and one of {batch} was asked for.")
        tensorflow_ops.register()
        concrete = self.trace(batch)
        with _explained(concrete):
            made = ct.convert(
                _convertible(concrete),
                source="tensorflow",
                convert_to="mlprogram",
                inputs=self._inputs(ct, batch),
                classifier_config=self._classifier(ct, concrete, batch),
                compute_precision=ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32,
                minimum_deployment_target=getattr(ct.target, target),
                pass_pipeline=exact_batch_norm.pipeline(),
                skip_model_load=True,
            )
        return renamed(made, self.outputs)

    def inner(self) -> InnerValues:
        """Return the model's inner values, for a package's to be held against."""
        return InnerValues(self.trace(self.fixed_batch or 1), self.scale if self.pixels else 1.0, self.outputs)

    def _inputs(self, ct: Any, batch: int) -> list[Any]:
        shape = (batch, *self.shape)
        if not self.pixels or batch > 1:  # Core ML's image inputs are single images
            return [ct.TensorType(name=INPUT, shape=shape)]
        layout = ct.colorlayout.RGB if self.shape[2] == 3 else ct.colorlayout.GRAYSCALE
        return [ct.ImageType(name=INPUT, shape=shape, color_layout=layout, scale=self.scale)]

    def _classifier(self, ct: Any, concrete: Any, batch: int) -> Any:
        """Return labels for a model that ends in the probabilities of known classes, one picture at a time."""
        if batch > 1 or not self.classes or len(concrete.outputs) != 1:
            return None
        (output,) = concrete.outputs
        if "PartitionedCall" in _source(output.op).type:  # a SavedModel's function, which freezing puts in line
            (output,) = _freeze(concrete).outputs
        fits = output.shape.is_compatible_with((1, len(self.classes)))  # a function's own batch may be left open
        if not fits or ENDS.get(_source(output.op).type) != "softmax":
            return None
        return ct.ClassifierConfig(list(self.classes), predicted_feature_name="classLabel")


class InnerValues:
    """The inner values of a traced function as TensorFlow computes them, by the names that Core ML has for their ops.

    coremltools keeps TensorFlow's names, with other signs as "_"; the convolutions it turns round end in an "x".
    ``outputs`` are the names that the outputs have in a package.
    """

    def __init__(self, concrete: Any, scale: float, outputs: Sequence[str] = ()) -> None:
        self._scale, self._batch = scale, int(concrete.inputs[0].shape[0])
        self._wrapped, self._feed, fetched = _frozen(concrete)
        self._tensors: dict[str, str] = dict(zip(outputs, fetched, strict=False))
        for op in self._wrapped.graph.get_operations():
            if len(op.outputs) == 1 and op.outputs[0].dtype.is_floating and op.type not in {"Const", "Placeholder"}:
                name = in_coreml(op.name)
                self._tensors.setdefault(name, op.outputs[0].name)
                self._tensors.setdefault(f"{name}x", op.outputs[0].name)

    def names(self) -> Collection[str]:
        """Return the names of the values that are known."""
        return self._tensors.keys()

    def values(self, names: Sequence[str], samples: Any) -> dict[str, Any]:
        """Return values by name for one batch of samples (n, *shape): uint8 pixels, or float32."""
        import numpy as np
        import tensorflow as tf

        graph = self._wrapped.graph
        run = self._wrapped.prune(
            graph.get_tensor_by_name(self._feed), [graph.get_tensor_by_name(self._tensors[name]) for name in names]
        )
        part = np.asarray(samples, np.float32) * np.float32(self._scale)
        filled = np.concatenate([part, np.repeat(part[-1:], self._batch - len(part), axis=0)])
        return {name: value.numpy() for name, value in zip(names, run(tf.constant(filled)), strict=True)}


def trace_of(
    call: Callable[[Any], Any], shape: tuple[int, ...], *, name: str = "The model", bytes_only: bool = False
) -> Callable[[int], Any]:
    """Return a function that traces ``call`` for a batch of inputs of ``shape``; ``name`` is the model's in messages.

    The inputs are float32. ``bytes_only`` tells that ``call`` takes them as bytes (uint8), which Core ML has no
    arithmetic for: they are cast to them under a name by which the conversion leaves that out.

    Keras runs grouped convolutions in a compiled function of their own, which coremltools cannot see into: while
    functions are told to run eagerly, the tracing goes through them.

    The function raises ``InputError`` when the model itself cannot be computed.
    """
    import tensorflow as tf

    def called(image: Any) -> Any:
        return call(tf.cast(image, tf.uint8, name=tensorflow_ops.BYTES) if bytes_only else image)

    @cache
    def trace(batch: int) -> Any:
        signature = [tf.TensorSpec((batch, *shape), tf.float32, name=INPUT)]
        tf.config.run_functions_eagerly(True)
        try:
            return tf.function(called, input_signature=signature).get_concrete_function()
        except (InputError, MemoryError):
            raise
        except Exception as problem:  # whatever a model's own code or a size that it cannot take leads to
            raise InputError(_not_computed(name, shape, reason_of(problem))) from problem
        finally:
            tf.config.run_functions_eagerly(False)

    return trace


def _not_computed(name: str, shape: tuple[int, ...], reason: str) -> str:
    """Return a sentence on a model that TensorFlow cannot trace."""
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


@contextmanager
def _explained(concrete: Any) -> Iterator[None]:
    """Say in a sentence what coremltools cannot convert, where that is known."""
    try:
        yield
    except NotImplementedError as problem:
        kind = re.search(r"destination type (\w+) not supported", str(problem))
        if kind is not None:
            raise InputError(
                f"The model casts numbers to {kind.group(1)}, which Core ML does not compute with; build it without."
            ) from problem
        found = re.search(r"TF op '(\w+)'.*?name: \"([^\"]+)\"", str(problem), re.DOTALL)
        if found is None:
            raise
        op, where = found.groups()
        raise InputError(
            f"coremltools has no conversion for TensorFlow's {op}, which '{where}' computes; build the model without "
            "it."
        ) from problem
    except (IndexError, ValueError) as problem:
        loop = _loop_of(concrete)
        if not loop:
            raise
        raise InputError(
            f"coremltools fails at the loop '{loop}', as recurrent layers have one in a SavedModel; give the .keras "
            "file it was made from, whose recurrent layers are unrolled."
        ) from problem


MOVED = {
    *("Identity", "StopGradient", "Shape", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Slice", "StridedSlice"),
    *("ReverseV2", "Pad", "PadV2", "MirrorPad", "ResizeNearestNeighbor", "ResizeBilinear"),
}
"""Ops that do with bytes what they do with the same numbers as floats."""


def check_bytes(concrete: Any, name: str) -> None:
    """Raise ``InputError`` when a function computes with the bytes of its input before it makes floats of them.

    Bytes overflow at 256 and have no fractions, and Core ML has none: in a package they are floats from the start.
    """
    import tensorflow as tf

    numbers = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64)
    for op in _frozen(concrete)[0].graph.get_operations():
        cast = op.type == "Cast" and op.outputs[0].dtype in numbers
        if any(each.dtype == tf.uint8 for each in op.inputs) and not cast and op.type not in MOVED:
            raise InputError(
                f"{name} computes with bytes ({op.type} in '{op.name}'), which Core ML has no arithmetic for; cast "
                "its input to float32 first."
            )


def _loop_of(concrete: Any) -> str:
    """Return the name of a loop in a function or in one that it calls; empty when there is none."""
    graph = concrete.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return next((node.name for node in nodes if node.op in {"While", "StatelessWhile"}), "")


def versions() -> dict[str, str]:
    """Return the versions of what converts and of what is compared with."""
    import coremltools
    import keras
    import tensorflow as tf

    return {"TensorFlow": tf.__version__, "Keras": keras.__version__, "coremltools": coremltools.__version__}


def start_tensorflow() -> None:
    """Import TensorFlow without its remarks, on the processor: conversions and comparisons need no GPU.

    The functions it traces keep Python's own stack small enough for deep networks.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def outputs_and_layers(
    concrete: Any, own: Sequence[str], scopes: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of the outputs, and the layers by the beginnings of their ops' names in Core ML.

    ``own`` are the model's names for its outputs, where its function has none; ``scopes`` are layers by scope.
    """
    names = names_of(concrete.structured_outputs, own, len(concrete.outputs), [INPUT])
    ends = origins(concrete)
    plain = {each.op.name: end for each, end in zip(concrete.outputs, ends, strict=True)}
    return names, layers_by_name(scopes, {**plain, **dict(zip(names, ends, strict=True))})


def _source(op: Any) -> Any:
    while op.type == "Identity":
        op = op.inputs[0].op
    return op


def _runner(concrete: Any) -> tuple[Callable[[Any], Mapping[str, Any]], bool]:
    """Return a function of samples to outputs and logits, and whether there are logits."""
    import numpy as np
    import tensorflow as tf

    wrapped, feed, fetched = _frozen(concrete)
    graph = wrapped.graph
    last = _source(graph.get_tensor_by_name(fetched[0]).op)
    ends_in = len(fetched) == 1 and last.type in ENDS
    wanted = [*fetched, *([last.inputs[0].name] if ends_in else [])]
    pruned = wrapped.prune(graph.get_tensor_by_name(feed), [graph.get_tensor_by_name(name) for name in wanted])

    def run(samples: Any) -> dict[str, Any]:
        values = [np.asarray(value).reshape(len(samples), -1) for value in pruned(tf.constant(samples))]
        outputs = np.concatenate(values[: len(fetched)], axis=1)
        return {OUTPUT: outputs, **({LOGITS: values[-1]} if ends_in else {})}

    return run, ends_in


def _convertible(concrete: Any) -> Any:
    """Return the function as coremltools is to take it: as it is, or as a frozen graph where its weights are many."""
    import gc

    if sum(variable.shape.num_elements() * variable.dtype.size for variable in concrete.variables) <= FOLDED_BYTES:
        return [concrete]
    graph_def = _freeze(concrete, aggressive_inlining=True).graph.as_graph_def(add_shapes=True)
    gc.collect()  # the functions that the freezing made hold each other, and the weights
    return graph_def


def _frozen(concrete: Any) -> tuple[Any, str, list[str]]:
    """Return the function with its variables as constants, the name of its input's tensor and those of its outputs'.

    Its inner values can be asked for then; TensorFlow's own converters do the same.
    """
    import tensorflow as tf

    frozen = _freeze(concrete)
    graph_def = frozen.graph.as_graph_def()
    feed, fetched = frozen.inputs[0].name, [tensor.name for tensor in frozen.outputs]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    return wrapped, feed, fetched


def _freeze(concrete: Any, *, aggressive_inlining: bool = False) -> Any:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        return convert_variables_to_constants_v2(
            concrete, lower_control_flow=False, aggressive_inlining=aggressive_inlining
        )
    except ValueError as problem:
        raise InputError(
            "The model changes variables of its own while it predicts, as exported augmentation layers do, and cannot "
            "be converted; give the .keras file it was exported from, or export it without those layers."
        ) from problem
