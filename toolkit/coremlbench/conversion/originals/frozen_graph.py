"""TensorFlow functions with their variables frozen to constants: predictions and intermediate values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from coremlbench.conversion.originals.graph_rewrites import needs_rewriting, rewrite_graph
from coremlbench.conversion.originals.layer_scopes import coreml_name
from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError

FOLDING_LIMIT_BYTES = 256 * 2**20
"""Size of the weights up to which coremltools gets the function itself, and TensorFlow folds its constants.

Folding saves a quarter of the conversion's time, and sometimes an op. But it holds some 25 copies of the weights in
memory: 13.8 GiB for VGG16. A graph that is frozen before the conversion needs at most a dozen copies.
"""
TRANSPOSED_SUFFIXES = (
    "x",
    *(f"_channel_first_{kind}" for kind in ("resize", "resize_bilinear", "upsample", "upsample_bilinear")),
)
"""Suffixes of coremltools for the results of convolutions and resizings that it transposes afterwards."""
FINAL_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
"""Activations whose input is called logits, by the type of TensorFlow's op."""


def freeze(concrete: Any, *, aggressive_inlining: bool = False) -> Any:
    """Return a concrete function with its variables as constants.

    Raises:
        InputError: the function changes a variable.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        return convert_variables_to_constants_v2(
            concrete, lower_control_flow=False, aggressive_inlining=aggressive_inlining
        )
    except ValueError as error:
        raise InputError(
            "The model changes variables of its own while it predicts, as exported augmentation layers do, and cannot "
            "be converted; give the .keras file it was exported from, or export it without those layers."
        ) from error


def import_frozen(concrete: Any) -> tuple[Any, str, list[str]]:
    """Return a frozen function whose tensors can be fetched by name, its input tensor's name and its outputs'.

    TensorFlow's own converters import the graph in the same way.
    """
    frozen = freeze(concrete)
    wrapped = _import_graph(frozen.graph.as_graph_def())
    return wrapped, frozen.inputs[0].name, [tensor.name for tensor in frozen.outputs]


def _import_graph(graph_def: Any) -> Any:
    """Return a function of no inputs whose graph is ``graph_def``."""
    import tensorflow as tf

    return tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])


def conversion_input(concrete: Any) -> Any:
    """Return what coremltools converts: the function, or its frozen graph above ``FOLDING_LIMIT_BYTES``."""
    import gc

    weight_bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in concrete.variables)
    if needs_rewriting(concrete.graph.as_graph_def()):
        return [_rewritten(concrete)]
    if weight_bytes <= FOLDING_LIMIT_BYTES:
        return [concrete]
    graph_def = freeze(concrete, aggressive_inlining=True).graph.as_graph_def(add_shapes=True)
    gc.collect()  # the functions made by freezing are reference cycles and hold the weights
    return graph_def


def _rewritten(concrete: Any) -> Any:
    """Return a function with its variables as constants and its graph rewritten for coremltools."""
    frozen = freeze(concrete, aggressive_inlining=True)
    graph_def = frozen.graph.as_graph_def(add_shapes=True)
    rewrite_graph(graph_def)
    wrapped = _import_graph(graph_def)
    inputs, outputs = (
        [wrapped.graph.get_tensor_by_name(tensor.name) for tensor in tensors]
        for tensors in (frozen.inputs, frozen.outputs)
    )
    return wrapped.prune(inputs, outputs)


def skip_identities(op: Any) -> Any:
    """Return the op itself, or the first op before it that is no ``Identity``."""
    while op.type == "Identity":
        op = op.inputs[0].op
    return op


def inlined_output(concrete: Any) -> Any:
    """Return the tensor of a function's first output; that of the called function if a call computes it."""
    output = concrete.outputs[0]
    if "PartitionedCall" in skip_identities(output.op).type:  # a SavedModel's function, which freezing inlines
        output = freeze(concrete).outputs[0]
    return output


def final_activation(output: Any) -> str:
    """Return "softmax" or "sigmoid" if that computes an output tensor, else an empty string."""
    return FINAL_ACTIVATIONS.get(skip_identities(output.op).type, "")


