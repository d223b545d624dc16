"""SavedModel folders of TensorFlow, those of Keras's ``export()`` among them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.error_text import reason_of
from coremlbench.conversion.originals.input_semantics import classes_of, pixels_of, size_of, takes_bytes
from coremlbench.conversion.originals.layer_scopes import scopes_in
from coremlbench.conversion.originals.traced_model import (
    Traced,
    check_bytes,
    outputs_and_layers,
    start_tensorflow,
    trace_of,
    versions,
)
from coremlbench.model_files.saved_model_ops import check_graph
from coremlbench.types.conversion import ModelSource
from coremlbench.types.errors import InputError

SIGNATURE = "serving_default"
MUST_COMPILE = "_XlaMustCompile"


def open_saved_model(source: ModelSource, settings: Mapping[str, Any]) -> Traced:
    """Return the serving function of a SavedModel, after a look at the operations of its graph.

    Raises:
        InputError: it is broken, its graph runs code or reaches files, or it has no function of one input.
    """
    start_tensorflow()
    import tensorflow as tf

    path = Path(source.path)
    saved = _checked(path, allow_code=bool(settings.get("allow_code")))
    try:
        with _without_xla(path, saved) as folder:
            loaded = tf.saved_model.load(str(folder))
    except Exception as problem:  # whatever a damaged folder leads to, it becomes one sentence
        raise InputError(
            f"TensorFlow cannot load the SavedModel {path.name} ({reason_of(problem)}); save it again."
        ) from problem
    function = loaded.signatures.get(SIGNATURE)
    if function is None:
        raise InputError(f"The SavedModel {path.name} has no signature {SIGNATURE}; export the model again.")
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        raise InputError(f"{path.name} takes {len(inputs)} inputs, and only models with one can be converted.")
    ((name, spec),) = inputs.items()
    if not spec.shape.rank:
        raise InputError(
            f"{path.name} takes an input of an unknown number of dimensions; export it again with the shape of its "
            "input, the batch first."
        )
    batch, *own = spec.shape.as_list()
    shape = size_of(path.name, tuple(own), settings)
    of_bytes = takes_bytes(path.name, spec.dtype.name, shape, settings)

    def call(image: Any) -> Any:
        found = function(**{name: tf.cast(image, spec.dtype)})
        return next(iter(found.values())) if len(found) == 1 else found

    trace = _kept(trace_of(call, shape, name=path.name, bytes_only=of_bytes), loaded)
    concrete = trace(batch or 1)
    if of_bytes:
        check_bytes(concrete, path.name)
    outputs, found = outputs_and_layers(concrete, list(function.structured_outputs), scopes_in(concrete))
    pixels, scale, how = pixels_of(shape, settings, rescales=False, of_bytes=of_bytes, seen_into=False)
    classes, whose = classes_of(source, settings, [_sizes(each) for each in function.outputs])
    return Traced(
        trace=trace,
        shape=shape,
        pixels=pixels,
        scale=scale,
        classes=classes,
        versions=versions(),
        layers=found,
        outputs=outputs,
        notes=tuple(note for note in (how, whose) if note),
        fixed_batch=batch,
    )


def _sizes(output: Any) -> list[int | None]:
    """Return an output's shape, empty when even its rank is unknown."""
    return [] if output.shape.rank is None else list(output.shape)


def _kept(trace: Any, loaded: Any) -> Any:
    """Return the tracing function with a hold on the loaded model: its variables go when it goes."""

    def keeping(batch: int) -> Any:
        concrete = trace(batch)
        concrete.kept = loaded
        return concrete

    return keeping


def _checked(path: Path, *, allow_code: bool) -> Any:
    """Return the SavedModel's proto after a look at its graph."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as problem:
        raise InputError(
            f"The saved_model.pb in {path.name} is truncated or no SavedModel; save or copy it again."
        ) from problem
    check_graph(path.name, saved, allow_code=allow_code)
    return saved


@contextmanager
def _without_xla(path: Path, saved: Any) -> Iterator[Path]:
    """Give a folder to load, without the demand that functions be compiled by XLA, which changes no result.

    Keras puts it around every grouped convolution, and a function that is to be compiled is not put in line: all that
    coremltools would see of it is a call.
    """
    told = [each.attr for meta in saved.meta_graphs for each in _nodes(meta.graph_def) if MUST_COMPILE in each.attr]
    if not told:
        yield path
        return
    for attributes in told:
        del attributes[MUST_COMPILE]
    with tempfile.TemporaryDirectory() as scratch:
        for file in path.resolve().iterdir():
            if file.name != "saved_model.pb":
                (Path(scratch) / file.name).symlink_to(file)
        (Path(scratch) / "saved_model.pb").write_bytes(saved.SerializeToString())
        yield Path(scratch)


def _nodes(graph: Any) -> Iterator[Any]:
    """Give the graph's nodes, its functions and their nodes."""
    yield from graph.node
    for function in graph.library.function:
        yield function
        yield from function.node_def
