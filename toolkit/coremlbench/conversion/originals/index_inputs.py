"""Find the numbers of a float input that are indices: they reach a table, as of an embedding, through a cast.

Such numbers must be whole, must lie within the table, and need float32 on their way: float16 has no odd integers above
2048.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coremlbench.conversion.originals.input_graph import MOVING_OPS, SHAPE_OPS, InputGraph, moved_inputs, variable_shape
from coremlbench.conversion.sampling import IndexRanges
from coremlbench.types.errors import InputError

TABLE_OPS = {"GatherV2": 1, "Gather": 1, "ResourceGather": 1, "OneHot": 0}
"""Ops that read a table at indices, with the number of the input that has the indices."""
ROUNDING_OPS = {"Round", "Rint", "Floor", "Ceil", "ClipByValue", "Maximum", "Minimum", "Relu", "Relu6"}
"""Ops before a cast that keep an index what it is, or make it one."""
SHIFTING_OPS = {"Add", "AddV2", "Sub"}
"""Ops that shift an index by a constant, as where 0 is kept for padding."""
UNKNOWN_TABLES = {
    *("LookupTableFind", "LookupTableFindV2", "Bincount", "DenseBincount", "RaggedBincount", "SparseBincount"),
    *("AsString", "GatherNd", "ScatterNd", "TensorScatterUpdate", "TensorScatterAdd", "UnsortedSegmentSum"),
}
"""Ops that take indices of tables whose size is not told by one of their dimensions."""
LARGEST_INDEX = 1 << 24
"""The largest integer up to which float32 has all integers."""


@dataclass
class _Table:
    """A table that is read at indices: the op that reads it, the name of the indices' tensor, the number of rows."""

    op: Any
    indices: str
    rows: int


@dataclass
class _Paths:
    """What reaches the ops of a graph from its input, by the names of tensors.

    ``moved`` are those with numbers of the input as they are. ``indices`` has those that were cast, rounded or shifted
    on the way, with the moved tensors that they come from.
    """

    moved: set[str]
    constant: set[str] = field(default_factory=set)
    indices: dict[str, frozenset[str]] = field(default_factory=dict)
    tables: list[_Table] = field(default_factory=list)

    def origins(self, names: list[str]) -> frozenset[str]:
        """Return the moved tensors that some tensors come from."""
        return frozenset().union(*(self.indices.get(name, {name} & self.moved) for name in names))


def index_ranges(graph: InputGraph, name: str) -> IndexRanges | None:
    """Return which numbers of a model's input are indices, and of how large tables; ``None`` where none is.

    Raises:
        InputError: the size of a table is not known, or no index lies within all tables.
    """
    import numpy as np

    paths = _Paths(moved={graph.input_name})
    for op in graph.ops:
        if op.outputs and op.outputs[0].name != graph.input_name:
            _follow(op, paths, graph, name)
    paths.tables = [table for table in paths.tables if paths.origins([table.indices])]
    if not paths.tables:
        return None
    shape = graph.input_shape[1:]
    low, high = np.zeros(shape, np.int64), np.full(shape, LARGEST_INDEX, np.int64)
    is_index = np.zeros(shape, np.bool_)
    for table in paths.tables:
        numbers = _numbers_of(graph, paths.origins([table.indices]))
        first, last = _valid_indices(graph, table, name)
        is_index |= numbers
        low[numbers] = np.maximum(low[numbers], first)
        high[numbers] = np.minimum(high[numbers], last)
    if (low > high).any():
        raise InputError(f"{name} reads several tables at the same index, and none lies within all of them.")
    return IndexRanges(low, high, is_index)


def _follow(op: Any, paths: _Paths, graph: InputGraph, name: str) -> None:
    """Add what an op makes of the numbers of the input, and the table that it reads, to ``paths``."""
    inputs, outputs = [tensor.name for tensor in op.inputs], [tensor.name for tensor in op.outputs]
    if op.type in SHAPE_OPS or all(tensor in paths.constant for tensor in inputs):
        paths.constant.update(outputs)
        return
    dependent = [tensor for tensor in op.inputs if tensor.name not in paths.constant]
    from_indices = [tensor for tensor in dependent if tensor.name in paths.indices]
    whole = [tensor for tensor in from_indices if not tensor.dtype.is_floating]
    if op.type in TABLE_OPS and op.inputs[TABLE_OPS[op.type]] in whole:
        paths.tables.append(_Table(op, op.inputs[TABLE_OPS[op.type]].name, _rows(op, graph, name)))
        return
    if whole and op.type in UNKNOWN_TABLES:
        raise InputError(
            f"{name} takes the numbers of its input for indices ({op.type} in '{op.name}'), and how large its table is "
            "cannot be told; convert the part of it behind that."
        )
    names = [tensor.name for tensor in dependent]
    if op.type in MOVING_OPS and all(tensor in paths.moved for tensor in names):
        moved = {tensor.name for tensor in moved_inputs(op)}
        if set(names) <= moved:
            paths.moved.update(outputs)
            return
    if _keeps_index(op, dependent, paths):
        paths.indices.update(dict.fromkeys(outputs, paths.origins(names)))


