"""Pooling, 1 to 3 spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coremlbench.mil_onnx.conv import AUTO_PAD, ints, onnx_pads, same_padding
from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, dims
from coremlbench.mil_onnx.open_sizes import Size, as_vector, combine, size_of


@dataclass(frozen=True)
class Window:
    """The window of a pooling and its paddings, in ONNX's order (all before, then all behind).

    ``overhang`` is how far the last window reaches past the padded input, behind each dimension, when ``ceil_mode``
    keeps a window that does not fit; it is computed at run time where the input's size is open. ``auto_pad`` stands
    for ``pads`` there.
    """

    kernel: list[int]
    strides: list[int]
    pads: list[int]
    overhang: list[Size]
    auto_pad: str | None = None

    @property
    def padded(self) -> list[Size]:
        """Return the paddings with the overhang, in ONNX's order."""
        rank = len(self.kernel)
        return [
            *self.pads[:rank],
            *(
                over if isinstance(over, str) else pad + over
                for pad, over in zip(self.pads[rank:], self.overhang, strict=True)
            ),
        ]


def window_of(graph: Graph, op: Operation) -> Window:
    """Return the window of a pooling op with its paddings worked out from the input's size."""
    kernel, strides = ints(op.kernel_sizes.val), ints(op.strides.val)
    rank, kind = len(kernel), op.pad_type.val.lower()
    sizes, targets = dims(op.x)[2:], dims(op.outputs[0])[2:]
    pads = onnx_pads(ints(op.pad.val)) if kind == "custom" else [0] * 2 * rank
    known = [size for size in sizes if size is not None]
    if len(known) < rank:
        if op.ceil_mode.val:
            return Window(kernel, strides, pads, _open_overhang(graph, op, Window(kernel, strides, pads, [0] * rank)))
        return Window(kernel, strides, pads, [0] * rank, AUTO_PAD.get(kind))
    if kind in AUTO_PAD:
        pads = same_padding(known, kernel, strides, lower=kind == "same_lower")
    overhang: list[Size] = [
        max((int(target or 1) - 1) * stride + extent - size - first - last, 0)
        for target, stride, extent, size, first, last in zip(
            targets, strides, kernel, known, pads[:rank], pads[rank:], strict=True
        )
    ]
    return Window(kernel, strides, pads, overhang)


def _open_overhang(graph: Graph, op: Operation, window: Window) -> list[Size]:
    """Return the overhang of ``ceil_mode`` where sizes are open, by the rule of coremltools' shape inference.

    The number of windows is rounded up; with padding, one that would begin behind the input is left out again.
    """
    rank, overhang = len(window.kernel), []
    for axis, (extent, stride) in enumerate(zip(window.kernel, window.strides, strict=True)):
        first, last = window.pads[axis], window.pads[rank + axis]
        size = size_of(graph, op.x, 2 + axis)
        padded = combine(graph, "Add", size, first + last)
        steps = combine(graph, "Div", combine(graph, "Sub", combine(graph, "Add", padded, stride - 1), extent), stride)
        if first or last:
            # A window begins before the end of the input if its index is at most (size + first - 1) / stride.
            most = combine(graph, "Div", combine(graph, "Add", size, first - 1), stride)
            steps = combine(graph, "Min", steps, most)
        reach = combine(graph, "Add", combine(graph, "Mul", steps, stride), extent)
        overhang.append(combine(graph, "Max", combine(graph, "Sub", reach, padded), 0))
    return overhang


def _pad(graph: Graph, name: str, window: Window, value: float) -> str:
    """Return ``name`` with its spatial dimensions padded with ``value``, the overhang of the window included."""
    rank = len(window.kernel)
    behind = [combine(graph, "Add", pad, over) for pad, over in zip(window.pads[rank:], window.overhang, strict=True)]
    full = as_vector(graph, [0, 0, *window.pads[:rank], 0, 0, *behind])
    return graph.node("Pad", [name, full, graph.constant(value, np.float32)])


def _fits(window: Window) -> list[int] | None:
    """Return the paddings with the overhang where all are known and below the kernel, as ONNX Runtime wants them."""
    pads = [pad for pad in window.padded if isinstance(pad, int)]
    if len(pads) < 2 * len(window.kernel):
        return None
    return pads if all(pad < extent for pad, extent in zip(pads, window.kernel * 2, strict=True)) else None


def max_pool(graph: Graph, op: Operation) -> str:
    """Return the largest value of each window; padding is never the largest."""
    window, name = window_of(graph, op), graph.tensor(op.x)
    pads = _fits(window)
    if pads is None:
        name = _pad(graph, name, window, -np.inf)
    return graph.node(
        "MaxPool",
        [name],
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=None if window.auto_pad else pads,
        auto_pad=window.auto_pad,
    )


