"""Convolutions.

The sizes of the ``same`` paddings are those of coremltools' shape inference (``aggregated_pad``) and of TensorFlow,
whose SAME convolutions are converted to it: ``ceil(input / stride)`` outputs, and what padding they need split in
two, the odd element behind (``same``) or before (``same_lower``). The op's documentation gives a formula that
agrees only where the stride is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, dims

AUTO_PAD = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER"}


def same_padding(sizes: Sequence[int], window: Sequence[int], strides: Sequence[int], *, lower: bool) -> list[int]:
    """Return the padding before each dimension, then behind each, of a ``same`` convolution or pooling.

    ``window`` is the extent of the kernel with its dilation.
    """
    total = [
        max((-(-size // stride) - 1) * stride + extent - size, 0)
        for size, extent, stride in zip(sizes, window, strides, strict=True)
    ]
    small, large = [pad // 2 for pad in total], [pad - pad // 2 for pad in total]
    return large + small if lower else small + large


def ints(value: object) -> list[int]:
    """Return a constant vector of the program as Python integers."""
    return [int(item) for item in value]  # type: ignore[attr-defined]  # a numpy array, by the op's definition


def onnx_pads(pad: Sequence[int]) -> list[int]:
    """Return MIL's padding (before and behind, dimension by dimension) in ONNX's order (all before, all behind)."""
    return [*pad[::2], *pad[1::2]]


def _padding(
    op: Operation, kernel: list[int], strides: list[int], dilations: list[int]
) -> tuple[list[int] | None, str | None]:
    """Return ONNX's ``pads`` and ``auto_pad`` of a convolution: one of them, or neither where nothing is padded."""
    pad_type, sizes = op.pad_type.val, dims(op.x)[2:]
    if pad_type == "custom":
        return onnx_pads(ints(op.pad.val)), None
    if pad_type not in AUTO_PAD:
        return None, None
    # With a stride of 1 the padding is the same for every size.
    known = [1 if stride == 1 else size for size, stride in zip(sizes, strides, strict=True)]
    if None not in known:
        window = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
        exact = [size for size in known if size is not None]
        return same_padding(exact, window, strides, lower=pad_type == "same_lower"), None
    if any(dilation > 1 for dilation in dilations):
        raise UnsupportedProgramError(
            f"The conv that makes '{op.outputs[0].name}' is padded by the size of its input, which is open, and has "
            "strides and dilations, which ONNX Runtime cannot do together."
        )
    return None, AUTO_PAD[pad_type]


def conv(graph: Graph, op: Operation) -> str:
    """Return the convolution of ``x`` (n, channels, 1 to 3 spatial dimensions), of any padding and grouping."""
    kernel = [int(size) for size in op.weight.shape[2:]]
    strides, dilations = ints(op.strides.val), ints(op.dilations.val)
    pads, auto_pad = _padding(op, kernel, strides, dilations)
    inputs = [graph.tensor(op.x), graph.tensor(op.weight)]
    if op.bias is not None:
        inputs.append(graph.tensor(op.bias))
    return graph.node(
        "Conv",
        inputs,
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        group=int(op.groups.val),
        pads=pads,
        auto_pad=auto_pad,
    )


def _surplus(op: Operation, axis: int, extent: int, stride: int, pad: list[int]) -> int:
    """Return how many outputs more than the program states a transposed convolution makes along a spatial dimension.

    Of an open size they are as many as of any other, unless the program states a size of its own.
    """
    size, target = dims(op.x)[2 + axis], dims(op.outputs[0])[2 + axis]
    if size is not None and target is not None:
        return (size - 1) * stride + extent - target
    if op.output_shape is not None:
        raise UnsupportedProgramError(
            f"The conv_transpose that makes '{op.outputs[0].name}' states the size of its output for an input of open "
            "size."
        )
    return extent - stride if op.pad_type.val == "same" else sum(pad[2 * axis : 2 * axis + 2])


def conv_transpose(graph: Graph, op: Operation) -> str:
    """Return the transposed convolution of ``x``; its output's size is the one the program states.

    Where the size is larger than input, stride and kernel make it, the rest is padded behind; where it is smaller,
    the surplus is cut: behind for ``valid`` and ``custom``, on both sides for ``same``, the odd element behind, as
    the gradient of a ``same`` convolution has it.
    """
    kernel = [int(size) for size in op.weight.shape[2:]]
    strides, dilations = ints(op.strides.val), ints(op.dilations.val)
    pad = ints(op.pad.val) if op.pad_type.val == "custom" else [0] * 2 * len(kernel)
    before, behind, extra = [], [], []
    for axis in range(len(kernel)):
        cut = _surplus(op, axis, (kernel[axis] - 1) * dilations[axis] + 1, strides[axis], pad)
        first = max(cut, 0) // 2 if op.pad_type.val == "same" else pad[2 * axis]
        before.append(first)
        behind.append(max(cut - first, 0))
        extra.append(max(first - cut, 0))
    inputs = [graph.tensor(op.x), graph.tensor(op.weight)]
    if op.bias is not None:
        inputs.append(graph.tensor(op.bias))
    return graph.node(
        "ConvTranspose",
        inputs,
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        group=int(op.groups.val),
        pads=[*before, *behind],
        output_padding=extra if any(extra) else None,
    )


OPS: dict[str, Callable[[Graph, Operation], str]] = {"conv": conv, "conv_transpose": conv_transpose}