def batchless_outputs(trace: Callable[[int], Any], batch: int, *, fixed: bool) -> tuple[int, ...]:
    """Return the indices of a function's outputs without a batch dimension.

    Such an output is one array for all samples of a batch, as the anchors of a detector are. It has the same size for 1
    and for ``batch`` samples; with ``fixed``, where the function takes no other, a size that is no multiple of it.
    """
    if fixed:
        shapes = [output.shape for output in trace(batch).outputs]
        return tuple(index for index, shape in enumerate(shapes) if not _is_multiple(shape, batch))
    small, large = ([output.shape for output in trace(size).outputs] for size in (1, batch))
    sizes = zip(small, large, strict=True)
    return tuple(index for index, (one, many) in enumerate(sizes) if one == many and one.is_fully_defined())


def _is_multiple(shape: Any, batch: int) -> bool:
    """Return whether the first dimension of a shape is unknown or a multiple of a batch size."""
    if shape.rank is None:
        return True
    return shape.rank > 0 and (shape[0] is None or shape[0] % batch == 0)


def prediction_function(concrete: Any, batchless: Collection[int] = ()) -> Callable[[Any], dict[str, Any]]:
    """Return a function of samples to ``OUTPUT`` and, for a single output with a final activation, ``LOGITS``.

    Both are (n, values); the values of several outputs are concatenated. ``batchless`` are the indices of outputs
    without a batch dimension, which every sample gets.
    """
    import numpy as np
    import tensorflow as tf

    wrapped, input_name, output_names = import_frozen(concrete)
    graph = wrapped.graph
    last = skip_identities(graph.get_tensor_by_name(output_names[0]).op)
    has_logits = len(output_names) == 1 and last.type in FINAL_ACTIVATIONS
    fetched = [*output_names, *([last.inputs[0].name] if has_logits else [])]
    pruned = wrapped.prune(graph.get_tensor_by_name(input_name), [graph.get_tensor_by_name(name) for name in fetched])

    def predict(samples: Any) -> dict[str, Any]:
        values = [np.asarray(value) for value in pruned(tf.constant(samples))]
        values = [
            np.repeat(value.reshape(1, -1), len(samples), axis=0)
            if index in batchless
            else value.reshape(len(samples), -1)
            for index, value in enumerate(values)
        ]
        outputs = np.concatenate(values[: len(output_names)], axis=1)
        return {OUTPUT: outputs, **({LOGITS: values[-1]} if has_logits else {})}

    return predict


class TensorFlowValues:
    """Intermediate values of a traced function, computed by TensorFlow, by their names in Core ML.

    coremltools keeps TensorFlow's names with "_" for special characters, and appends one of ``TRANSPOSED_SUFFIXES`` to
    those of results with their channels second. ``outputs`` are the names of the package's outputs; ``scale`` is the
    factor for pixel values.
    """

    def __init__(self, concrete: Any, scale: float, outputs: Sequence[str] = ()) -> None:
        self._scale, self._batch = scale, int(concrete.inputs[0].shape[0])
        self._wrapped, self._input_name, output_tensors = import_frozen(concrete)
        self._tensors: dict[str, str] = dict(zip(outputs, output_tensors, strict=False))
        for op in self._wrapped.graph.get_operations():
            if len(op.outputs) == 1 and op.outputs[0].dtype.is_floating and op.type not in {"Const", "Placeholder"}:
                name = coreml_name(op.name)
                for suffix in ("", *TRANSPOSED_SUFFIXES):
                    self._tensors.setdefault(f"{name}{suffix}", op.outputs[0].name)

    def names(self) -> Collection[str]:
        """Return the names of all known values."""
        return self._tensors.keys()

    def values(self, names: Sequence[str], samples: Any) -> Mapping[str, Any]:
        """Return values by name for one batch of samples (n, *shape): uint8 pixels, or float32."""
        import numpy as np
        import tensorflow as tf

        graph = self._wrapped.graph
        tensors = [graph.get_tensor_by_name(self._tensors[name]) for name in names]
        run = self._wrapped.prune(graph.get_tensor_by_name(self._input_name), tensors)
        scaled = np.asarray(samples, np.float32) * np.float32(self._scale)
        values = run(tf.constant(pad_batch(scaled, self._batch)))
        return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def pad_batch(samples: Any, batch: int) -> Any:
    """Return samples filled up to a whole batch with copies of the last one."""
    import numpy as np

    return np.concatenate([samples, np.repeat(samples[-1:], batch - len(samples), axis=0)])