def avg_pool(graph: Graph, op: Operation) -> str:
    """Return the mean of each window, padding counted as zeros or left out.

    What a window covers past the padded input (``ceil_mode``) is never counted, as in PyTorch.
    """
    window = window_of(graph, op)
    pads = _fits(window)
    counted = not op.exclude_padding_from_average.val and (window.auto_pad is not None or any(window.padded))
    if counted or pads is None:
        return _sum_by_count(graph, op, window)
    return graph.node(
        "AveragePool",
        [graph.tensor(op.x)],
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=None if window.auto_pad else pads,
        auto_pad=window.auto_pad,
    )


def _sum_by_count(graph: Graph, op: Operation, window: Window) -> str:
    """Return the mean of each window as its sum, a convolution with ones, by how many values count in it.

    ONNX Runtime takes no padding of the kernel's size in AveragePool. Where it is to count padding, versions before
    1.25 leave out what stands behind (its issue 26708; 1.23 is the last for Intel Macs and for Python 3.10), and they
    draw a Pad before an AveragePool into that.
    """
    channels = dims(op.x)[1]
    if channels is None:
        raise UnsupportedProgramError(
            f"The {op.op_type} that makes '{op.outputs[0].name}' has an open number of channels."
        )
    name, known = graph.tensor(op.x), [pad for pad in window.padded if isinstance(pad, int)]
    if len(known) < 2 * len(window.kernel):
        name, known = _pad(graph, name, window, 0.0), [0] * 2 * len(window.kernel)
    total = graph.node(
        "Conv",
        [name, graph.constant(np.ones((channels, 1, *window.kernel)), np.float32)],
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=None if window.auto_pad else known,
        auto_pad=window.auto_pad,
        group=channels,
    )
    return graph.node("Div", [total, _counts(graph, op, window)])


def _counts(graph: Graph, op: Operation, window: Window) -> str:
    """Return the tensor of how many values count in each window: of the output's spatial dimensions, or one number."""
    within = 0 if op.exclude_padding_from_average.val else 1
    if within and not any(window.overhang):
        return graph.constant(np.prod(window.kernel), np.float32)
    rank, name = len(window.kernel), ""
    for axis in range(rank):
        along = _counts_along(graph, op, window, axis)
        shape = [-1 if axis == other else 1 for other in range(rank)]
        column = graph.node("Reshape", [along, graph.ints(shape)])
        name = graph.node("Mul", [name, column]) if name else column
    return name


def _counts_along(graph: Graph, op: Operation, window: Window, axis: int) -> str:
    """Return the float vector of how many values along one dimension count in each window."""
    within = 0 if op.exclude_padding_from_average.val else 1
    rank, extent, stride = len(window.kernel), window.kernel[axis], window.strides[axis]
    size, over = size_of(graph, op.x, 2 + axis), window.overhang[axis]
    first, last = window.pads[axis], window.pads[rank + axis]
    if isinstance(size, int) and isinstance(over, int):
        counting = np.repeat([within, 1, within, 0], (first, size, last, over))
        counts = np.lib.stride_tricks.sliding_window_view(counting, extent)[::stride].sum(1)
        if not counts.all():
            raise UnsupportedProgramError(
                f"The {op.op_type} that makes '{op.outputs[0].name}' has a window of padding alone, whose mean no "
                "source tells."
            )
        return graph.constant(counts, np.float32)
    parts = [
        graph.node("Expand", [graph.constant(value, np.float32), as_vector(graph, [count])])
        for value, count in ((within, first), (1, size), (within, last), (0, over))
        if count != 0
    ]
    counting_open = graph.node("Unsqueeze", [graph.node("Concat", parts, axis=0), graph.ints([0, 1])])
    ones = graph.constant(np.ones((1, 1, extent)), np.float32)
    sums = graph.node("Conv", [counting_open, ones], kernel_shape=[extent], strides=[stride])
    return graph.node("Reshape", [sums, graph.ints([-1])])


def l2_pool(graph: Graph, op: Operation) -> str:
    """Return the square root of each window's sum of squares."""
    window, name = window_of(graph, op), graph.tensor(op.x)
    if window.auto_pad:
        return graph.node(
            "LpPool", [name], p=2, kernel_shape=window.kernel, strides=window.strides, auto_pad=window.auto_pad
        )
    padded = _pad(graph, name, window, 0.0) if any(window.padded) else name
    return graph.node("LpPool", [padded], p=2, kernel_shape=window.kernel, strides=window.strides)


OPS: dict[str, Callable[[Graph, Operation], str]] = {"avg_pool": avg_pool, "l2_pool": l2_pool, "max_pool": max_pool}
