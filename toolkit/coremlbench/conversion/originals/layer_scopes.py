"""Which layer an op of a package belongs to: by the scope that TensorFlow computes it in, which its name begins with.

A scope is TensorFlow's ("net/conv_1"); TensorFlow numbers scopes in an order of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
VALUELESS = ("Const", "Placeholder", "NoOp", "Identity")


def in_coreml(name: str) -> str:
    """Return the name that coremltools gives to what TensorFlow calls ``name``: other signs become "_"."""
    return re.sub(r"[^A-Za-z0-9_@]", "_", name)


def layers_by_name(scopes: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, str]:
    """Return layers by the beginnings of their ops' names in Core ML, of layers by scope.

    ``outputs`` are the names of a program's outputs and the ops that they come from: an output has no scope. Where two
    scopes have one name in Core ML, as those of ``conv.1`` and ``conv_1`` have, both layers are named.
    """
    found: dict[str, str] = {}
    for scope, layer in scopes.items():
        name = in_coreml(scope)
        found[name] = layer if found.get(name, layer) == layer else f"{found[name]} or {layer}"
    for output, op in outputs.items():
        parts = op.split("/")
        around = ("/".join(parts[:depth]) for depth in range(len(parts) - 1, 0, -1))
        layer = next((scopes[each] for each in around if each in scopes), "")
        if layer:
            found.setdefault(in_coreml(output), layer)
    return found


@contextmanager
def recorded(model: Any) -> Iterator[dict[str, str]]:
    """Give a dictionary that takes the layers of a Keras model by scope while the model is traced.

    Each layer tells the scope that it is called in: one without variables leaves no other trace of itself.
    """
    layers = {id(each): each for each in model._flatten_layers() if each is not model}  # noqa: SLF001 - nested ones too
    found: dict[str, str] = {}
    before = {number: layer.__dict__.get("call") for number, layer in layers.items()}
    for layer in layers.values():
        layer.__dict__["call"] = _telling(layer, found)  # Keras would keep track of an attribute that is set
    try:
        yield found
    finally:
        for number, layer in layers.items():
            del layer.__dict__["call"]
            if before[number] is not None:
                layer.__dict__["call"] = before[number]


def _telling(layer: Any, found: dict[str, str]) -> Callable[..., Any]:
    import functools

    import tensorflow as tf

    call = layer.call

    @functools.wraps(call)
    def telling(*args: Any, **kwargs: Any) -> Any:
        found.setdefault(tf.get_current_name_scope(), layer.name)
        return call(*args, **kwargs)

    return telling


def scopes_in(concrete: Any) -> dict[str, str]:
    """Return the layers of a SavedModel's function by scope.

    A layer is the scope that has the name of what it keeps its variables in ("conv/kernel" in "net_1/conv_1"), and of
    ops that read no variable, or one without such a name, the scope itself.
    """
    graph = concrete.graph.as_graph_def()
    functions = {each.signature.name: each for each in graph.library.function}
    names = {id(variable.handle): variable.name.partition(":")[0] for variable in concrete.variables}
    captured = {inside.op.name: names.get(id(outside), "") for outside, inside in concrete.graph.captures}
    nodes = list(_walk(graph.node, captured, functions, ""))
    ops = {name for name, _, _ in nodes}
    found: dict[str, str] = {}
    for name, _, variable in nodes:
        scope = _scope_of(name, variable)
        if scope:
            found[scope] = variable.split("/")[-2]
    for name, kind, _ in nodes:
        around = name.rpartition("/")[0]
        while around in ops:  # the innards of an op, such as the shape of a Reshape
            around = around.rpartition("/")[0]
        inside = any(around == scope or around.startswith(f"{scope}/") for scope in found)
        if around and not inside and kind not in VALUELESS:
            found[around] = around.rpartition("/")[2]
    return found


def _walk(
    nodes: Any, variables: Mapping[str, str], functions: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    """Give the full name of each op of a graph and of those it calls, its kind, and the variable that it reads."""
    for node in nodes:
        read = [variables.get(value.partition(":")[0], "") for value in node.input]
        yield prefix + node.name, node.op, "" if node.op in CALLS else next(filter(None, read), "")
        if node.op in CALLS:
            called = functions[node.attr["f"].func.name]
            arguments = {each.name: variable for each, variable in zip(called.signature.input_arg, read, strict=False)}
            yield from _walk(called.node_def, arguments, functions, f"{prefix}{node.name}/")


def _scope_of(op: str, variable: str) -> str:
    """Return the innermost scope around an op that is named like the layer of a variable, empty when none is."""
    *_, layer, _ = ["", "", *variable.split("/")]
    parts = op.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        if layer and re.fullmatch(rf"{re.escape(layer)}(_\d+)?", parts[depth - 1]):
            return "/".join(parts[:depth])
    return ""


def origins(concrete: Any) -> list[str]:
    """Return the full name of the op that each output of a function comes from, empty where it is an input."""
    graph = concrete.graph.as_graph_def()
    functions = {each.signature.name: each for each in graph.library.function}
    nodes = {each.name: each for each in graph.node}
    return [_origin(each.name, nodes, functions, "") for each in concrete.outputs]


def _origin(value: str, nodes: Mapping[str, Any], functions: Mapping[str, Any], prefix: str) -> str:
    name, *place = value.split(":")
    node = nodes.get(name)
    if node is None:
        return ""
    if node.op == "Identity":
        return _origin(node.input[0], nodes, functions, prefix)
    if node.op not in CALLS:
        return prefix + name
    called = functions[node.attr["f"].func.name]
    output = called.signature.output_arg[int(place[-1]) if place else 0].name
    return _origin(called.ret[output], {each.name: each for each in called.node_def}, functions, f"{prefix}{name}/")
