"""The ONNX graph under construction: where each MIL value lives in it, and how a node is added.

Every MIL value is carried by an ONNX tensor. float32, the integers and booleans are carried as they are. float16
is carried as float32 whose values are float16 values: ONNX Runtime's CPU kernels work in float32, and rounding each
op's outputs to float16 is what a device does that computes in float16 and accumulates in float32.

The rounding of a value is put off until something needs it (``Graph.tensor``). Ops with which rounding commutes,
such as relu and max_pool, take the value before it is rounded (``Graph.through``), and what they return is still to
be rounded: so Conv and Relu stay neighbours, ONNX Runtime fuses them, and one rounding serves both.
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
"""Constants up to this many bytes are shared between the nodes that use equal ones."""

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
"""The type that carries a value of each MIL type inside the ONNX graph."""


class UnsupportedProgramError(CoremlbenchError):
    """An ML Program, or a form of an op in it, that cannot be expressed as an ONNX graph."""


class UnknownOpError(UnsupportedProgramError):
    """An op that the reference runtime does not know; the sentence names the op, its output and its place."""


def is_list(var: Var) -> bool:
    """Return whether a value is a list of tensors; it is carried as one tensor with a dimension more."""
    from coremltools.converters.mil.mil import types

    return bool(types.is_list(var.sym_type))


def dtype_name(var: Var) -> str:
    """Return the MIL name of the type of a value's elements, or of a list's: ``fp16``, ``int32``, ``bool``, so on."""
    from coremltools.converters.mil.mil.types import builtin_to_string

    return str(builtin_to_string(var.elem_type.get_primitive() if is_list(var) else var.dtype))


def carrier(name: str) -> np.dtype[Any]:
    """Return the numpy type that carries values of the MIL type ``name``."""
    return np.dtype(MIL_TO_NUMPY[name])


def onnx_type(dtype: npt.DTypeLike) -> int:
    """Return the ONNX element type of a numpy type."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def static_shape(var: Var) -> tuple[int, ...] | None:
    """Return the shape of a value when every dimension is known, else ``None``."""
    shape = dims(var)
    return None if any(size is None for size in shape) else tuple(size for size in shape if size is not None)


def dims(var: Var) -> tuple[int | None, ...]:
    """Return the sizes of a value's dimensions, ``None`` for those that are only known at run time.

    The first of a list is its length, which is never known.
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
    loop) has its ``parent``, whose values it can see, as in ONNX. ``builders`` has the function of each op.
    """

    def __init__(self, builders: Mapping[str, Builder], parent: Graph | None = None) -> None:
        self.builders = builders
        self.parent = parent
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.names: dict[Var, str] = {}
        self.pending: dict[Var, str] = {}
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
        """Return the name of the tensor that holds ``var``, rounded if it is float16 and was not yet.

        While an op is built with which rounding commutes (``through``), a value that only this op uses is handed
        over unrounded.
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
        """Return the name of the not yet rounded tensor of ``var``, or ``None`` if nothing is to be rounded."""
        if var in self.names:
            return None
        if var in self.pending:
            return self.pending[var]
        return self.parent.find_pending(var) if self.parent else None

    def is_constant(self, var: Var) -> bool:
        """Return whether ``value`` has one for ``var``, without decompressing it."""
        return var is not None and not isinstance(var.val, str) and (var.val is not None or is_compressed(var))

    def value(self, var: Var) -> Array | None:
        """Return the value of a constant in the type that carries it, or ``None`` if it depends on the inputs.

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

        The tensor takes the name of the MIL value where a node of this op makes it, so that any value of the program
        can be asked for by its name. A tensor that the op found and hands through keeps its name, for others know it
        by that.
        """
        if rounding:
            self.pending[var] = self._rename(name, f"{var.name}/unrounded")
        else:
            self.names[var] = self._rename(name, var.name)

    # --- nodes ----------------------------------------------------------------------------------------------

    def begin(self, place: str, *, through: bool) -> None:
        """Begin an op: ``place`` is the name of its first output, ``through`` whether rounding commutes with it."""
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
        made = helper.make_node(kind, list(inputs), names, name=self.fresh(names[0]), domain=domain, **given)
        self.nodes.append(made)
        self._producers.update(dict.fromkeys(names, made))
        for name in inputs:
            self._consumers.setdefault(name, []).append(made)
        return names

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        """Add a Transpose and return the name of its output."""
        made = self.node("Transpose", [name], perm=list(perm))
        self._transposes[made] = (name, list(perm))
        return made

    def before_transpose(self, var: Var) -> tuple[str, list[int]] | None:
        """Return what ``var`` is the transpose of, and its order; ``None`` if it is none or others use it too.

        Converted Keras networks end in a transpose, an activation and a mean over space. Moved behind them, the
        transpose no longer stands between the last convolution and its activation, and ONNX Runtime fuses the two.
        """
        if len(var.child_ops) != 1 or var.consuming_blocks:
            return None
        return self._transposes.get(self.tensor(var))

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Return the name of a constant of the given numpy type; equal small ones are shared.

        No name of a program that was saved has a slash in it.
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
        """Return the name of a scalar constant in the type that carries ``var``."""
        return self.constant(value, carrier(dtype_name(var)))

    def initializer(self, array: Array, name: str) -> str:
        """Add an initializer and return its name."""
        from onnx import numpy_helper

        taken = self.fresh(name)
        self.initializers.append(numpy_helper.from_array(np.asarray(array), taken))
        return taken

    def where(self, condition: str, chosen: str, otherwise: str, dtype: npt.DTypeLike) -> str:
        """Add a Where of values of a numpy type and return the name of its output.

        ONNX Runtime has none for booleans; they are chosen as bytes.
        """
        if np.dtype(dtype) != np.bool_:
            return self.node("Where", [condition, chosen, otherwise])
        sides = [self.cast(name, np.uint8) for name in (chosen, otherwise)]
        return self.cast(self.node("Where", [condition, *sides]), np.bool_)

    def cast(self, name: str, dtype: npt.DTypeLike) -> str:
        """Add a Cast and return the name of its output."""
        return self.node("Cast", [name], to=onnx_type(dtype))

    def reserve(self, name: str) -> None:
        """Keep ``name`` free for an output that is made at the end."""
        self._taken.add(name)

    def fresh(self, name: str) -> str:
        """Return ``name``, or ``name`` with a number behind it if the graph already uses it."""
        candidate, number = name, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{name}.{number}"
        self._taken.add(candidate)
        return candidate

    # --- inside ---------------------------------------------------------------------------------------------

    def _round(self, var: Var) -> str:
        owner = self
        while var not in owner.pending and owner.parent is not None:
            owner = owner.parent
        halves = owner.cast(owner.pending[var], np.float16)
        rounded = owner.cast(halves, np.float32)
        owner.names[var] = owner._rename(rounded, var.name)  # noqa: SLF001 - a graph of the same kind
        return owner.names[var]

    def _rename(self, name: str, wanted: str) -> str:
        producer = self._producers.pop(name, None)
        if producer is None or wanted in self._taken:
            return name
        self._taken.add(wanted)
        if name in self._transposes:
            self._transposes[wanted] = self._transposes.pop(name)
        producer.output[list(producer.output).index(name)] = wanted
        for consumer in self._consumers.pop(name, []):
            for index, used in enumerate(consumer.input):
                if used == name:
                    consumer.input[index] = wanted
        return wanted
