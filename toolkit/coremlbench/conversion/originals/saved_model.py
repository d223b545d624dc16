"""SavedModel folders of TensorFlow, including those of Keras's ``export()``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.input_semantics import class_names, input_shape, takes_bytes
from coremlbench.conversion.originals.input_values import input_values
from coremlbench.conversion.originals.layer_scopes import saved_model_scopes
from coremlbench.conversion.originals.traced_model import (
    TracedModel,
    library_versions,
    make_tracer,
    name_outputs_and_layers,
    reject_byte_arithmetic,
    start_tensorflow_on_cpu,
)
from coremlbench.model_files.error_text import error_line
from coremlbench.model_files.saved_model_ops import check_graph
from coremlbench.model_files.signatures import choose_signature
from coremlbench.types.conversion import ModelSource
from coremlbench.types.errors import InputError

XLA_ATTRIBUTE = "_XlaMustCompile"


def open_saved_model(source: ModelSource, settings: Mapping[str, Any]) -> TracedModel:
    """Open a signature of a SavedModel, after a check of the ops in its graph.

    Raises:
        InputError: it is damaged, its graph runs code or reads files, it has no such signature, or one with several
            inputs.
    """
    start_tensorflow_on_cpu()
    path = Path(source.path)
    loaded = _load(path, allow_code=bool(settings.get("allow_code")))
    signature, signature_note = choose_signature(path.name, loaded.signatures, settings.get("signature"))
    function = loaded.signatures[signature]
    others = sorted(set(loaded.signatures) - {signature})
    input_name, spec = _only_input(function, path.name, others)
    batch, *declared = spec.shape.as_list()
    shape = input_shape(path.name, tuple(declared), settings)
    takes_uint8 = takes_bytes(path.name, spec.dtype.name, shape, settings)
    call = _keyword_call(function, input_name, spec.dtype)
    trace = _keep_alive(make_tracer(call, shape, name=path.name, takes_uint8=takes_uint8), loaded)
    concrete = trace(batch or 1)
    if takes_uint8:
        reject_byte_arithmetic(concrete, path.name)
    names = list(function.structured_outputs)
    outputs, layers = name_outputs_and_layers(concrete, names, saved_model_scopes(concrete))
    scaling, sampling = input_values(concrete, path.name, shape, settings, takes_uint8=takes_uint8)
    classes, class_note, class_caveats = class_names(source, settings, [_shape(output) for output in function.outputs])
    return TracedModel(
        trace=trace,
        shape=shape,
        pixels=scaling.pixels,
        scale=scaling.scale,
        classes=classes,
        versions=library_versions(),
        layers=layers,
        outputs=outputs,
        notes=tuple(note for note in (signature_note, scaling.note, class_note) if note),
        caveats=(*scaling.caveats, *class_caveats),
        sampling=sampling,
        fixed_batch=batch,
    )


def _load(path: Path, *, allow_code: bool) -> Any:
    """Return the SavedModel loaded by TensorFlow; raise ``InputError`` if that fails."""
    import tensorflow as tf

    saved = read_checked(path, allow_code=allow_code)
    try:
        with _without_xla(path, saved) as folder:
            return tf.saved_model.load(str(folder))
    except Exception as error:  # a damaged folder can raise anything
        raise InputError(
            f"TensorFlow cannot load the SavedModel {path.name} ({error_line(error)}); save it again."
        ) from error


def _only_input(function: Any, name: str, other_signatures: Sequence[str]) -> tuple[str, Any]:
    """Return the name and the ``TensorSpec`` of a function's only input; raise ``InputError`` for any other."""
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        remedy = (
            f"; it has other signatures, for --signature: {', '.join(other_signatures)}" if other_signatures else ""
        )
        raise InputError(f"{name} takes {len(inputs)} inputs, and only models with one can be converted{remedy}.")
    ((input_name, spec),) = inputs.items()
    if not spec.shape.rank:
        raise InputError(
            f"{name} takes an input of an unknown number of dimensions; export it again with the shape of its "
            "input, the batch first."
        )
    return input_name, spec


def _keyword_call(function: Any, input_name: str, dtype: Any) -> Callable[[Any], Any]:
    """Return a function of the input tensor; it returns the only output, or the dictionary of several."""
    import tensorflow as tf

    def call(image: Any) -> Any:
        outputs = function(**{input_name: tf.cast(image, dtype)})
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    return call


def _shape(output: Any) -> list[int | None]:
    """Return an output's shape, empty when its rank is unknown."""
    return [] if output.shape.rank is None else list(output.shape)


def _keep_alive(trace: Callable[[int], Any], loaded: Any) -> Callable[[int], Any]:
    """Return ``trace`` with a reference to the SavedModel in its results: the variables are freed with it."""

    def trace_and_keep(batch: int) -> Any:
        concrete = trace(batch)
        concrete.saved_model = loaded
        return concrete

    return trace_and_keep


def read_checked(path: Path, *, allow_code: bool) -> Any:
    """Return the SavedModel's protocol buffer after a check of its ops; raise ``InputError`` if that fails."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise InputError(
            f"The saved_model.pb in {path.name} is truncated or no SavedModel; save or copy it again."
        ) from error
    check_graph(path.name, saved, allow_code=allow_code)
    return saved


@contextmanager
def _without_xla(path: Path, saved: Any) -> Iterator[Path]:
    """Yield a folder with the SavedModel without the attribute that functions must be compiled by XLA.

    Keras sets it for every grouped convolution. Such a function is not inlined, so that coremltools would only see a
    call. Results do not depend on the attribute.
    """
    nodes = [node for meta in saved.meta_graphs for node in _nodes(meta.graph_def) if XLA_ATTRIBUTE in node.attr]
    if not nodes:
        yield path
        return
    for node in nodes:
        del node.attr[XLA_ATTRIBUTE]
    with tempfile.TemporaryDirectory() as scratch:
        for file in path.resolve().iterdir():
            if file.name != "saved_model.pb":
                (Path(scratch) / file.name).symlink_to(file)
        (Path(scratch) / "saved_model.pb").write_bytes(saved.SerializeToString())
        yield Path(scratch)


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, its functions and their nodes."""
    yield from graph.node
    for function in graph.library.function:
        yield function
        yield from function.node_def
