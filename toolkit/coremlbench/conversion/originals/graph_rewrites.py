"""Rewrites of a frozen TensorFlow graph into forms that coremltools 9.0 converts: loops, and tests of the sign bit.

A rewritten graph computes the same values. A graph has scopes: its own nodes, and the nodes of each of its functions.
In a function the output of a node is called ``name:output:0``, elsewhere ``name`` or ``name:0``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LOOPS = ("While", "StatelessWhile")
REWRITTEN_OPS = (*LOOPS, "Bitcast")
"""Ops whose graph is rewritten."""
NEW_NAME_SUFFIX = "_with_counter"
UNUSED = 2
"""Number of loop variables that coremltools drops: the counter and the limit that TensorFlow adds to each loop."""


def needs_rewriting(graph_def: Any) -> bool:
    """Return whether a graph or one of its functions has an op of ``REWRITTEN_OPS``."""
    return any(node.op in REWRITTEN_OPS for scope in _scopes(graph_def) for node in scope.nodes)


def rewrite_graph(graph_def: Any) -> None:
    """Rewrite a frozen graph in place."""
    scopes = list(_scopes(graph_def))
    functions = {function.signature.name: function for function in graph_def.library.function}
    loops = [(loop, scope) for scope in scopes for loop in scope.nodes if loop.op in LOOPS]
    for role in ("cond", "body"):
        for name in {loop.attr[role].func.name for loop, _ in loops}:
            _keep_function_counter(functions[name], is_body=role == "body")
    for loop, scope in loops:
        _keep_loop_counter(loop, scope)
    for scope in scopes:
        _rewrite_sign_tests(scope)


@dataclass(frozen=True)
class _Scope:
    """The nodes of a graph (``returned`` is ``None``) or of a function, and what that returns by output name."""

    nodes: Any
    returned: Any = None

    def reference(self, name: str, index: int = 0, output: str = "output") -> str:
        """Return the text that stands for an output of a node among another node's inputs."""
        return f"{name}:{index}" if self.returned is None else f"{name}:{output}:{index}"

    def add(self, op: str, name: str, inputs: list[str] | None = None) -> Any:
        """Add a node."""
        node = self.nodes.add(op=op, name=name)
        node.input.extend(inputs or [])
        return node

    def constant(self, value: Any, name: str) -> str:
        """Add a constant; return the reference to it."""
        import tensorflow as tf

        tensor = tf.make_tensor_proto(value)
        node = self.add("Const", name)
        node.attr["value"].tensor.CopyFrom(tensor)
        node.attr["dtype"].type = tensor.dtype
        return self.reference(name)

    def producer(self, reference: str) -> Any:
        """Return the node whose output a reference stands for; one without a type for an argument of the function."""
        from tensorflow.core.framework.node_def_pb2 import NodeDef

        name = reference.removeprefix("^").split(":")[0]
        return next((node for node in self.nodes if node.name == name), NodeDef(name=name))

    def value(self, reference: str) -> Any:
        """Return the value of a constant as numbers or nested lists, ``None`` for other nodes."""
        import tensorflow as tf

        node = self.producer(reference)
        return tf.make_ndarray(node.attr["value"].tensor).tolist() if node.op == "Const" else None

    def remove_unused(self, ops: set[str]) -> None:
        """Remove nodes of some ops whose values nothing reads."""
        while True:
            references = [value for node in self.nodes for value in node.input]
            references += (self.returned or {}).values()
            read = {value.removeprefix("^").split(":")[0] for value in references}
            unused = [node for node in self.nodes if node.op in ops and node.name not in read]
            if not unused:
                return
            for node in unused:
                self.nodes.remove(node)


def _scopes(graph_def: Any) -> Iterator[_Scope]:
    """Yield the scopes of a graph."""
    yield _Scope(graph_def.node)
    for function in graph_def.library.function:
        yield _Scope(function.node_def, function.ret)


# --- loops --------------------------------------------------------------------------------------------------


def _keep_loop_counter(loop: Any, scope: _Scope) -> None:
    """Give a loop ``UNUSED`` unused variables before its own, which coremltools drops in place of its counter.

    The condition of a loop with a limit of iterations compares the counter with it, as TensorFlow's does since 2.13.
    """
    import tensorflow as tf

    for role in ("cond", "body"):
        loop.attr[role].func.name += NEW_NAME_SUFFIX
    unused = scope.constant(0, f"{loop.name}/unused")
    types = list(loop.attr["T"].list.type)
    _replace(loop.input, [unused] * UNUSED + list(loop.input))
    _replace(loop.attr["T"].list.type, [tf.int32.as_datatype_enum] * UNUSED + types)
    for name in {"output_shapes", "_output_shapes"} & set(loop.attr):
        shapes = loop.attr[name].list.shape
        if len(shapes) == len(types):
            _replace(shapes, [tf.TensorShape([]).as_proto()] * UNUSED + list(shapes))
    _read_shifted_results(loop, types, scope)


