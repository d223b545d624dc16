"""Walk the operations of a block in order and build each with the function of its row in OPS."""

from __future__ import annotations

from collections.abc import Iterable

from coremlbench.mil_onnx.constexpr import is_compressed
from coremlbench.mil_onnx.graph import Graph, Operation, UnknownOpError, UnsupportedProgramError, is_half
from coremlbench.mil_onnx.program import first_line
from coremlbench.mil_onnx.rounding import COMMUTES, EXACT
from coremlbench.types.errors import CoremlbenchError


def walk(graph: Graph, operations: Iterable[Operation], block: str = "the program") -> None:
    """Add the nodes of every operation that is not a constant, in order; ``block`` is what they are part of, in words.

    Raises:
        UnknownOpError: an op has no row in OPS.
        UnsupportedProgramError: an op has a form that cannot be expressed, foreseen or not.
    """
    computed = (op for op in operations if op.op_type != "const" and not is_compressed(op.outputs[0]))
    for number, op in enumerate(computed, start=1):
        if all(var.val is not None for var in op.outputs):
            continue  # coremltools computed it from constants; it becomes an initializer where it is used
        if op.op_type not in graph.builders:
            raise UnknownOpError(
                f"The reference runtime does not know the op '{op.op_type}' ({_place(op, number, block)}); "
                "run this model on a Mac, or convert it without that op."
            )
        outer = (graph.place, graph.through, graph.took_unrounded)
        graph.begin(op.outputs[0].name, through=op.op_type in COMMUTES)
        try:
            made = graph.builders[op.op_type](graph, op)
        except (CoremlbenchError, MemoryError):
            raise
        except Exception as error:  # a form of the op that nobody thought of: one sentence that names it
            raise UnsupportedProgramError(
                f"The reference runtime cannot express this form of the op '{op.op_type}' "
                f"({_place(op, number, block)}): {first_line(error)}"
            ) from error
        names = (made,) if isinstance(made, str) else made
        rounds = graph.took_unrounded if op.op_type in COMMUTES else op.op_type not in EXACT
        for var, name in zip(op.outputs, names, strict=True):
            graph.bind(var, name, rounding=rounds and is_half(var))
        graph.place, graph.through, graph.took_unrounded = outer


def _place(op: Operation, number: int, block: str) -> str:
    """Return where an op stands: its number among those of its block that are no constants, and what it makes."""
    return f"operation {number} of {block}, which makes '{op.outputs[0].name}'"
