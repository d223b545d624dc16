"""Walk the operations of a block in order; add the nodes of each with the function of its entry in OPS."""

from __future__ import annotations

from collections.abc import Iterable

from coremlbench.mil_onnx.constexpr import is_compressed
from coremlbench.mil_onnx.graph import (
    Graph,
    Operation,
    UnknownOpError,
    UnsupportedProgramError,
    has_unknown_rank,
    is_half,
)
from coremlbench.mil_onnx.program import first_line
from coremlbench.mil_onnx.rounding import COMMUTES, EXACT
from coremlbench.types.errors import CoremlbenchError


def walk(graph: Graph, operations: Iterable[Operation], block: str = "the program") -> None:
    """Add the nodes of every operation that is not a constant, in order; ``block`` names their block in messages.

    Raises:
        UnknownOpError: an op has no entry in OPS.
        UnsupportedProgramError: an op has a form that cannot be expressed in ONNX, expected or not.
    """
    computed = (op for op in operations if op.op_type != "const" and not is_compressed(op.outputs[0]))
    for number, op in enumerate(computed, start=1):
        if all(var.val is not None for var in op.outputs):
            continue  # coremltools has computed it from constants; its users make an initializer of it
        if op.op_type not in graph.builders:
            raise UnknownOpError(
                f"The reference runtime does not know the op '{op.op_type}' ({_place(op, number, block)}); "
                "run this model on a Mac, or convert it without that op."
            )
        for var in op.inputs.values():
            if not isinstance(var, (list, tuple)) and var is not None and has_unknown_rank(var):
                raise UnsupportedProgramError(
                    f"The op '{op.op_type}' ({_place(op, number, block)}) takes the value '{var.name}', whose "
                    "number of dimensions is known only at run time; run this model on a Mac."
                )
        outer = (graph.place, graph.through, graph.took_unrounded)
        graph.begin(op.outputs[0].name, through=op.op_type in COMMUTES)
        try:
            result = graph.builders[op.op_type](graph, op)
        except (CoremlbenchError, MemoryError):
            raise
        except Exception as error:  # a form of the op that its function does not expect
            raise UnsupportedProgramError(
                f"The reference runtime cannot express this form of the op '{op.op_type}' "
                f"({_place(op, number, block)}): {first_line(error)}"
            ) from error
        names = (result,) if isinstance(result, str) else result
        rounds = graph.took_unrounded if op.op_type in COMMUTES else op.op_type not in EXACT
        for var, name in zip(op.outputs, names, strict=True):
            graph.bind(var, name, rounding=rounds and is_half(var))
        graph.place, graph.through, graph.took_unrounded = outer


def _place(op: Operation, number: int, block: str) -> str:
    """Return in words the position of an op in its block, not counting constants, and its output."""
    return f"operation {number} of {block}, which makes '{op.outputs[0].name}'"
