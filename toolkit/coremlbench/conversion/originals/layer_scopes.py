"""Find the layer of an op in a package from the op's name, which starts with the name scope of TensorFlow.

A name scope ("net/conv_1") is not the layer's name: TensorFlow numbers scopes independently of the layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CALL_OPS = ("PartitionedCall", "StatefulPartitionedCall")
IGNORED_OPS = ("Const", "Placeholder", "NoOp", "Identity")
"""Ops that compute nothing; their scopes are not layers."""


def coreml_name(name: str) -> str:
    """Return the name that coremltools makes from a name in TensorFlow: special characters become "_"."""
    return re.sub(r"[^A-Za-z0-9_@]", "_", name)


def layers_by_name(scopes: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, str]:
    """Return layers by the prefixes of their ops' names in Core ML, from layers by name scope.

    ``outputs`` maps a program's outputs to the ops that compute them, because an output has no scope. If the layers of
    two scopes get the same name in Core ML, such as ``conv.1`` and ``conv_1``, both are named.
    """
    layers: dict[str, str] = {}
    for scope, layer in scopes.items():
        name = coreml_name(scope)
        layers[name] = layer if layers.get(name, layer) == layer else f"{layers[name]} or {layer}"
    for output, op in outputs.items():
        layer = next((scopes[scope] for scope in _enclosing_scopes(op) if scope in scopes), "")
        if layer:
            layers.setdefault(coreml_name(output), layer)
    return layers


def _enclosing_scopes(op: str) -> Iterator[str]:
    """Yield the name scopes of an op, the innermost first."""
    parts = op.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        yield "/".join(parts[:depth])


# --- Keras models -------------------------------------------------------------------------------------------


@contextmanager
def trace_layer_scopes(model: Any) -> Iterator[dict[str, str]]:
    """Yield a dictionary that is filled with layers by name scope while a Keras model is traced.

    Each layer's ``call`` is wrapped to record the scope it runs in: layers without variables leave no other trace in
    the graph.
    """
    layers = {id(layer): layer for layer in model._flatten_layers() if layer is not model}  # noqa: SLF001 - nested too
    scopes: dict[str, str] = {}
    instance_calls = {key: layer.__dict__.get("call") for key, layer in layers.items()}
    for layer in layers.values():
        layer.__dict__["call"] = _recording_call(layer, scopes)  # Keras would track a normal attribute
    try:
        yield scopes
    finally:
        for key, layer in layers.items():
            del layer.__dict__["call"]
            if instance_calls[key] is not None:
                layer.__dict__["call"] = instance_calls[key]


def _recording_call(layer: Any, scopes: dict[str, str]) -> Callable[..., Any]:
    import functools

    import tensorflow as tf

    call = layer.call

    @functools.wraps(call)
    def record_scope_and_call(*args: Any, **kwargs: Any) -> Any:
        scopes.setdefault(tf.get_current_name_scope(), layer.name)
        return call(*args, **kwargs)

    return record_scope_and_call


# --- SavedModels --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Op:
    """An op of a function graph: its full name, its type, and the name of the variable that it reads, if any."""

    name: str
    kind: str
    variable: str


def saved_model_scopes(concrete: Any) -> dict[str, str]:
    """Return the layers of a SavedModel's function by name scope.

    A layer with variables is the scope with the name under which these are stored ("conv/kernel" in "net_1/conv_1").
    Any other layer is the scope of its ops.
    """
    graph = concrete.graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    names = {id(variable.handle): variable.name.partition(":")[0] for variable in concrete.variables}
    captured = {inside.op.name: names.get(id(outside), "") for outside, inside in concrete.graph.captures}
    ops = list(_walk(graph.node, captured, functions, ""))
    return _scopes_without_variables(ops, _scopes_of_variables(ops))


def _scopes_of_variables(ops: list[_Op]) -> dict[str, str]:
    scopes: dict[str, str] = {}
    for op in ops:
        scope = _variable_scope(op)
        if scope:
            scopes[scope] = op.variable.split("/")[-2]
    return scopes


def _variable_scope(op: _Op) -> str:
    """Return the innermost scope of an op that has the name of its variable's layer; empty if there is none."""
    *_, layer, _ = ["", "", *op.variable.split("/")]
    if not layer:
        return ""
    numbered = re.compile(rf"{re.escape(layer)}(_\d+)?")
    return next((scope for scope in _enclosing_scopes(op.name) if numbered.fullmatch(scope.split("/")[-1])), "")


def _scopes_without_variables(ops: list[_Op], scopes: dict[str, str]) -> dict[str, str]:
    """Return ``scopes`` with those of ops added that lie in none of them."""
    names = {op.name for op in ops}
    scopes = dict(scopes)
    for op in ops:
        scope = op.name.rpartition("/")[0]
        while scope in names:  # a part of another op, such as the shape of a Reshape
            scope = scope.rpartition("/")[0]
        known = any(scope == other or scope.startswith(f"{other}/") for other in scopes)
        if scope and not known and op.kind not in IGNORED_OPS:
            scopes[scope] = scope.rpartition("/")[2]
    return scopes


def _walk(nodes: Any, variables: Mapping[str, str], functions: Mapping[str, Any], prefix: str) -> Iterator[_Op]:
    """Yield the ops of a graph and of the functions it calls; ``variables`` maps inputs to names of variables."""
    for node in nodes:
        read = [variables.get(value.partition(":")[0], "") for value in node.input]
        variable = "" if node.op in CALL_OPS else next(filter(None, read), "")
        yield _Op(prefix + node.name, node.op, variable)
        if node.op in CALL_OPS:
            function = functions[node.attr["f"].func.name]
            arguments = {arg.name: name for arg, name in zip(function.signature.input_arg, read, strict=False)}
            yield from _walk(function.node_def, arguments, functions, f"{prefix}{node.name}/")


def output_ops(concrete: Any) -> list[str]:
    """Return the full name of the op that computes each output of a function, empty where it is an input."""
    graph = concrete.graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    return [_computing_op(output.name, nodes, functions, "") for output in concrete.outputs]


def _computing_op(value: str, nodes: Mapping[str, Any], functions: Mapping[str, Any], prefix: str) -> str:
    """Return the full name of the op that computes a value; identities and function calls are followed."""
    name, *index = value.split(":")
    node = nodes.get(name)
    if node is None:
        return ""
    if node.op == "Identity":
        return _computing_op(node.input[0], nodes, functions, prefix)
    if node.op not in CALL_OPS:
        return prefix + name
    function = functions[node.attr["f"].func.name]
    output = function.signature.output_arg[int(index[-1]) if index else 0].name
    nodes = {node.name: node for node in function.node_def}
    return _computing_op(function.ret[output], nodes, functions, f"{prefix}{name}/")
