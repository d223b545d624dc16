"""Conversions of TensorFlow ops that are missing or wrong in coremltools 9.0: one function for each op, see ``OPS``.

Each function takes coremltools' builder, the op's node and its input values, and returns the output value, or ``None``
where coremltools' own conversion is correct.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

MilBuilder = Any  # coremltools.converters.mil.Builder
Node = Any  # coremltools.converters.mil.frontend.tensorflow.parsed_tf_node.ParsedTFNode
Var = Any  # coremltools.converters.mil.mil.Var


CHANNELS_FIRST = "_channel_first_resize"
"""Suffix of the name of a resized value with its channels second, as coremltools has it; the name without it is often
that of a transpose that coremltools removes."""
BYTE_CAST_NAME = "input_as_bytes"
"""Name of the cast of the inputs to uint8. They are integers from 0 to 255, so that the cast can be left out."""


def register_ops() -> None:
    """Register the conversions of ``OPS`` with coremltools."""
    from coremltools.converters.mil import register_tf_op

    for name, convert in OPS.items():
        register_tf_op(_coremltools_function(name, convert), override=True)
    register_tf_op(_condition(), tf_alias=["If"], override=True)
    register_tf_op(_strided_slice(), override=True)


def _condition() -> Callable[[Any, Node], None]:
    """Return the conversion of conditions: that of one branch where it is known which is taken.

    coremltools converts both, and refuses branches whose results have different shapes, as those of a resizing have
    that pads the longer side.
    """
    from coremltools.converters.mil.frontend.tensorflow.convert_utils import convert_graph
    from coremltools.converters.mil.frontend.tensorflow2 import ops

    def convert_condition(context: Any, node: Node) -> None:
        inputs = context[node.inputs[0]]
        if inputs[0].val is None:
            ops.StatelessIf(context, node)
            return
        branch = node.attr["then_branch" if inputs[0].val else "else_branch"]
        context.stack_func_inputs(inputs)
        results = convert_graph(context, context.get_graph(branch))
        context.unstack_func_inputs()
        context.add(node.name, results if isinstance(results, (tuple, list)) else (results,), is_new_var=False)

    convert_condition.__name__ = "StatelessIf"
    return convert_condition


def _strided_slice() -> Callable[[Any, Node], None]:
    """Return the conversion of slices, with bounds of one number for each dimension, as Core ML takes them.

    coremltools extends constant bounds; those that are computed, as in ``x[:, i]`` in a loop, it leaves too short.
    """
    import copy

    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.tensorflow import ops

    def convert_slice(context: Any, node: Node) -> None:
        x, *bounds = (context[name] for name in node.inputs[:3])
        rank = x.rank + node.attr.get("new_axis_mask", 0).bit_count()
        completed = copy.copy(node)  # the body of a loop is converted twice, with the same nodes
        completed.inputs = list(node.inputs)
        for position, (bound, role) in enumerate(zip(bounds, ("begin", "end"), strict=True), 1):
            if bound.val is None and bound.shape[0] < rank:
                name = f"{node.name}_{role}"
                context.add(name, _complete_bound(Builder, bound, rank, node.attr.get("ellipsis_mask", 0), name))
                completed.inputs[position] = name
        ops.StridedSlice(context, completed)

    convert_slice.__name__ = "StridedSlice"
    return convert_slice


def _complete_bound(mb: MilBuilder, bound: Var, rank: int, ellipsis_mask: int, name: str) -> Var:
    """Return the bounds of a slice with zeros for the dimensions that it does not name.

    Those are the last ones, or the ones of its ellipsis, whose own number goes.
    """
    count = bound.shape[0]
    first = ellipsis_mask.bit_length() - 1 if ellipsis_mask else count
    last = min(first + 1, count)
    zeros = [0] * (rank - first - (count - last))
    before = [mb.slice_by_size(x=bound, begin=[0], size=[first])] if first else []
    after = [mb.slice_by_size(x=bound, begin=[last], size=[count - last])] if last < count else []
    return mb.concat(values=[*before, zeros, *after], axis=0, name=name)


def _coremltools_function(name: str, convert: Callable[..., Var | None]) -> Callable[[Any, Node], None]:
    """Return a conversion function of coremltools: it has the op's name and adds the output to the context."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.tensorflow import ops

    def add(context: Any, node: Node) -> None:
        output = convert(Builder, node, *(context[value] for value in node.inputs))
        if output is None:
            getattr(ops, name)(context, node)
        else:
            context.add(node.name, output)

    add.__name__ = name
    return add


# --- elementwise --------------------------------------------------------------------------------------------


