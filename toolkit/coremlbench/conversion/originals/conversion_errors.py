"""Name the op and the layer at which coremltools fails, and say whether anything can be done about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from coremlbench.conversion.divergence import layer_of
from coremlbench.conversion.originals.frozen_graph import freeze
from coremlbench.conversion.originals.layer_scopes import coreml_name
from coremlbench.model_files.error_text import error_line
from coremlbench.types.errors import CoremlbenchError, InputError

CORE_ML_TYPES = frozenset(
    {"float16", "float32", "float64", "bool", "resource", "variant"}
    | {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)
"""TensorFlow's types that coremltools converts, wide ones to narrower ones. Core ML does not have the others."""

NEWER_TARGET = re.compile(r"minimum_deployment_target.*?iOS(\d+)", re.DOTALL)
"""coremltools' message on an op that an older system does not have."""
IOS_SYSTEMS = {"16": "macOS13", "17": "macOS14", "18": "macOS15"}
"""The targets of --target by the releases of iOS that have the same Core ML."""

DROPPED_OUTPUT = re.compile(r'Output node name "([^"]+)" does exist')
"""coremltools says so of an output that its own passes removed, as no input leads to it."""
BRANCHES = re.compile(r"branch output .* type tensor\[([\d,]+),\w+\] mismatch .*tensor\[([\d,]+),\w+\]")
"""coremltools' message on a condition whose branches give tensors of unlike shapes."""
BFLOAT16_REMEDY = "give its .keras file, or save it with the dtype policy float32"

MAX_RANK = 5
"""The largest number of dimensions of a tensor in Core ML."""


@dataclass(frozen=True)
class FailingOp:
    """An op at which a conversion failed: its type, its name, and the layer that it is a part of ("" if unknown)."""

    kind: str
    name: str
    layer: str

    def __str__(self) -> str:
        """Return the op in words."""
        return f"{self.kind} ('{self.name}'{f' of the layer {self.layer}' if self.layer else ''})"


@contextmanager
def explain_conversion_errors(concrete: Any, layers: Mapping[str, str]) -> Iterator[None]:
    """Replace errors of coremltools by an ``InputError`` that names the op, and the layer of ``layers``.

    ``concrete`` is the function that is converted.
    """
    try:
        yield
    except (CoremlbenchError, MemoryError):
        raise
    except Exception as error:  # of coremltools, which raises what its ops happen to raise
        raise InputError(_message(error, concrete, layers)) from error


def reject_growing_arrays(concrete: Any) -> None:
    """Raise ``InputError`` for a function with a ``TensorArray`` that starts empty and grows.

    coremltools converts it without an error, to a package that gives no values.
    """
    graph = concrete.graph.as_graph_def()
    scopes = [graph.node, *(function.node_def for function in graph.library.function)]
    if not any(node.op == "TensorListSetItem" and _grows(node) for nodes in scopes for node in nodes):
        return
    for nodes in scopes:
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            size = by_name.get(node.input[1].partition(":")[0]) if node.op == "TensorListReserve" else None
            if size is not None and size.op == "Const" and not _constant(size):
                raise InputError(
                    f"The model fills a TensorArray of dynamic size ('{node.name}'), and Core ML needs the size "
                    "before; give it its number of elements: tf.TensorArray(..., size=N)."
                )


def _grows(node: Any) -> bool:
    """Return whether a write to a list makes it longer."""
    return bool(node.attr["resize_if_index_out_of_bounds"].b)


def _constant(node: Any) -> int:
    """Return the number that a ``Const`` of one number holds."""
    import tensorflow as tf

    return int(tf.make_ndarray(node.attr["value"].tensor))


