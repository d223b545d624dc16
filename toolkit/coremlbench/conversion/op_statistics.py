"""What a saved ML Program is made of: operations by kind, multiply-adds of one call, bytes of its constants."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coremlbench.conversion.variants import Precision, uncompressed
from coremlbench.types.conversion import VariantName


def operations(program: Any) -> Iterator[Any]:
    """Give the operations of a program in order, those inside conditions and loops included."""
    left = list(reversed(program.function.operations))
    while left:
        op = left.pop()
        yield op
        for block in reversed(op.blocks):
            left.extend(reversed(block.operations))


def census(program: Any) -> dict[str, int]:
    """Return how many operations of each kind a program has, constants left out, the most frequent first."""
    return dict(Counter(op.op_type for op in operations(program) if op.op_type != "const").most_common())


def arithmetic(program: Any) -> int | None:
    """Return the multiply-adds of one call in convolutions and matrix products, ``None`` when a shape is unknown.

    The rest (activations, poolings, sums) is not counted: it is a percent or two, and no chip's peak is quoted in it.
    """
    from coremlbench.mil_onnx.graph import static_shape

    total = 0
    for op in operations(program):
        if op.op_type in COUNTED:
            shapes = [static_shape(var) for var in (op.outputs[0], *_operands(op))]
            if any(shape is None for shape in shapes):
                return None
            total += COUNTED[op.op_type](op, *shapes)
    return total


def _operands(op: Any) -> list[Any]:
    names = ("x", "y") if op.op_type == "matmul" else ("x", "weight")
    return [op.inputs[name] for name in names]


def _convolution(op: Any, out: tuple[int, ...], x: tuple[int, ...], weight: tuple[int, ...]) -> int:
    del op, x  # a weight is (out, in / groups, height, width)
    return math.prod(out) * math.prod(weight[1:])


def _transposed(op: Any, out: tuple[int, ...], x: tuple[int, ...], weight: tuple[int, ...]) -> int:
    del op, out  # a weight is (in, out / groups, height, width)
    return math.prod(x) * math.prod(weight[1:])


def _product(op: Any, out: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...]) -> int:
    del y
    swapped = op.op_type == "matmul" and op.transpose_x is not None and bool(op.transpose_x.val)
    return math.prod(out) * (x[-2] if swapped and len(x) > 1 else x[-1])


COUNTED: dict[str, Callable[..., int]] = {
    "conv": _convolution,
    "conv_quantized": _convolution,
    "conv_transpose": _transposed,
    "linear": _product,
    "matmul": _product,
}


def weight_bytes(package: Path) -> int:
    """Return the bytes of the files of weights in a package; constants below some bytes stand in the program itself."""
    return sum(file.stat().st_size for file in package.rglob("weights/*") if file.is_file())


def precision_of(program: Any) -> VariantName:
    """Return the variant whose thresholds fit a package, told by its operations and types."""
    kinds = census(program)
    if "quantize" in kinds:
        return "int8-activations"
    if any(kind.startswith("constexpr_lut") for kind in kinds):
        return "palettized-4" if _least_palette(program) <= 16 else "palettized-6"
    if any(kind.startswith(("constexpr_affine", "constexpr_blockwise")) for kind in kinds):
        return "int8"
    return uncompressed(computes_in(program)).name


def computes_in(program: Any) -> Precision:
    """Return float16 for a program with any value of it, as some of it can then run on the Neural Engine."""
    from coremlbench.mil_onnx.graph import is_half

    halves = any(is_half(var) for op in operations(program) if op.op_type != "const" for var in op.outputs)
    return "float16" if halves else "float32"


def _least_palette(program: Any) -> int:
    """Return how many values the smallest palette of a program has."""
    sizes = []
    for op in operations(program):
        if op.op_type.startswith("constexpr_lut"):
            lut = op.lut.val
            sizes.append(int(lut.shape[0]) if lut.ndim == 1 else int(lut.shape[-2]))
    return min(sizes)
