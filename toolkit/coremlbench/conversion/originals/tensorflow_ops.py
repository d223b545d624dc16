"""TensorFlow's ops in Core ML's terms, where coremltools 9.0 has none or a wrong one: one function an op, one row each.

Each takes coremltools' builder, the op's node and the values that it reads, and returns the value that it gives;
``None`` where coremltools' own conversion is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

MilBuilder = Any  # coremltools.converters.mil.Builder
Node = Any  # coremltools.converters.mil.frontend.tensorflow.parsed_tf_node.ParsedTFNode
Var = Any  # coremltools.converters.mil.mil.Var


BYTES = "input_as_bytes"
"""The name of the cast to uint8 of inputs that are whole numbers from 0 to 255: it changes none of them."""


def register() -> None:
    """Tell coremltools how to convert the ops of ``OPS``."""
    from coremltools.converters.mil import register_tf_op

    for name, convert in OPS.items():
        register_tf_op(_registered(name, convert), override=True)


def _registered(name: str, convert: Callable[..., Var | None]) -> Callable[[Any, Node], None]:
    """Return a function as coremltools wants it: called like the op, it puts what the op gives into the context."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.tensorflow import ops

    def add(context: Any, node: Node) -> None:
        made = convert(Builder, node, *(context[each] for each in node.inputs))
        if made is None:
            getattr(ops, name)(context, node)
        else:
            context.add(node.name, made)

    add.__name__ = name
    return add


# --- elementwise --------------------------------------------------------------------------------------------