def _message(error: Exception, concrete: Any, layers: Mapping[str, str]) -> str:
    """Return the sentence for an error of coremltools."""
    target = NEWER_TARGET.search(str(error))
    if target is not None and target[1] in IOS_SYSTEMS:
        return f"An op of the model needs a newer system ({error_line(error)}); give --target {IOS_SYSTEMS[target[1]]}."
    unsupported = _unsupported_message(str(error)) if isinstance(error, NotImplementedError) else ""
    if unsupported:
        return unsupported
    dropped = DROPPED_OUTPUT.search(str(error))
    if dropped is not None:
        return (
            f"The output {_output_name(concrete, dropped[1])} is the same for every input, and coremltools drops such "
            "an output; save the model without it."
        )
    for check in (_type_message, _rank_message):
        message = check(concrete, layers)
        if message:
            return message
    op = _failing_op(error.__traceback__, layers)
    branches = BRANCHES.search(str(error))
    reason = f"{type(error).__name__}: {error_line(error)}"
    if branches is not None:
        shapes = " and ".join(shape.replace(",", "x") for shape in branches.groups())
        reason = f"its two branches give tensors of unlike shapes ({shapes}), which Core ML does not have"
    if op is None:
        return f"coremltools fails to convert the model ({reason})."
    return f"coremltools fails at {op}: {reason}; build the model without it."


def _unsupported_message(text: str) -> str:
    """Return the message for an op or a cast that coremltools does not support, empty for other errors."""
    cast = re.search(r"destination type (\w+) not supported", text)
    if cast is not None:
        return f"The model casts numbers to {cast.group(1)}, which Core ML does not compute with; build it without."
    op = re.search(r"TF op '(\w+)'.*?name: \"([^\"]+)\"", text, re.DOTALL)
    if op is None:
        return ""
    kind, name = op.groups()
    return (
        f"coremltools has no conversion for TensorFlow's {kind}, which '{name}' computes; build the model without it."
    )


def _type_message(concrete: Any, layers: Mapping[str, str]) -> str:
    """Return the message for a function that computes with a type that Core ML does not have; empty if it does not."""
    for op in freeze(concrete).graph.get_operations():
        for tensor in op.outputs if op.type != "Const" else ():
            if tensor.dtype.base_dtype.name not in CORE_ML_TYPES:
                kind = tensor.dtype.base_dtype.name
                remedy = BFLOAT16_REMEDY if kind == "bfloat16" else "build it without"
                return f"{_named(op, layers)} computes in {kind}, a type that Core ML does not have; {remedy}."
    return ""


def _rank_message(concrete: Any, layers: Mapping[str, str]) -> str:
    """Return the message for a function with a tensor of too many dimensions; empty if it has none."""
    for op in freeze(concrete).graph.get_operations():
        ranks = [tensor.shape.rank or 0 for tensor in op.outputs]
        if max(ranks, default=0) > MAX_RANK:
            return (
                f"{_named(op, layers)} gives a tensor of {max(ranks)} dimensions, and Core ML's tensors have at most "
                f"{MAX_RANK}; build the model without it."
            )
    return ""


def _named(op: Any, layers: Mapping[str, str]) -> FailingOp:
    name = op.name.replace("PartitionedCall/", "")  # the functions of a SavedModel, which call each other
    return FailingOp(f"TensorFlow's {op.type}", name, layer_of(coreml_name(op.name), layers))


def _failing_op(traceback: TracebackType | None, layers: Mapping[str, str]) -> FailingOp | None:
    """Return the op that coremltools was at, from the variables of its functions in a traceback; ``None`` if unknown.

    The innermost one counts. ``node`` is an op of TensorFlow, ``op`` one of TensorFlow or of Core ML.
    """
    op_name = None
    while traceback is not None:
        frame = traceback.tb_frame
        if "coremltools" in frame.f_code.co_filename:
            op_name = _op_of_frame(frame.f_locals, layers) or op_name
        traceback = traceback.tb_next
    return op_name


def _op_of_frame(variables: Mapping[str, Any], layers: Mapping[str, str]) -> FailingOp | None:
    for value in (variables.get("node"), variables.get("op")):
        name = getattr(value, "name", None)
        if not isinstance(name, str):
            continue
        layer = layer_of(coreml_name(name), layers)
        for attribute, owner in (("op_type", "Core ML"), ("type", "TensorFlow"), ("op", "TensorFlow")):
            kind = getattr(value, attribute, None)
            if isinstance(kind, str):
                return FailingOp(f"{owner}'s {kind}", name, layer)
    return None


def _output_name(concrete: Any, identity: str) -> str:
    """Return what an output of a function is called in it: the op that the output's ``Identity`` passes on."""
    node = next((node for node in concrete.graph.as_graph_def().node if node.name == identity), None)
    return repr(node.input[0]) if node is not None and node.input else repr(identity)
