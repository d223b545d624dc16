"""A TensorFlow graph, seen from its input: the ops between input and outputs, and the values of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHAPE_OPS = {"Shape", "ShapeN", "Size", "Rank"}
"""Ops whose value depends on the shape of their input only."""
MOVING_OPS = {
    *("Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape", "Snapshot"),
    *("Reshape", "ExpandDims", "Squeeze", "Transpose", "Slice", "StridedSlice", "ReverseV2", "Roll", "Tile"),
    *("BroadcastTo", "Split", "SplitV", "Unpack", "Pack", "ConcatV2", "GatherV2", "SpaceToDepth", "DepthToSpace"),
    *("Pad", "PadV2", "MirrorPad"),
}
"""Ops that move, repeat or leave out numbers, or add constant ones, and change none."""
JOINING_OPS = {"ConcatV2", "Pack", "IdentityN"}
"""Those of ``MOVING_OPS`` that read numbers from several inputs."""


class InputGraph:
    """The graph of a function with one input; the functions that it calls are parts of it.

    Its variables stay what they are: freezing the weights of VGG16 takes minutes and six gigabytes. ``ops`` are the ops
    that the outputs depend on, each behind those that it reads. ``outputs`` are the names of the outputs' tensors.
    """

    def __init__(self, concrete: Any) -> None:
        import tensorflow as tf

        graph_def = _inlined(concrete)

        def imported() -> None:
            capture = tf.compat.v1.get_default_graph().capture
            captures = {placeholder.name: capture(value) for value, placeholder in concrete.graph.captures}
            tf.graph_util.import_graph_def(graph_def, input_map=captures, name="")

        self._wrapped = tf.compat.v1.wrap_function(imported, [])
        self.input_name, self.outputs = concrete.inputs[0].name, [tensor.name for tensor in concrete.outputs]
        graph = self._wrapped.graph
        self._input = graph.get_tensor_by_name(self.input_name)
        self.ops = _in_order([graph.get_tensor_by_name(name).op for name in self.outputs])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of the input, batch first."""
        return tuple(self._input.shape.as_list())

    def values(self, names: Sequence[str], sample: Any) -> list[Any]:
        """Return the values of tensors, as NumPy arrays, for one input of ``input_shape``."""
        import numpy as np
        import tensorflow as tf

        tensors = [self._wrapped.graph.get_tensor_by_name(name) for name in names]
        run = self._wrapped.prune(self._input, tensors)
        return [value.numpy() for value in run(tf.constant(np.asarray(sample, np.float32)))]

    def constant(self, tensor: Any) -> Any:
        """Return the value of a tensor that does not depend on the input."""
        import numpy as np

        (value,) = self.values([tensor.name], np.zeros(self.input_shape, np.float32))
        return value


def _inlined(concrete: Any) -> Any:
    """Return the graph of a function as a protocol buffer, with the functions that it calls as parts of it."""
    from tensorflow.python.framework import convert_to_constants

    if not any("PartitionedCall" in op.type for op in concrete.graph.get_operations()):
        return concrete.graph.as_graph_def()
    inline = convert_to_constants._run_inline_graph_optimization  # noqa: SLF001 - the first half of freezing
    return inline(concrete, lower_control_flow=False, aggressive_inlining=False)


def op_types(concrete: Any) -> set[str]:
    """Return the types of all ops of a function and of those that it calls."""
    graph = concrete.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def variable_shape(resource: Any) -> tuple[int | None, ...]:
    """Return the shape of the variable that a tensor of the type ``resource`` stands for; ``()`` when not known."""
    import tensorflow as tf
    from tensorflow.python.ops import handle_data_util

    data = handle_data_util.get_resource_handle_data(resource)
    return tuple(tf.TensorShape(data.shape_and_type[0].shape).as_list()) if data and data.is_set else ()


def moved_inputs(op: Any) -> list[Any]:
    """Return those of an op's inputs whose numbers it moves; the others tell where to. ``op`` is of ``MOVING_OPS``."""
    if op.type == "ConcatV2":
        return list(op.inputs[:-1])
    if op.type in JOINING_OPS:
        return list(op.inputs)
    return [op.inputs[1 if op.type == "Split" else 0]]


def _in_order(outputs: Sequence[Any]) -> list[Any]:
    """Return the ops that some ops depend on and these themselves, each behind those that it reads."""
    ordered: dict[str, Any] = {}
    stack = list(outputs)
    while stack:
        op = stack[-1]
        missing = [tensor.op for tensor in op.inputs if tensor.op.name not in ordered]
        if missing:
            stack += missing
        else:
            ordered[stack.pop().name] = op
    return list(ordered.values())