def _read_shifted_results(loop: Any, types: list[Any], scope: _Scope) -> None:
    """Have the results of a loop read at their new indices; ``types`` are those of the results.

    Each is read through a node of its own, because coremltools finds only one result among an op's inputs. It is a
    ``StopGradient``: TensorFlow's optimisation removes an ``Identity``.
    """
    reads = {scope.reference(loop.name, index): index for index in range(len(types))}
    reads[loop.name] = 0
    results: dict[int, str] = {}

    def result(index: int) -> str:
        """Return the reference to the node that reads a result; it is added when it is needed."""
        if index not in results:
            name = f"{loop.name}/result_{index}"
            node = scope.add("StopGradient", name, [scope.reference(loop.name, index + UNUSED)])
            node.attr["T"].type = types[index]
            results[index] = scope.reference(name)
        return results[index]

    for node in [node for node in scope.nodes if node is not loop]:
        for position, value in enumerate(node.input):
            if value in reads:
                node.input[position] = result(reads[value])
    for name, value in (scope.returned or {}).items():
        if value in reads:
            scope.returned[name] = result(reads[value])


def _keep_function_counter(function: Any, *, is_body: bool) -> None:
    """Give the condition or the body of a loop the same unused variables.

    The function gets a new name, because coremltools looks functions up among all those that TensorFlow knows.
    """
    import tensorflow as tf
    from tensorflow.core.framework.op_def_pb2 import OpDef

    signature = function.signature
    signature.name += NEW_NAME_SUFFIX
    names = [f"unused_argument_{index}" for index in range(UNUSED)]
    unused = [OpDef.ArgDef(name=name, type=tf.int32.as_datatype_enum) for name in names]
    _replace(signature.input_arg, [*unused, *signature.input_arg])
    function.arg_attr.clear()  # by position, and of no use to coremltools
    if is_body:
        returned = [*names, *(function.ret[output.name] for output in signature.output_arg)]
        _replace(signature.output_arg, [*unused, *signature.output_arg])
        function.ret.clear()
        for index, (output, value) in enumerate(zip(signature.output_arg, returned, strict=True)):
            output.name = f"identity_{index}"  # coremltools finds results by these names
            function.ret[output.name] = value


def _replace(field: Any, values: list[Any]) -> None:
    """Replace the values of a repeated field; they may be its own."""
    from copy import deepcopy

    copies = deepcopy(values)
    del field[:]
    field.extend(copies)


# --- sign bits ----------------------------------------------------------------------------------------------


def _rewrite_sign_tests(scope: _Scope) -> None:
    """Replace tests of a number's sign bit by comparisons with 0; -0 counts as 0.

    Keras's ``argmax`` and ``argmin`` replace -0 by the largest negative number before they compare; that is left out.
    """
    import tensorflow as tf

    float32 = tf.float32.as_datatype_enum
    tests: set[str] = set()
    for node in [node for node in scope.nodes if node.op == "Less" and scope.value(node.input[1]) == 0]:
        bits = scope.producer(node.input[0])
        if bits.op == "BitwiseAnd" and scope.value(bits.input[1]) == tf.int32.min:
            bits = scope.producer(bits.input[0])
        if bits.op == "Bitcast" and bits.attr["T"].type == float32:
            node.input[0] = bits.input[0]
            node.input[1] = scope.constant(0.0, f"{node.name}/zero")
            node.attr["T"].type = float32
            tests.add(node.name)
    for node in scope.nodes:
        if node.op == "SelectV2" and _replaces_negative_zeros(node, tests, scope):
            _replace(node.input, [node.input[2]])
            node.op = "Identity"
    scope.remove_unused({"Bitcast", "BitwiseAnd", "LogicalAnd", "Less", "Equal"})


def _replaces_negative_zeros(node: Any, tests: set[str], scope: _Scope) -> bool:
    """Return whether a ``SelectV2`` replaces the zeros of its third input whose sign bit is set.

    ``tests`` are the names of the ops that test the sign bit.
    """
    both = scope.producer(node.input[0])
    if both.op != "LogicalAnd":
        return False
    is_zero, is_negative = (scope.producer(reference) for reference in both.input[:2])
    if is_zero.op != "Equal" or scope.value(is_zero.input[1]) != 0 or is_negative.name not in tests:
        return False
    return bool(is_zero.input[0] == is_negative.input[0] == node.input[2])
