"""Check the graph of a SavedModel, before it is loaded, for operations that run code or use files and networks.

"TensorFlow models are programs" (TensorFlow's SECURITY.md). TensorFlow's registry marks operations with a state or side
effects as "stateful". Of these only the few that networks need are allowed, so that unknown ones are rejected.
Operations that are not marked and still use files or run code are listed here.
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
    # control flow; the functions that they call are checked too
    *("StatefulPartitionedCall", "If", "While", "Case"),
    # lists of tensors and recurrent networks, in the process's memory
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
"""Operations that the registry does not mark as stateful, and that use files or addresses, or run code.

Those of data sets (``TFRecordDataset``, ``CacheDataset``, ``RegisterDataset`` …) are recognised by their names.
"""

CHECKPOINT_OPS = {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
"""Operations that every SavedModel has for its variables. Only the loading of it may run them."""

CALL_OPS = {"PartitionedCall", "StatefulPartitionedCall"}


def check_graph(name: str, saved: Any, *, allow_code: bool) -> None:
    """Raise ``InputError`` if the graph of a SavedModel (its proto) runs code or uses files.

    The operations that save and restore its own variables are allowed if nothing else can call them.
    """
    if allow_code:
        return
    # the condition under which tf.saved_model.load uses the objects' functions and never runs the graph itself
    objects = len(saved.meta_graphs) == 1 and saved.meta_graphs[0].HasField("object_graph_def")
    unsafe = sorted({op for meta in saved.meta_graphs for op in _unsafe_ops(meta, objects=objects)})
    if unsafe:
        raise InputError(
            f"The graph of {name} runs {', '.join(unsafe)}, which can run code or reach files on this machine; if "
            "you trust where it comes from, convert it with --allow-code."
        )


def _unsafe_ops(meta: Any, *, objects: bool) -> set[str]:
    """Return the operations of a graph and its functions that are not allowed."""
    library = meta.graph_def.library.function
    functions, nodes = (_own_functions(meta), set()) if objects else (set(), _own_nodes(meta))
    ops = {node.op for node in meta.graph_def.node if not (node.name in nodes and node.op in CHECKPOINT_OPS)}
    for function in library:
        own = CHECKPOINT_OPS if function.signature.name in functions else set()
        ops |= {node.op for node in function.node_def} - own
    names = {function.signature.name for function in library}
    return {op for op in ops if not is_harmless(op, names)}


def is_harmless(op: str, functions: Collection[str] = ()) -> bool:
    """Return whether an operation of TensorFlow has no side effects outside the model.

    An operation that the registry does not know is harmless only if it calls one of the graph's own ``functions``.
    """
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:
        return op in functions
    return op in HARMLESS_OPS or not (definition.is_stateful or op in IO_OPS or "Dataset" in op)


def _own_functions(meta: Any) -> set[str]:
    """Return the functions that the saver's two nodes call to save and restore; none if anything else names one.

    A function, a node, a signature or an object that names one could call it.
    """
    saving = {meta.saver_def.save_tensor_name.split(":")[0], meta.saver_def.restore_op_name}
    calls = [node for node in meta.graph_def.node if node.name in saving and node.op in CALL_OPS]
    own = {node.attr["f"].func.name for node in calls}
    rest = type(meta)()
    rest.CopyFrom(meta)
    rest.ClearField("graph_def")
    rest.graph_def.node.extend(node for node in meta.graph_def.node if node not in calls)
    library = meta.graph_def.library
    rest.graph_def.library.function.extend(
        function for function in library.function if function.signature.name not in own
    )
    rest.graph_def.library.gradient.extend(library.gradient)
    rest.graph_def.library.registered_gradients.extend(library.registered_gradients)
    return set() if _names_any(rest, own) else own


def _own_nodes(meta: Any) -> set[str]:
    """Return the nodes of a TensorFlow 1 graph that save and restore, and their users; none if others could run them.

    A graph may have several savers, such as that of its training. Loading runs the restore of one of them, which must
    not save, and what signatures and collections name.
    """
    inputs = {node.name: [_node_of(tensor) for tensor in node.input] for node in meta.graph_def.node}
    kinds = {node.name: node.op for node in meta.graph_def.node}
    users: dict[str, list[str]] = {}
    for name, sources in inputs.items():
        for source in sources:
            users.setdefault(source, []).append(name)
    own = _reachable((name for name, op in kinds.items() if op in CHECKPOINT_OPS), users)
    restoring = _reachable([meta.saver_def.restore_op_name], inputs)
    rest = type(meta)()
    rest.CopyFrom(meta)
    for used in ("graph_def", "saver_def"):
        rest.ClearField(used)
    rest.collection_def.pop("savers", None)  # loading reads the definitions of savers and runs none
    if _names_any(rest, own) or any(kinds.get(name) in CHECKPOINT_OPS - {"RestoreV2"} for name in restoring):
        return set()
    return own


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").split(":")[0]


def _reachable(starts: Iterable[str], edges: dict[str, list[str]]) -> set[str]:
    reachable, queue = set(), list(starts)
    while queue:
        name = queue.pop()
        if name not in reachable:
            reachable.add(name)
            queue.extend(edges.get(name, ()))
    return reachable


def _names_any(proto: Any, names: Iterable[str]) -> bool:
    """Return whether one of the names occurs in the bytes of a proto; it may be found by chance, never missed."""
    content = proto.SerializeToString()
    return any(name.encode() in content for name in names)
