"""The files that an ONNX model consists of: its own, and those that hold weights outside of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coremlbench.system.files import hash_file


def hash_onnx(path: Path) -> str:
    """Return the SHA-256 of an ONNX file, or over its name and those of its files of weights with their hashes.

    A file that cannot be used has the hash of its own content.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        files = external_files(onnx.load(str(path), load_external_data=False))
    except DecodeError:
        files = []
    if not files or not all(is_beside(path, file) for file in files):
        return hash_file(path)
    lines = [f"{name}\0{hash_file(path.parent / name)}\n" for name in (path.name, *files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _graphs(nodes: Any) -> Iterator[Any]:
    """Yield the graphs inside the control flow of nodes, at any depth."""
    for node in nodes:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield inner
                yield from _graphs(inner.node)


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs inside its control flow."""
    for inner in (graph, *_graphs(graph.node)):
        yield from inner.node


def is_beside(path: Path, location: str) -> bool:
    """Return whether a file of weights that an ONNX file names lies in its folder, or below it."""
    file = Path(location)
    return not file.is_absolute() and ".." not in file.parts and (path.parent / file).is_file()


def external_files(model: Any) -> list[str]:
    """Return the files, relative to the model's folder, that hold weights of a model."""
    bodies = [model.graph, *model.functions]
    graphs = [model.graph, *(graph for body in bodies for graph in _graphs(body.node))]
    tensors = [tensor for graph in graphs for tensor in graph.initializer]
    for node in (node for body in (*graphs, *model.functions) for node in body.node):
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
    entries = [entry for tensor in tensors for entry in tensor.external_data if entry.key == "location"]
    return sorted({entry.value for entry in entries})