def erfc(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return ``1 - erf(x)``, which GELU uses."""
    return mb.sub(x=1.0, y=mb.erf(x=x), name=node.name)


def expm1(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return ``exp(x) - 1``, which CELU uses."""
    return mb.sub(x=mb.exp(x=x), y=1.0, name=node.name)


def is_nan(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return whether ``x`` is NaN, the only value that is not equal to itself."""
    return mb.not_equal(x=x, y=x, name=node.name)


def is_inf(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return whether ``x`` is infinite."""
    return mb.equal(x=mb.abs(x=x), y=math.inf, name=node.name)


def atan2(mb: MilBuilder, node: Node, y: Var, x: Var) -> Var:
    """Return the angle of the point (x, y), from -pi to pi; 0 at the origin. The sign of zero is ignored."""
    half = mb.atan(x=mb.real_div(x=y, y=x))
    turn = mb.select(cond=mb.less(x=y, y=0.0), a=-math.pi, b=math.pi)
    full = mb.add(x=half, y=mb.select(cond=mb.less(x=x, y=0.0), a=turn, b=0.0))
    origin = mb.logical_and(x=mb.equal(x=x, y=0.0), y=mb.equal(x=y, y=0.0))
    return mb.select(cond=origin, a=0.0, b=full, name=node.name)


def bucketize(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return the index of the bucket of ``x``: the number of boundaries that are at most ``x``."""
    import numpy as np

    boundaries = np.asarray(node.attr["boundaries"], np.float32)
    reached = mb.greater_equal(x=mb.expand_dims(x=x, axes=[-1]), y=boundaries)
    return mb.reduce_sum(x=mb.cast(x=reached, dtype="int32"), axes=[-1], name=node.name)


def cast(mb: MilBuilder, node: Node, x: Var) -> Var | None:
    """Return ``x`` for the cast ``BYTE_CAST_NAME``; other casts are left to coremltools."""
    return mb.identity(x=x, name=node.name) if node.name == BYTE_CAST_NAME else None


def ensure_shape(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return ``x``; all shapes are known, because the input has a fixed shape."""
    return mb.identity(x=x, name=node.name)


# --- positions ---------------------------------------------------------------------------------------------


def split_v(mb: MilBuilder, node: Node, x: Var, sizes: Var, axis: Var) -> Any:
    """Return the parts of ``x`` where one size is -1, the rest; GRU cells of Keras 2 split so.

    coremltools gives that part a shape with -1 in it.
    """
    import numpy as np

    length = x.shape[int(axis.val)]
    if sizes.val is None or -1 not in sizes.val or len(sizes.val) == 1 or not isinstance(length, (int, np.integer)):
        return None
    known = np.where(sizes.val == -1, length - (sizes.val.sum() + 1), sizes.val).astype(np.int32)
    return mb.split(x=x, num_splits=len(known), split_sizes=known, axis=axis, name=node.name)


def roll(mb: MilBuilder, node: Node, x: Var, shift: Var, axis: Var) -> Var:
    """Return ``x`` shifted cyclically along its axes."""
    import numpy as np

    for number, dimension in zip(np.atleast_1d(shift.val), np.atleast_1d(axis.val), strict=True):
        axis_index, size = int(dimension) % x.rank, int(x.shape[dimension])
        start = -int(number) % size
        parts = [_slice_axis(mb, x, axis_index, start, size), _slice_axis(mb, x, axis_index, 0, start)]
        x = mb.concat(values=[part for part in parts if part is not None], axis=axis_index)
    return mb.identity(x=x, name=node.name)


def mirror_pad(mb: MilBuilder, node: Node, x: Var, margins: Var) -> Var | None:
    """Return ``x`` with mirrored padding that repeats the border values: the mode ``SYMMETRIC``.

    coremltools silently converts it as ``REFLECT``, which does not repeat them, so that all padding is wrong.
    """
    if str(node.attr["mode"]).upper().endswith("REFLECT"):
        return None
    for axis, (before, after) in enumerate(margins.val):
        size = int(x.shape[axis])
        front = _slice_axis(mb, x, axis, 0, int(before))
        back = _slice_axis(mb, x, axis, size - int(after), size)
        mirrored = [part if part is None else mb.reverse(x=part, axes=[axis]) for part in (front, back)]
        parts = [mirrored[0], x, mirrored[1]]
        x = mb.concat(values=[part for part in parts if part is not None], axis=axis)
    return mb.identity(x=x, name=node.name)


def _slice_axis(mb: MilBuilder, x: Var, axis: int, begin: int, end: int) -> Var | None:
    """Return the slice ``begin:end`` of ``x`` along an axis, ``None`` for an empty one."""
    begins, ends = [0] * x.rank, list(x.shape)
    begins[axis], ends[axis] = begin, end
    return mb.slice_by_index(x=x, begin=begins, end=ends) if begin < end else None


# --- resizing -----------------------------------------------------------------------------------------------


def resize_bicubic(mb: MilBuilder, node: Node, x: Var, size: Var) -> Var:
    """Return pictures (n, height, width, channels) resized with bicubic interpolation."""
    return _resize_by_matrices(mb, node, x, size, _raw_resize("ResizeBicubic", node))


def resize_area(mb: MilBuilder, node: Node, x: Var, size: Var) -> Var:
    """Return pictures (n, height, width, channels) resized with area interpolation."""
    return _resize_by_matrices(mb, node, x, size, _raw_resize("ResizeArea", node))


def resize_nearest_neighbor(mb: MilBuilder, node: Node, x: Var, size: Var) -> Var:
    """Return pictures (n, height, width, channels) resized to the nearest pixels.

    coremltools interpolates linearly where both sides get smaller (coremltools issue 658).
    """
    import numpy as np
    from coremltools.converters.mil.mil import types

    resize = _raw_resize("ResizeNearestNeighbor", node)
    if not types.is_float(x.dtype):  # Core ML resizes no integers
        for axis in (0, 1):
            rows = np.arange(int(x.shape[1 + axis]), dtype=np.float32)[np.newaxis, :, np.newaxis, np.newaxis]
            indices = np.asarray(resize(rows, [int(size.val[axis]), 1], axis)).reshape(-1).astype(np.int32)
            x = mb.gather(x=x, indices=indices, axis=1 + axis)
        return mb.identity(x=x, name=node.name)
    factors = [int(target) / int(old) for target, old in zip(size.val, x.shape[1:3], strict=True)]
    if node.attr.get("align_corners") or not all(factor.is_integer() for factor in factors):
        return _resize_by_matrices(mb, node, x, size, resize)
    upsampled = mb.upsample_nearest_neighbor(
        x=mb.transpose(x=x, perm=[0, 3, 1, 2]),
        scale_factor_height=int(factors[0]),
        scale_factor_width=int(factors[1]),
        name=f"{node.name}{CHANNELS_FIRST}",
    )
    return mb.transpose(x=upsampled, perm=[0, 2, 3, 1], name=node.name)


def scale_and_translate(mb: MilBuilder, node: Node, x: Var, size: Var, scale: Var, translation: Var) -> Var:
    """Return pictures (n, height, width, channels) resized with the node's kernel, such as Lanczos."""
    import tensorflow as tf

    def resize(pictures: Any, new: list[int], axis: int) -> Any:
        return tf.raw_ops.ScaleAndTranslate(
            images=pictures,
            size=new,
            scale=[float(scale.val[axis]), 1.0],
            translation=[float(translation.val[axis]), 0.0],
            kernel_type=node.attr["kernel_type"],
            antialias=node.attr["antialias"],
        )

    return _resize_by_matrices(mb, node, x, size, resize)


def _raw_resize(op: str, node: Node) -> Callable[[Any, list[int], int], Any]:
    """Return TensorFlow's op with the node's attributes as the ``resize`` of ``_resize_by_matrices``."""
    import tensorflow as tf

    attributes = {name: node.attr[name] for name in ("align_corners", "half_pixel_centers") if name in node.attr}
    return lambda pictures, new, _: getattr(tf.raw_ops, op)(images=pictures, size=new, **attributes)


def _resize_by_matrices(
    mb: MilBuilder, node: Node, x: Var, size: Var, resize: Callable[[Any, list[int], int], Any]
) -> Var:
    """Return pictures (n, height, width, channels) resized by a matrix product along each of their two axes.

    Resizing is linear and separable. The matrices are computed by TensorFlow: ``resize`` (pictures, new size, axis)
    is applied to pictures with one column that are 1 in one pixel and 0 in all others.
    """
    import numpy as np

    matrices = []
    for axis in (0, 1):
        units = np.eye(int(x.shape[1 + axis]), dtype=np.float32)[:, :, np.newaxis, np.newaxis]
        resized = np.asarray(resize(units, [int(size.val[axis]), 1], axis))[:, :, 0, 0]
        matrices.append(np.ascontiguousarray(resized.T))
    channels_first = mb.transpose(x=x, perm=[0, 3, 1, 2])
    rows = mb.matmul(x=matrices[0], y=channels_first)
    both = mb.matmul(x=rows, y=matrices[1], transpose_y=True, name=f"{node.name}{CHANNELS_FIRST}")
    return mb.transpose(x=both, perm=[0, 2, 3, 1], name=node.name)


OPS: dict[str, Callable[..., Var | None]] = {
    "Atan2": atan2,
    "Bucketize": bucketize,
    "Cast": cast,
    "EnsureShape": ensure_shape,
    "Erfc": erfc,
    "Expm1": expm1,
    "IsInf": is_inf,
    "IsNan": is_nan,
    "MirrorPad": mirror_pad,
    "ResizeArea": resize_area,
    "ResizeBicubic": resize_bicubic,
    "ResizeNearestNeighbor": resize_nearest_neighbor,
    "Roll": roll,
    "ScaleAndTranslate": scale_and_translate,
    "SplitV": split_v,
}
