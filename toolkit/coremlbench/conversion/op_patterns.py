"""Tests of one operation of a loaded MIL program: its type, attributes, shapes, precision and neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SCORE_OPS = ("add", "sub", "mul", "real_div", "select", "cast", "identity")
"""Ops between the product of queries and keys and the softmax: scale, bias and mask."""
VALUE_PRESERVING_OPS = ("cast", "identity", "reshape", "expand_dims", "squeeze")
FUSED_BATCH = 10
"""The smallest first dimension at which the fused attention of the GPU is wrong."""
ATTENTION_RANK = 4


def is_half_softplus(op: Any) -> bool:
    """Return whether an operation is a softplus in float16."""
    return op.op_type == "softplus" and _is_half(op.outputs[0])


def is_half_unshifted_log_sum_exp(op: Any) -> bool:
    """Return whether an operation is a log-sum-exp in float16 of inputs that may be large.

    Inputs from which their maximum was subtracted, as coremltools converts TensorFlow's log_softmax, are 0 at most.
    """
    if op.op_type != "reduce_log_sum_exp" or not _is_half(op.outputs[0]):
        return False
    shifted = _producer(op.inputs["x"])
    return not (shifted is not None and shifted.op_type == "sub" and _subtracts_maximum(shifted))


def _subtracts_maximum(op: Any) -> bool:
    maximum = _producer(op.inputs["y"])
    return maximum is not None and maximum.op_type == "reduce_max" and maximum.inputs["x"] is op.inputs["x"]


def is_half_log_of_softmax(op: Any) -> bool:
    """Return whether an operation is the logarithm of a softmax in float16."""
    if op.op_type != "log" or not _is_half(op.outputs[0]):
        return False
    source = _producer(op.inputs["x"])
    return source is not None and source.op_type == "softmax"


def is_sized_conv_transpose(op: Any) -> bool:
    """Return whether an operation is a transposed convolution that is given the shape of its output."""
    return op.op_type == "conv_transpose" and op.inputs.get("output_shape") is not None


def is_batched_attention(op: Any) -> bool:
    """Return whether an operation is attention of which the GPU's fused kernel would compute at least 10 at once.

    Either the op of iOS 18, or the softmax of a product of matrices that is multiplied with a third, all of rank 4.
    """
    if op.op_type == "scaled_dot_product_attention":
        return _is_batched(op.inputs["query"])
    if op.op_type != "softmax" or not _is_batched(op.outputs[0]):
        return False
    return _comes_from_product(op.inputs["x"]) and any(map(_is_product, _consumers(op.outputs[0])))


def _is_product(op: Any) -> bool:
    """Return whether an operation is a product of two computed matrices, none of which is a weight."""
    return bool(op.op_type == "matmul") and _is_computed(op.inputs["x"]) and _is_computed(op.inputs["y"])


def _is_computed(var: Any) -> bool:
    """Return whether a value is neither a constant nor a compressed constant."""
    return var.val is None and not (var.op is not None and var.op.op_type.startswith("constexpr_"))


def _is_batched(var: Any) -> bool:
    shape = _shape(var)
    return shape is not None and len(shape) == ATTENTION_RANK and shape[0] >= FUSED_BATCH


def _comes_from_product(var: Any) -> bool:
    """Return whether a value is a product of two computed matrices, maybe scaled, biased and masked."""
    waiting, seen = [var], set()
    while waiting:
        op = waiting.pop().op
        if op is None or id(op) in seen:
            continue
        seen.add(id(op))
        if _is_product(op):
            return True
        if op.op_type in SCORE_OPS:
            waiting += [source for source in op.inputs.values() if source is not None and _is_computed(source)]
    return False


def is_affine_weight(op: Any) -> bool:
    """Return whether an operation expands weights of 8 bits that have one scale for each channel (iOS 16)."""
    return bool(op.op_type == "constexpr_affine_dequantize")


def is_blockwise_weight(op: Any) -> bool:
    """Return whether an operation expands integer weights that have one scale for each block (iOS 18).

    The scales of palettes, whose data are floating-point numbers, are not meant.
    """
    return op.op_type == "constexpr_blockwise_shift_scale" and "int" in _type_name(op.inputs["data"])


def is_padded_even_convolution(op: Any) -> bool:
    """Return whether an operation is a convolution with an even kernel size and padding along an axis.

    It must take more than one channel: the issue says that a single channel is computed right.
    """
    if op.op_type != "conv":
        return False
    weight, image = _shape(op.inputs["weight"]), _shape(op.inputs["x"])
    if weight is None or image is None or image[1] == 1:
        return False
    kernel = weight[2:]
    return any(
        size % 2 == 0 and padding > 0 for size, padding in zip(kernel, _paddings(op, kernel, image[2:]), strict=True)
    )


def _paddings(op: Any, kernel: tuple[int, ...], image: tuple[int, ...]) -> list[int]:
    """Return the padding along each axis, both sides together."""
    pad_type = str(op.inputs["pad_type"].val)
    if pad_type == "valid":
        return [0] * len(kernel)
    if pad_type == "custom":
        pad = [int(value) for value in op.inputs["pad"].val]
        return [before + after for before, after in zip(pad[::2], pad[1::2], strict=True)]
    strides, dilations = (_per_axis(op, name, len(kernel)) for name in ("strides", "dilations"))
    return [
        max(0, (-(-length // stride) - 1) * stride + (size - 1) * dilation + 1 - length)
        for length, size, stride, dilation in zip(image, kernel, strides, dilations, strict=True)
    ]


def _per_axis(op: Any, name: str, axes: int) -> list[int]:
    var = op.inputs.get(name)
    return [1] * axes if var is None else [int(value) for value in var.val]


def is_gru(op: Any) -> bool:
    """Return whether an operation is a gated recurrent unit."""
    return bool(op.op_type == "gru")


def _producer(var: Any) -> Any:
    """Return the operation that computes a value, ignoring those that keep the values; ``None`` for an input."""
    op = var.op
    while op is not None and op.op_type in VALUE_PRESERVING_OPS:
        op = op.inputs["x"].op
    return op


def _consumers(var: Any) -> Iterator[Any]:
    """Yield the operations that take a value, ignoring those that keep the values."""
    for op in var.child_ops:
        if op.op_type in VALUE_PRESERVING_OPS:
            yield from _consumers(op.outputs[0])
        else:
            yield op


# The graph module imports NumPy and ONNX, which takes long: it is imported where a program is at hand.


def _is_half(var: Any) -> bool:
    """Return whether a value is a float16 tensor."""
    from coremlbench.mil_onnx.graph import is_half

    return is_half(var)


def _shape(var: Any) -> tuple[int, ...] | None:
    """Return the shape of a value if all dimensions are known, else ``None``."""
    from coremlbench.mil_onnx.graph import static_shape

    return static_shape(var)


def _type_name(var: Any) -> str:
    """Return the name of a value's element type, as "fp16" or "int8"."""
    from coremlbench.mil_onnx.graph import dtype_name

    return dtype_name(var)
