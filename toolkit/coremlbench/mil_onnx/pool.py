"""Pooling, 1 to 3 spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from coremlbench.mil_onnx.conv import AUTO_PAD, ints, onnx_pads, same_padding
from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgramError, dims


@dataclass(frozen=True)
class Window:
    """The window of a pooling and its paddings, in ONNX's order (all before, then all behind).

    ``overhang`` is how far the last window reaches past the padded input, behind each dimension, when ``ceil_mode``
    keeps a window that does not fit; ``auto_pad`` stands for ``pads`` where the input's size is open.
    """

    kernel: list[int]
    strides: list[int]
    pads: list[int]
    overhang: list[int]
    auto_pad: str | None = None


def window_of(op: Operation) -> Window:
    """Return the window of a pooling op with its paddings worked out from the input's size."""
    kernel, strides = ints(op.kernel_sizes.val), ints(op.strides.val)
    rank, kind = len(kernel), op.pad_type.val.lower()
    sizes, targets = dims(op.x)[2:], dims(op.outputs[0])[2:]
    pads = onnx_pads(ints(op.pad.val)) if kind == "custom" else [0] * 2 * rank
    known = [size for size in sizes if size is not None]
    if len(known) < rank:
        if op.ceil_mode.val:
            raise UnsupportedProgramError(
                f"The {op.op_type} that makes '{op.outputs[0].name}' rounds up and has an input of open size."
            )
        return Window(kernel, strides, pads, [0] * rank, AUTO_PAD.get(kind))
    if kind in AUTO_PAD:
        pads = same_padding(known, kernel, strides, lower=kind == "same_lower")
    overhang = [
        max((int(target or 1) - 1) * stride + extent - size - first - last, 0)
        for target, stride, extent, size, first, last in zip(
            targets, strides, kernel, known, pads[:rank], pads[rank:], strict=True
        )
    ]
    return Window(kernel, strides, pads, overhang)


def _pad(graph: Graph, name: str, pads: list[int], value: float) -> str:
    """Pad the spatial dimensions of ``name`` with ``value``."""
    rank = len(pads) // 2
    full = [0, 0, *pads[:rank], 0, 0, *pads[rank:]]
    return graph.node("Pad", [name, graph.ints(full), graph.constant(value, np.float32)])


def max_pool(graph: Graph, op: Operation) -> str:
    """Return the largest value of each window; padding is never the largest."""
    window, name = window_of(op), graph.tensor(op.x)
    pads = [*window.pads[: len(window.kernel)]]
    pads += [pad + over for pad, over in zip(window.pads[len(window.kernel) :], window.overhang, strict=True)]
    if any(pad >= extent for pad, extent in zip(pads, window.kernel * 2, strict=True)):
        name, pads = _pad(graph, name, pads, -np.inf), [0] * len(pads)  # ONNX Runtime wants pads below the kernel
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
    window, rank = window_of(op), len(op.kernel_sizes.val)
    padded = [*window.pads[:rank], *(pad + over for pad, over in zip(window.pads[rank:], window.overhang, strict=True))]
    fits = all(pad < extent for pad, extent in zip(padded, window.kernel * 2, strict=True))
    counted = not op.exclude_padding_from_average.val and (window.auto_pad is not None or any(padded))
    if counted or not fits:
        return _sum_by_count(graph, op, window, padded)
    return graph.node(
        "AveragePool",
        [graph.tensor(op.x)],
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=None if window.auto_pad else padded,
        auto_pad=window.auto_pad,
    )


def _sum_by_count(graph: Graph, op: Operation, window: Window, padded: list[int]) -> str:
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
    total = graph.node(
        "Conv",
        [graph.tensor(op.x), graph.constant(np.ones((channels, 1, *window.kernel)), np.float32)],
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=None if window.auto_pad else padded,
        auto_pad=window.auto_pad,
        group=channels,
    )
    return graph.node("Div", [total, graph.constant(_counts(op, window), np.float32)])


def _counts(op: Operation, window: Window) -> Any:
    """Return how many values count in each window: an array of the output's spatial dimensions, or one number."""
    within = 0 if op.exclude_padding_from_average.val else 1
    if within and not any(window.overhang):
        return np.prod(window.kernel)
    rank, counts = len(window.kernel), np.ones(())
    for axis, (extent, stride, size) in enumerate(zip(window.kernel, window.strides, dims(op.x)[2:], strict=True)):
        if size is None:
            raise UnsupportedProgramError(
                f"The {op.op_type} that makes '{op.outputs[0].name}' leaves out padding of the kernel's size, of an "
                "input of open size."
            )
        parts = (window.pads[axis], size, window.pads[rank + axis], window.overhang[axis])
        counting = np.repeat([within, 1, within, 0], parts)
        seen = np.lib.stride_tricks.sliding_window_view(counting, extent)[::stride].sum(1)
        if not seen.all():
            raise UnsupportedProgramError(
                f"The {op.op_type} that makes '{op.outputs[0].name}' has a window of padding alone, whose mean no "
                "source tells."
            )
        counts = counts[..., np.newaxis] * seen
    return counts


def l2_pool(graph: Graph, op: Operation) -> str:
    """Return the square root of each window's sum of squares."""
    window, name = window_of(op), graph.tensor(op.x)
    if window.auto_pad:
        return graph.node(
            "LpPool", [name], p=2, kernel_shape=window.kernel, strides=window.strides, auto_pad=window.auto_pad
        )
    rank = len(window.kernel)
    pads = [*window.pads[:rank]]
    pads += [pad + over for pad, over in zip(window.pads[rank:], window.overhang, strict=True)]
    padded = _pad(graph, name, pads, 0.0) if any(pads) else name
    return graph.node("LpPool", [padded], p=2, kernel_shape=window.kernel, strides=window.strides)


OPS: dict[str, Callable[[Graph, Operation], str]] = {"avg_pool": avg_pool, "l2_pool": l2_pool, "max_pool": max_pool}
