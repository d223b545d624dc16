"""Open an ONNX file with ONNX Runtime: checks of the file, its session, and the input of a final softmax or sigmoid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.model_files.onnx_files import external_files, is_beside, nodes_of
from coremlbench.types.errors import InputError

RECORD_HINT = "record its inputs and outputs instead: docs/originals.md"

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "ai.onnx.training", "com.microsoft")
"""Domains of ops that ONNX Runtime may have."""

VALUE_PRESERVING_OPS = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast")
"""Ops between a softmax and an output that keep the values and their order."""

EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
"""Setting of a session with the folder of the weights that lie outside of the file."""


def read_model(path: Path) -> Any:
    """Return an ONNX file's ``ModelProto``, without weights that lie in other files.

    Raises:
        InputError: it is no ONNX model, is damaged, uses custom ops, or needs a file that is not beside it.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise InputError(f"{path.name} is truncated or no ONNX model; export or copy it again.") from error
    if not model.graph.node:
        raise InputError(f"{path.name} has no ONNX graph; export or copy it again.")
    local = {function.domain for function in model.functions}
    for node in nodes_of(model.graph):
        if node.domain not in {*STANDARD_DOMAINS, *local}:
            raise InputError(
                f"{path.name} uses the custom op {node.domain}.{node.op_type}, which ONNX Runtime does not know; "
                f"{RECORD_HINT}."
            )
    for location in external_files(model):
        if not is_beside(path, location):
            raise InputError(
                f"{path.name} keeps weights in the file {location}, which is not beside it; copy both into one folder."
            )
    return model


def logits_name(model: Any) -> str:
    """Return the input of the softmax or sigmoid that a model with one output ends in; empty when there is none."""
    if len(model.graph.output) != 1:
        return ""
    producers = {name: node for node in model.graph.node for name in node.output}
    node = producers.get(model.graph.output[0].name)
    while node is not None and node.op_type in VALUE_PRESERVING_OPS:
        node = producers.get(node.input[0])
    if node is None or node.op_type not in {"Softmax", "Sigmoid"} or node.input[0] not in producers:
        return ""
    return str(node.input[0])


def make_session(path: Path, model: Any, also: str = "") -> Any:
    """Return an ONNX Runtime session on the CPU; ``also`` names an inner value that becomes one more output.

    Raises:
        InputError: ONNX Runtime does not take the model.
    """
    import onnx
    import onnxruntime

    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    if also:
        extended.graph.output.append(onnx.ValueInfoProto(name=also))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: errors arrive as exceptions
    options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(path.parent.absolute()))
    try:
        return onnxruntime.InferenceSession(extended.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # of many types without a common one
        raise InputError(
            f"ONNX Runtime cannot load {path.name} ({error_line(error)}); export it with another opset, or "
            f"{RECORD_HINT}."
        ) from error


def error_line(error: Exception) -> str:
    """Return the reason in the message of an exception of ONNX Runtime, one line of 200 characters at most."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rpartition(" : ")[2][:200]