def erfc(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return ``1 - erf(x)``, of which GELU is made."""
    return mb.sub(x=1.0, y=mb.erf(x=x), name=node.name)


def expm1(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return ``exp(x) - 1``, of which CELU is made."""
    return mb.sub(x=mb.exp(x=x), y=1.0, name=node.name)


def is_nan(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return whether ``x`` is no number: the only thing that is not equal to itself."""
    return mb.not_equal(x=x, y=x, name=node.name)


def is_inf(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return whether ``x`` is infinite."""
    return mb.equal(x=mb.abs(x=x), y=math.inf, name=node.name)


def atan2(mb: MilBuilder, node: Node, y: Var, x: Var) -> Var:
    """Return the angle of the point (x, y), between -pi and pi; 0 at the origin. A negative zero is a zero here."""
    half = mb.atan(x=mb.real_div(x=y, y=x))
    turn = mb.select(cond=mb.less(x=y, y=0.0), a=-math.pi, b=math.pi)
    full = mb.add(x=half, y=mb.select(cond=mb.less(x=x, y=0.0), a=turn, b=0.0))
    origin = mb.logical_and(x=mb.equal(x=x, y=0.0), y=mb.equal(x=y, y=0.0))
    return mb.select(cond=origin, a=0.0, b=full, name=node.name)


def bucketize(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return the interval between boundaries in which ``x`` lies: the number of boundaries that it reaches."""
    import numpy as np

    boundaries = np.asarray(node.attr["boundaries"], np.float32)
    reached = mb.greater_equal(x=mb.expand_dims(x=x, axes=[-1]), y=boundaries)
    return mb.reduce_sum(x=mb.cast(x=reached, dtype="int32"), axes=[-1], name=node.name)


def cast(mb: MilBuilder, node: Node, x: Var) -> Var | None:
    """Return ``x`` where it is an input of bytes, which stay the numbers that they are."""
    return mb.identity(x=x, name=node.name) if node.name == BYTES else None


def ensure_shape(mb: MilBuilder, node: Node, x: Var) -> Var:
    """Return ``x``: with an input of a fixed shape, all that follows has one."""
    return mb.identity(x=x, name=node.name)


# --- places -------------------------------------------------------------------------------------------------


def roll(mb: MilBuilder, node: Node, x: Var, shift: Var, axis: Var) -> Var:
    """Return ``x`` moved along its axes; what leaves behind comes in before."""
    import numpy as np

    for number, dimension in zip(np.atleast_1d(shift.val), np.atleast_1d(axis.val), strict=True):
        where, size = int(dimension) % x.rank, int(x.shape[dimension])
        cut = -int(number) % size
        parts = [_part(mb, x, where, cut, size), _part(mb, x, where, 0, cut)]
        x = mb.concat(values=[part for part in parts if part is not None], axis=where)
    return mb.identity(x=x, name=node.name)


def mirror_pad(mb: MilBuilder, node: Node, x: Var, margins: Var) -> Var | None:
    """Return ``x`` between mirrored margins which repeat its first and last values: the mode ``SYMMETRIC``.

    coremltools takes it for ``REFLECT``, which does not repeat them, and says nothing: every value of a margin is
    another one then.
    """
    if str(node.attr["mode"]).upper().endswith("REFLECT"):
        return None
    for axis, (before, behind) in enumerate(margins.val):
        size = int(x.shape[axis])
        front, back = _part(mb, x, axis, 0, int(before)), _part(mb, x, axis, size - int(behind), size)
        mirrored = [part if part is None else mb.reverse(x=part, axes=[axis]) for part in (front, back)]
        parts = [mirrored[0], x, mirrored[1]]
        x = mb.concat(values=[part for part in parts if part is not None], axis=axis)
    return mb.identity(x=x, name=node.name)


def _part(mb: MilBuilder, x: Var, axis: int, begin: int, end: int) -> Var | None:
    """Return the part of ``x`` between two places of an axis, ``None`` for an empty one."""
    begins, ends = [0] * x.rank, list(x.shape)
    begins[axis], ends[axis] = begin, end
    return mb.slice_by_index(x=x, begin=begins, end=ends) if begin < end else None


# --- resizing -----------------------------------------------------------------------------------------------


def resize_bicubic(mb: MilBuilder, node: Node, x: Var, size: Var) -> Var:
    """Return pictures (n, height, width, channels) interpolated by cubic curves."""
    return _resized(mb, node, x, size, _resizing("ResizeBicubic", node))


def resize_area(mb: MilBuilder, node: Node, x: Var, size: Var) -> Var:
    """Return pictures whose pixels are the means of the areas that they cover."""
    return _resized(mb, node, x, size, _resizing("ResizeArea", node))


def scale_and_translate(mb: MilBuilder, node: Node, x: Var, size: Var, scale: Var, translation: Var) -> Var:
    """Return pictures resized with the kernel that the node names, such as Lanczos's."""
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

    return _resized(mb, node, x, size, resize)


def _resizing(op: str, node: Node) -> Callable[[Any, list[int], int], Any]:
    """Return TensorFlow's own op with the node's attributes, for the weights of ``_resized``."""
    import tensorflow as tf

    attributes = {name: node.attr[name] for name in ("align_corners", "half_pixel_centers") if name in node.attr}
    return lambda pictures, new, _: getattr(tf.raw_ops, op)(images=pictures, size=new, **attributes)


def _resized(mb: MilBuilder, node: Node, x: Var, size: Var, resize: Callable[[Any, list[int], int], Any]) -> Var:
    """Return pictures multiplied by one matrix along their rows and one along their columns.

    Resizing is linear, the same for every column and the same for every row. The matrices are what TensorFlow's
    ``resize`` (pictures, new size, axis) makes of pictures of one column that are 1 in one pixel and else 0.
    """
    import numpy as np

    matrices = []
    for axis in (0, 1):
        units = np.eye(int(x.shape[1 + axis]), dtype=np.float32)[:, :, np.newaxis, np.newaxis]
        made = np.asarray(resize(units, [int(size.val[axis]), 1], axis))[:, :, 0, 0]
        matrices.append(np.ascontiguousarray(made.T))
    channels_first = mb.transpose(x=x, perm=[0, 3, 1, 2])
    rows = mb.matmul(x=matrices[0], y=channels_first)
    both = mb.matmul(x=rows, y=matrices[1], transpose_y=True)
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
    "Roll": roll,
    "ScaleAndTranslate": scale_and_translate,
}
