"""Pooling, 1 to 3 spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coremlbench.mil_onnx.conv import AUTO_PAD, ints, onnx_pads, same_padding
from coremlbench.mil_onnx.graph import Graph, Operation, UnsupportedProgram, dims, static_shape


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
            raise UnsupportedProgram(
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
    """Return the largest value of each window; padding never wins."""
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
    window, name = window_of(op), graph.tensor(op.x)
    pads, counted = window.pads, not op.exclude_padding_from_average.val
    if window.auto_pad or (counted and not any(window.overhang) and _fits(window)):
        return graph.node(
            "AveragePool",
            [name],
            kernel_shape=window.kernel,
            strides=window.strides,
            pads=None if window.auto_pad else pads,
            auto_pad=window.auto_pad,
            count_include_pad=int(counted),
        )
    rank = len(window.kernel)
    padded = [*pads[:rank], *(pad + over for pad, over in zip(pads[rank:], window.overhang, strict=True))]
    left = [0] * rank + window.overhang if counted else padded
    if any(pad >= extent for pad, extent in zip(left, window.kernel * 2, strict=True)):
        return _divided_by_hand(graph, op, window, padded)
    if counted:
        name = _pad(graph, name, pads, 0.0)
    return graph.node("AveragePool", [name], kernel_shape=window.kernel, strides=window.strides, pads=left)


def _divided_by_hand(graph: Graph, op: Operation, window: Window, padded: list[int]) -> str:
    """Return the mean of each window where a padding reaches the kernel's size, which ONNX Runtime does not take."""
    rank, sizes, factor = len(window.kernel), static_shape(op.x) or (), np.ones(())
    within = 0 if op.exclude_padding_from_average.val else 1
    for axis, (extent, stride) in enumerate(zip(window.kernel, window.strides, strict=True)):
        parts = (window.pads[axis], sizes[2 + axis], window.pads[rank + axis], window.overhang[axis])
        counts = np.repeat([within, 1, within, 0], parts)
        seen = np.lib.stride_tricks.sliding_window_view(counts, extent)[::stride].sum(1)
        if not seen.all():
            raise UnsupportedProgram(
                f"The {op.op_type} that makes '{op.outputs[0].name}' has a window of padding alone, whose mean no "
                "source tells."
            )
        factor = factor[..., np.newaxis] * (extent / seen)
    name = _pad(graph, graph.tensor(op.x), padded, 0.0)
    mean = graph.node("AveragePool", [name], kernel_shape=window.kernel, strides=window.strides)
    return graph.node("Mul", [mean, graph.constant(factor, np.float32)])


def _fits(window: Window) -> bool:
    return all(pad < extent for pad, extent in zip(window.pads, window.kernel * 2, strict=True))


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
