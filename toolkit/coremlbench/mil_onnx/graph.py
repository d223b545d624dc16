"""An ONNX graph under construction: the tensor of each MIL value, and methods that add nodes.

Every MIL value is held by an ONNX tensor, its carrier. float32, integers and booleans keep their types. A float16 value
is held by a float32 tensor whose elements are float16 values: ONNX Runtime's CPU kernels work in float32, and rounding
each op's outputs to float16 is what a device does that computes in float16 and accumulates in float32.

The rounding of a value is deferred until a node needs the rounded value (``Graph.tensor``). Ops that commute with
rounding, such as relu and max_pool, use the value before the rounding (``Graph.through``), and their output is rounded
later. So Conv and Relu are adjacent, ONNX Runtime fuses them, and they need one rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coremlbench.mil_onnx.constexpr import is_compressed, materialise
from coremlbench.types.errors import CoremlbenchError

Array: TypeAlias = npt.NDArray[Any]
Var: TypeAlias = Any  # coremltools.converters.mil.mil.Var, imported nowhere at module level
Operation: TypeAlias = Any  # coremltools.converters.mil.mil.Operation

Builder: TypeAlias = "Callable[[Graph, Operation], str | list[str]]"

SMALL = 1024
"""Equal constants of up to this many bytes are stored once."""

MIL_TO_NUMPY = {
    "fp16": np.float32,
    "fp32": np.float32,
    "fp64": np.float64,
    "int4": np.int8,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint1": np.uint8,
    "uint2": np.uint8,
    "uint3": np.uint8,
    "uint4": np.uint8,
    "uint6": np.uint8,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "bool": np.bool_,
}
"""The carrier type of each MIL type: the type of its tensors in the ONNX graph."""


class UnsupportedProgramError(CoremlbenchError):
    """An ML Program, or a form of an op in it, that cannot be expressed as an ONNX graph."""


class UnknownOpError(UnsupportedProgramError):
    """An op that the reference runtime does not know; the message names the op, its output and its position."""


def is_list(var: Var) -> bool:
    """Return whether a value is a list of tensors; its carrier is one tensor with an additional first dimension."""
    from coremltools.converters.mil.mil import types

    return bool(types.is_list(var.sym_type))


def dtype_name(var: Var) -> str:
    """Return the MIL name of the element type of a value or list: ``fp16``, ``int32``, ``bool`` and so on."""
    from coremltools.converters.mil.mil.types import builtin_to_string

    return str(builtin_to_string(var.elem_type.get_primitive() if is_list(var) else var.dtype))


def carrier(name: str) -> np.dtype[Any]:
    """Return the carrier type of the MIL type ``name``."""
    return np.dtype(MIL_TO_NUMPY[name])


def onnx_type(dtype: npt.DTypeLike) -> int:
    """Return the ONNX element type of a numpy type."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def static_shape(var: Var) -> tuple[int, ...] | None:
    """Return the shape of a value if all dimensions are known, else ``None``."""
    shape = dims(var)
    return None if any(size is None for size in shape) else tuple(size for size in shape if size is not None)


def has_unknown_rank(var: Var) -> bool:
    """Return whether the number of a value's dimensions is known only at run time."""
    from coremltools.converters.mil.mil import types
    from coremltools.converters.mil.mil.types.symbolic import any_variadic

    return bool(types.is_tensor(var.sym_type)) and any_variadic(var.shape)


def dims(var: Var) -> tuple[int | None, ...]:
    """Return the sizes of a value's dimensions, ``None`` for those that are known only at run time.

    The first dimension of a list is its length, which is never known.
    """
    from coremltools.converters.mil.mil.types.symbolic import is_symbolic

    shape = (None, *var.elem_shape) if is_list(var) else var.shape
    return tuple(None if size is None or is_symbolic(size) else int(size) for size in shape)


def is_half(var: Var) -> bool:
    """Return whether a value is a float16 tensor."""
    from coremltools.converters.mil.mil import types

    return not is_list(var) and not types.is_dict(var.sym_type) and dtype_name(var) == "fp16"


