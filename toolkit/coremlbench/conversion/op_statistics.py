"""Statistics of a saved ML Program: operations by type, multiply-adds of one prediction, bytes of its weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coremlbench.conversion.variants import Precision, uncompressed_variant
from coremlbench.types.conversion import VariantName


def operations(program: Any) -> Iterator[Any]:
    """Yield the operations of a program in order, including those of nested blocks (conditions and loops)."""
    stack = list(reversed(program.function.operations))
    while stack:
        op = stack.pop()
        yield op
        for block in reversed(op.blocks):
            stack.extend(reversed(block.operations))


def count_ops(program: Any) -> dict[str, int]:
    """Return the number of operations by type, without constants, the most frequent first."""
    return dict(Counter(op.op_type for op in operations(program) if op.op_type != "const").most_common())


def multiply_adds(program: Any) -> int | None:
    """Return the multiply-adds of one call in convolutions and matrix products.

    ``None`` when a shape is unknown, or the number of iterations of a loop that holds such an operation.
    Other operations (activations, poolings, sums) are not counted: they are 1 to 2 percent, and the peak rates of
    chips count multiply-adds only.
    """
    from coremlbench.mil_onnx.graph import static_shape

    total = 0
    for op in operations(program):
        if op.op_type in MULTIPLY_ADDS:
            shapes = [static_shape(var) for var in (op.outputs[0], *_operands(op))]
            if any(shape is None for shape in shapes) or _is_in_loop(op):
                return None
            total += MULTIPLY_ADDS[op.op_type](op, *shapes)
    return total


def _is_in_loop(op: Any) -> bool:
    """Return whether an operation is in a loop, directly or in a block within it."""
    outer = op.enclosing_block.outer_op
    return outer is not None and (outer.op_type == "while_loop" or _is_in_loop(outer))


def _operands(op: Any) -> list[Any]:
    names = ("x", "y") if op.op_type == "matmul" else ("x", "weight")
    return [op.inputs[name] for name in names]


def _convolution(op: Any, out: tuple[int, ...], x: tuple[int, ...], weight: tuple[int, ...]) -> int:
    del op, x  # a weight is (out, in / groups, height, width)
    return math.prod(out) * math.prod(weight[1:])


def _transposed_convolution(op: Any, out: tuple[int, ...], x: tuple[int, ...], weight: tuple[int, ...]) -> int:
    del op, out  # a weight is (in, out / groups, height, width)
    return math.prod(x) * math.prod(weight[1:])


def _matrix_product(op: Any, out: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...]) -> int:
    del y
    transposed = op.op_type == "matmul" and op.transpose_x is not None and bool(op.transpose_x.val)
    return math.prod(out) * (x[-2] if transposed and len(x) > 1 else x[-1])


MULTIPLY_ADDS: dict[str, Callable[..., int]] = {
    "conv": _convolution,
    "conv_quantized": _convolution,
    "conv_transpose": _transposed_convolution,
    "linear": _matrix_product,
    "matmul": _matrix_product,
}
"""Functions of an op and the shapes of its output and its two operands."""


def weight_bytes(package: Path) -> int:
    """Return the size of a package's weight files; small constants are stored in the program and not counted."""
    return sum(file.stat().st_size for file in package.rglob("weights/*") if file.is_file())


def matching_variant(program: Any) -> VariantName:
    """Return the variant whose thresholds apply to a package, found from its operations and data types."""
    op_types = count_ops(program)
    if "quantize" in op_types:
        return "int8-activations"
    if any(op_type.startswith("constexpr_lut") for op_type in op_types):
        return "palettized-4" if _smallest_palette(program) <= 16 else "palettized-6"
    if any(op_type.startswith(("constexpr_affine", "constexpr_blockwise")) for op_type in op_types):
        return "int8"
    return uncompressed_variant(compute_precision(program)).name


def compute_precision(program: Any) -> Precision:
    """Return float16 if any value of the program is float16: that part can run on the Neural Engine."""
    from coremlbench.mil_onnx.graph import is_half

    has_float16 = any(is_half(var) for op in operations(program) if op.op_type != "const" for var in op.outputs)
    return "float16" if has_float16 else "float32"


def _smallest_palette(program: Any) -> int:
    """Return the number of entries of the program's smallest lookup table."""
    sizes = []
    for op in operations(program):
        if op.op_type.startswith("constexpr_lut"):
            lut = op.lut.val
            sizes.append(int(lut.shape[0]) if lut.ndim == 1 else int(lut.shape[-2]))
    return min(sizes)