def _keeps_index(op: Any, dependent: list[Any], paths: _Paths) -> bool:
    """Return whether an op makes indices of indices, or of numbers of the input."""
    if not all(tensor.name in paths.indices or tensor.name in paths.moved for tensor in dependent):
        return False
    if any(not tensor.dtype.is_floating for tensor in dependent):  # integers: whatever is computed from them stays one
        return not op.outputs[0].dtype.is_floating
    if op.type == "Cast":
        return bool(op.outputs[0].dtype.is_integer or op.outputs[0].dtype.is_floating)
    return op.type in MOVING_OPS | ROUNDING_OPS or (op.type in SHIFTING_OPS and len(dependent) == 1)


def _rows(op: Any, graph: InputGraph, name: str) -> int:
    """Return the number of rows of the table that an op of ``TABLE_OPS`` reads."""
    if op.type == "OneHot":
        return int(graph.constant(op.inputs[1]))
    table = op.inputs[0]
    if op.type == "ResourceGather":
        shape = variable_shape(table)
    else:
        shape = tuple(table.shape.as_list()) if table.shape.rank else ()
    axis = int(graph.constant(op.inputs[2])) if op.type == "GatherV2" else 0
    rows = shape[axis] if shape else None
    if rows is None:
        raise InputError(f"{name} reads a table of unknown size at the numbers of its input ('{op.name}').")
    return rows


def _numbers_of(graph: InputGraph, moved: frozenset[str]) -> Any:
    """Return which numbers of the input moved tensors have, as a boolean array of its shape without the batch."""
    import numpy as np

    shape = graph.input_shape
    count = int(np.prod(shape[1:]))
    numbered = np.broadcast_to(np.arange(count, dtype=np.float32).reshape(shape[1:]), shape)
    first, second = (
        np.concatenate([value.ravel() for value in graph.values(sorted(moved), numbered + shift)]) for shift in (0, 1)
    )
    positions = first[second - first == 1]  # the others are constants that were added
    return np.isin(np.arange(count), positions.astype(np.int64)).reshape(shape[1:])


def _valid_indices(graph: InputGraph, table: _Table, name: str) -> tuple[int, int]:
    """Return the smallest and the largest number of the input that lies within a table, 0 or more."""
    import numpy as np

    def fits(number: int) -> bool:
        (indices,) = graph.values([table.indices], np.full(graph.input_shape, number, np.float32))
        return bool((indices >= 0).all() and (indices < table.rows).all())

    first = next((number for number in (0, 1, 2) if fits(number)), None)
    if first is None:
        raise InputError(
            f"{name} takes the numbers of its input for indices ({table.op.type} in '{table.op.name}'), and none of 0, "
            f"1 and 2 lies within the table of {table.rows:,} rows: which ones do cannot be told."
        )
    last, outside = first, LARGEST_INDEX
    usual = min(first + table.rows, LARGEST_INDEX) - 1
    if fits(usual):
        return first, usual
    while outside - last > 1:
        middle = (last + outside) // 2
        last, outside = (middle, outside) if fits(middle) else (last, middle)
    return first, last


MIL_INDEX_OPS = {
    *("reshape", "expand_dims", "squeeze", "transpose", "slice_by_index", "slice_by_size", "split", "concat", "stack"),
    *("tile", "reverse", "gather", "pad", "identity", "round", "floor", "ceil", "clip", "relu", "relu6", "maximum"),
    *("minimum", "add", "sub"),
}
"""Ops of MIL that an index may pass before the cast to an integer."""


def float16_except_indices() -> Any:
    """Return coremltools' float16 precision that leaves ops in float32 whose results are cast to integers."""
    import coremltools as ct

    return ct.transform.FP16ComputePrecision(op_selector=lambda op: not _reaches_cast_to_integer(op))


def _reaches_cast_to_integer(op: Any) -> bool:
    """Return whether an op's result becomes an integer, after other ops that move or round it at most."""
    seen, stack = set[int](), [op]
    while stack:
        current = stack.pop()
        if id(current) in seen or current.op_type not in MIL_INDEX_OPS:
            continue
        seen.add(id(current))
        for reader in (reader for output in current.outputs for reader in output.child_ops):
            if reader.op_type == "cast" and reader.dtype.val.startswith(("int", "uint")):
                return True
            stack.append(reader)
    return False
