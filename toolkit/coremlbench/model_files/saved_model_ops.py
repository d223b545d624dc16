"""The graph of a SavedModel, before it is loaded: whether it could run code, or reach files and networks.

TensorFlow's registry tells which operations keep a state or touch anything but their inputs ("stateful"). Of those
only the few that networks need pass, so that an operation nobody thought of is refused; what is no longer stateful and
still reaches out is named here. "TensorFlow models are programs" (TensorFlow's SECURITY.md) is the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from coremlbench.types.errors import InputError

HARMLESS_OPS = {
    # variables, of classic graphs and of today's
    *("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"),
    *("VarIsInitializedOp", "VariableShape", "ResourceGather", "ResourceGatherNd", "DisableCopyOnRead"),
    *("Variable", "VariableV2"),
    # control flow; the functions they call are looked at as well
    *("StatefulPartitionedCall", "If", "While", "Case"),
    # lists of tensors and networks with a memory, all of it inside the process
    *("TensorArrayV3", "TensorArrayReadV3", "TensorArrayWriteV3", "TensorArrayGatherV3", "TensorArrayScatterV3"),
    *("TensorArraySizeV3", "TensorArrayConcatV3", "TensorArraySplitV3", "TensorArrayCloseV3"),
    *("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"),
    # random numbers, of dropout and augmentation
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "ParameterizedTruncatedNormal"),
    *("RandomShuffle", "Multinomial", "RandomGamma", "RandomPoisson", "RandomPoissonV2", "NonDeterministicInts"),
    *("RngReadAndSkip", "RngSkip", "StatefulUniform", "StatefulUniformInt", "StatefulUniformFullInt"),
    *("StatefulStandardNormal", "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulRandomBinomial"),
    *("StatelessRandomGetAlg", "RandomCrop", "SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2"),
    # assertions and memory
    *("Assert", "CheckNumerics", "CheckNumericsV2", "Empty", "DeepCopy", "GuaranteeConst", "IsTensorFloat32Enabled"),
}
"""Stateful operations that change nothing outside the model's own memory."""

IO_OPS = {
    *("ReadFile", "MatchingFiles", "ImmutableConst", "GenerateVocabRemapping", "InitializeTableFromTextFile"),
    *("DecodeProtoV2", "EncodeProto"),  # descriptor_source may be a path
    *("DebugIdentity", "DebugNanCount", "DebugNumericSummary", "Copy", "CopyHost"),  # to debug_urls, file:// too
    *("PyFuncStateless", "XlaCustomCall", "XlaCustomCallV2", "MlirPassthroughOp"),  # code by name or as a text
    "Abort",
}
"""Operations that the registry does not call stateful, and that read or write by a path or an address, or run code.

Those of data sets (``TFRecordDataset``, ``CacheDataset``, ``RegisterDataset`` …) are told by their names.
"""

CHECKPOINT_OPS = {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
"""What every SavedModel has for its own variables, and nothing may run but the loading of it."""

CALL_OPS = {"PartitionedCall", "StatefulPartitionedCall"}


def check_graph(name: str, saved: Any, *, allow_code: bool) -> None:
    """Raise ``InputError`` when the graph of a SavedModel (its proto) runs code or reaches files.

    A SavedModel's own saving and restoring is left out, when nothing else can call it.
    """
    if allow_code:
        return
    # the condition by which tf.saved_model.load takes the objects' functions and never runs the graph itself
    objects = len(saved.meta_graphs) == 1 and saved.meta_graphs[0].HasField("object_graph_def")
    found = sorted({op for meta in saved.meta_graphs for op in _reaching(meta, objects=objects)})
    if found:
        raise InputError(
            f"The graph of {name} runs {', '.join(found)}, which can run code or reach files on this machine; if "
            "you trust where it comes from, convert it with --allow-code."
        )


def _reaching(meta: Any, *, objects: bool) -> set[str]:
    """Return the operations of a graph and its functions that must not run."""
    library = meta.graph_def.library.function
    functions, nodes = (_own_functions(meta), set()) if objects else (set(), _own_nodes(meta))
    found = {node.op for node in meta.graph_def.node if not (node.name in nodes and node.op in CHECKPOINT_OPS)}
    for function in library:
        own = CHECKPOINT_OPS if function.signature.name in functions else set()
        found |= {node.op for node in function.node_def} - own
    names = {function.signature.name for function in library}
    return {op for op in found if not is_harmless(op, names)}


def is_harmless(op: str, functions: Collection[str] = ()) -> bool:
    """Return whether an operation of TensorFlow computes and does nothing else.

    What the registry does not know does not pass, unless it is the call of one of the graph's own ``functions``.
    """
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:
        return op in functions
    return op in HARMLESS_OPS or not (definition.is_stateful or op in IO_OPS or "Dataset" in op)


def _own_functions(meta: Any) -> set[str]:
    """Return the functions that save and restore, called by the saver's own two nodes; none if others name them.

    Whatever else names one could call it: a function, a node, a signature, an object.
    """
    saving = {meta.saver_def.save_tensor_name.split(":")[0], meta.saver_def.restore_op_name}
    calls = [node for node in meta.graph_def.node if node.name in saving and node.op in CALL_OPS]
    own = {node.attr["f"].func.name for node in calls}
    rest = type(meta)()
    rest.CopyFrom(meta)
    rest.ClearField("graph_def")
    rest.graph_def.node.extend(node for node in meta.graph_def.node if node not in calls)
    library = meta.graph_def.library
    rest.graph_def.library.function.extend(each for each in library.function if each.signature.name not in own)
    rest.graph_def.library.gradient.extend(library.gradient)
    rest.graph_def.library.registered_gradients.extend(library.registered_gradients)
    return set() if _names_any(rest, own) else own


def _own_nodes(meta: Any) -> set[str]:
    """Return the nodes of a classic graph that save and restore, and those that run them; none if others could.

    A classic graph may hold several savers: that of its training stays in it. What is loaded runs the restoring of
    one, which must not save, and what signatures and collections name.
    """
    inputs = {node.name: [_node_of(each) for each in node.input] for node in meta.graph_def.node}
    kinds = {node.name: node.op for node in meta.graph_def.node}
    users: dict[str, list[str]] = {}
    for name, taken in inputs.items():
        for each in taken:
            users.setdefault(each, []).append(name)
    own = _reached((name for name, op in kinds.items() if op in CHECKPOINT_OPS), users)
    restoring = _reached([meta.saver_def.restore_op_name], inputs)
    rest = type(meta)()
    rest.CopyFrom(meta)
    for used in ("graph_def", "saver_def"):
        rest.ClearField(used)
    rest.collection_def.pop("savers", None)  # definitions of savers: loading reads them and runs none
    if _names_any(rest, own) or any(kinds.get(name) in CHECKPOINT_OPS - {"RestoreV2"} for name in restoring):
        return set()
    return own


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").split(":")[0]


def _reached(starts: Iterable[str], edges: dict[str, list[str]]) -> set[str]:
    found, left = set(), list(starts)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(edges.get(name, ()))
    return found


def _names_any(proto: Any, names: Iterable[str]) -> bool:
    """Return whether a name stands anywhere in a proto: rather once too often than a reference overlooked."""
    content = proto.SerializeToString()
    return any(name.encode() in content for name in names)