class Graph:
    """An ONNX graph under construction.

    ``nodes`` and ``initializers`` are ONNX protos in order. A subgraph (the branch of a condition, the body of a
    loop) has a ``parent``, whose values it can use, as in ONNX. ``builders`` are the functions of the ops by name.
    ``states`` are the tensors with the present values of the program's states; a subgraph has none.
    """

    def __init__(self, builders: Mapping[str, Builder], parent: Graph | None = None) -> None:
        self.builders = builders
        self.parent = parent
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.names: dict[Var, str] = {}
        self.pending: dict[Var, str] = {}
        self.states: dict[Var, str] = {}
        self.through = False
        self.took_unrounded = False
        self.place = ""
        self._taken: set[str] = parent._taken if parent else set()  # noqa: SLF001 - a graph of the same kind
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._producers: dict[str, Any] = {}
        self._consumers: dict[str, list[Any]] = {}
        self._transposes: dict[str, tuple[str, list[int]]] = {}

    # --- values ---------------------------------------------------------------------------------------------

    def tensor(self, var: Var) -> str:
        """Return the name of the tensor that holds ``var``; add its rounding to float16 if that is still pending.

        During the building of an op that commutes with rounding (``through``), a value that only this op uses is not
        rounded.
        """
        pending = self.find_pending(var)
        if pending is not None:
            if self.through and len(var.child_ops) == 1 and not var.consuming_blocks:
                self.took_unrounded = True
                return pending
            return self._round(var)
        known = self.find(var)
        if known is not None:
            return known
        value = self.value(var)
        if value is None:
            raise UnsupportedProgramError(
                f"{self.place} uses the value '{var.name}', which nothing before it computes."
            )
        self.names[var] = self.initializer(value, var.name)
        return self.names[var]

    def find(self, var: Var) -> str | None:
        """Return the name of the tensor of ``var`` here or in an enclosing graph, or ``None``."""
        if var in self.names:
            return self.names[var]
        return self.parent.find(var) if self.parent else None

    def find_pending(self, var: Var) -> str | None:
        """Return the name of the unrounded tensor of ``var``, or ``None`` if no rounding is pending."""
        if var in self.names:
            return None
        if var in self.pending:
            return self.pending[var]
        return self.parent.find_pending(var) if self.parent else None

    def is_constant(self, var: Var) -> bool:
        """Return whether ``value`` has one for ``var``, without decompressing it."""
        return var is not None and not isinstance(var.val, str) and (var.val is not None or is_compressed(var))

    def value(self, var: Var) -> Array | None:
        """Return the value of a constant in its carrier type, or ``None`` if it depends on the inputs.

        Compressed constants are decompressed.
        """
        if var is None:
            return None
        value = materialise(var) if var.val is None and is_compressed(var) else var.val
        if value is None or isinstance(value, str):
            return None
        return np.asarray(value).astype(carrier(dtype_name(var)))

    def bind(self, var: Var, name: str, *, rounding: bool) -> None:
        """Record that the tensor ``name`` holds ``var``, before its rounding to float16 if ``rounding``.

        A tensor that a node of this op produces is renamed to the name of the MIL value, so that any value of the
        program can be requested by its name. A tensor of an earlier op that this op returns keeps its name.
        """
        if rounding:
            self.pending[var] = self._rename(name, f"{var.name}/unrounded")
        else:
            self.names[var] = self._rename(name, var.name)

    # --- nodes ----------------------------------------------------------------------------------------------

    def begin(self, place: str, *, through: bool) -> None:
        """Begin an op: ``place`` is the name of its first output, ``through`` whether it commutes with rounding."""
        self.place, self.through, self.took_unrounded = place, through, False
        self._producers.clear()
        self._consumers.clear()

    def node(self, kind: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its one output. Attributes that are ``None`` are left out."""
        return self.node_with_outputs(kind, inputs, 1, domain=domain, **attributes)[0]

    def node_with_outputs(
        self, kind: str, inputs: Sequence[str], outputs: int, *, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node and return the names of its ``outputs`` outputs."""
        from onnx import helper

        names = [self.fresh(f"{self.place}/{kind}") for _ in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        node = helper.make_node(kind, list(inputs), names, name=self.fresh(names[0]), domain=domain, **given)
        self.nodes.append(node)
        self._producers.update(dict.fromkeys(names, node))
        for name in inputs:
            self._consumers.setdefault(name, []).append(node)
        return names

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        """Add a Transpose and return the name of its output."""
        output = self.node("Transpose", [name], perm=list(perm))
        self._transposes[output] = (name, list(perm))
        return output

    def before_transpose(self, var: Var) -> tuple[str, list[int]] | None:
        """Return the input and order of the transpose that makes ``var``; ``None`` without one or with other users.

        Converted Keras networks end in a transpose, an activation and a mean over space. When the transpose is moved
        after them, ONNX Runtime can fuse the last convolution with its activation.
        """
        if len(var.child_ops) != 1 or var.consuming_blocks:
            return None
        return self._transposes.get(self.tensor(var))

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Return the name of a constant of the given NumPy type; equal small ones are shared.

        Its name has a slash, which no name in a saved program has.
        """
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype)).reshape(np.shape(value))
        if array.nbytes > SMALL:
            return self.initializer(array, f"{self.place}/const")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._shared:
            self._shared[key] = self.initializer(array, "shared/const")
        return self._shared[key]

    def ints(self, values: Iterable[int]) -> str:
        """Return the name of a constant vector of int64, the type of ONNX's shapes and axes."""
        return self.constant([int(value) for value in values], np.int64)

    def like(self, var: Var, value: float) -> str:
        """Return the name of a scalar constant in the carrier type of ``var``."""
        return self.constant(value, carrier(dtype_name(var)))

    def initializer(self, array: Array, name: str) -> str:
        """Add an initializer and return its name."""
        from onnx import numpy_helper

        taken = self.fresh(name)
        self.initializers.append(numpy_helper.from_array(np.asarray(array), taken))
        return taken

    def where(self, condition: str, chosen: str, otherwise: str, dtype: npt.DTypeLike) -> str:
        """Add a Where of values of a NumPy type and return the name of its output.

        ONNX Runtime has no Where for booleans; they are cast to bytes.
        """
        if np.dtype(dtype) != np.bool_:
            return self.node("Where", [condition, chosen, otherwise])
        sides = [self.cast(name, np.uint8) for name in (chosen, otherwise)]
        return self.cast(self.node("Where", [condition, *sides]), np.bool_)

    def cast(self, name: str, dtype: npt.DTypeLike) -> str:
        """Add a Cast and return the name of its output."""
        return self.node("Cast", [name], to=onnx_type(dtype))

    def reserve(self, name: str) -> None:
        """Reserve ``name`` for an output that is added at the end."""
        self._taken.add(name)

    def fresh(self, name: str) -> str:
        """Return ``name``, with a number appended if the graph already uses it."""
        candidate, number = name, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{name}.{number}"
        self._taken.add(candidate)
        return candidate

    # --- inside ---------------------------------------------------------------------------------------------

    def _round(self, var: Var) -> str:
        """Add the pending rounding of ``var`` where it is pending, here or in an enclosing graph; return its tensor."""
        owner = self
        while var not in owner.pending and owner.parent is not None:
            owner = owner.parent
        halves = owner.cast(owner.pending[var], np.float16)
        rounded = owner.cast(halves, np.float32)
        owner.names[var] = owner._rename(rounded, var.name)  # noqa: SLF001 - a graph of the same kind
        return owner.names[var]

    def _rename(self, name: str, new_name: str) -> str:
        """Rename an output of a node of this op and return the new name; return ``name`` if that is not possible."""
        producer = self._producers.pop(name, None)
        if producer is None or new_name in self._taken:
            return name
        self._taken.add(new_name)
        if name in self._transposes:
            self._transposes[new_name] = self._transposes.pop(name)
        producer.output[list(producer.output).index(name)] = new_name
        for consumer in self._consumers.pop(name, []):
            for index, used in enumerate(consumer.input):
                if used == name:
                    consumer.input[index] = new_name
        return new_name
