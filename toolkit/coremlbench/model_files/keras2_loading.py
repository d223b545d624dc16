"""Load a model that Keras 2 saved with ``tf_keras``, without running code of the file unless that is allowed."""

from __future__ import annotations

import shlex
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from coremlbench.model_files.custom_objects import load_custom_objects
from coremlbench.model_files.formats import (
    dictionaries,
    identify_format,
    layer_name,
    needed_objects,
    read_config,
    with_format_suffix,
)
from coremlbench.model_files.keras2_safety import check_keras_2
from coremlbench.model_files.saved_model_ops import is_harmless
from coremlbench.types.errors import InputError

GRAPH_OP_LAYER = "TensorFlowOpLayer"
"""A layer that is one node of TensorFlow's graph, as TensorFlow 2.0 to 2.3 saved functions of TensorFlow."""


def load_keras_2(path: Path, *, allow_code: bool, custom_objects: str | None = None) -> Any:
    """Return the model of a file that Keras 2 saved, uncompiled; ``tf_keras`` may raise any exception.

    ``custom_objects`` is the path of the Python file with the model's own classes; it is run only with ``allow_code``.

    Raises:
        InputError: ``tf_keras`` is not installed, or the file holds code that is not allowed.
    """
    tf_keras = import_tf_keras(path.name)
    if not allow_code:
        config = read_config(path, identify_format(path))
        check_keras_2(path.name, config)
        _check_graph_ops(path.name, config)
    objects = load_custom_objects(Path(custom_objects), needed_objects(path)) if custom_objects and allow_code else None
    with safe_mode(allow_code=allow_code), with_format_suffix(path) as file:
        return tf_keras.models.load_model(str(file), compile=False, safe_mode=not allow_code, custom_objects=objects)


def import_tf_keras(name: str) -> Any:
    """Return the module ``tf_keras``; ``name`` is the file that needs it.

    Raises:
        InputError: it is not installed; the message has the command that installs it for this TensorFlow.
    """
    import tensorflow as tf

    try:
        import tf_keras
    except ImportError as error:
        minor = ".".join(tf.__version__.split(".")[:2])
        command = f"{shlex.quote(sys.executable)} -m pip install --no-deps 'tf_keras=={minor}.*'"
        raise InputError(
            f"Keras 2 saved {name}, and tf_keras, which executes models of Keras 2, is not installed here; install it: "
            f"{command}"
        ) from error
    return tf_keras


def safe_mode(*, allow_code: bool) -> AbstractContextManager[None]:
    """Return a context in which ``tf_keras`` makes no function of bytes, unless code is allowed.

    ``load_model`` takes this as an argument, and leaves it out for HDF5 files.
    """
    from tf_keras.src.saving.serialization_lib import SafeModeScope

    scope: AbstractContextManager[None] = SafeModeScope(safe_mode=not allow_code)
    return scope


def _check_graph_ops(name: str, config: Any) -> None:
    """Raise ``InputError`` if a layer is an op of TensorFlow that runs code or uses files."""
    for part in dictionaries(config):
        if str(part.get("class_name")).rpartition(">")[2] == GRAPH_OP_LAYER:
            op = _op_of(part.get("config"))
            if not is_harmless(op):
                raise InputError(
                    f"{name} has a layer {layer_name(part)} that runs TensorFlow's {op or 'op'}, which could run code "
                    "or reach files on this machine; if you trust where it comes from, convert it with --allow-code."
                )


def _op_of(config: Any) -> str:
    """Return the type of the op of a ``TensorFlowOpLayer``, empty when it cannot be read."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    node = config.get("node_def") if isinstance(config, dict) else None
    if isinstance(node, dict):
        return str(node.get("op", ""))
    try:
        return str(tf.compat.v1.NodeDef.FromString(str(node).encode()).op)
    except DecodeError:
        return ""
