"""Keras models: ``.keras`` and ``.h5`` files, and the networks of experiments with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.float32_policy import in_float32
from coremlbench.conversion.originals.input_semantics import (
    PixelScaling,
    class_names,
    input_shape,
    is_picture,
    takes_bytes,
)
from coremlbench.conversion.originals.input_values import input_values
from coremlbench.conversion.originals.keras_library import keras_library
from coremlbench.conversion.originals.layer_scopes import trace_layer_scopes
from coremlbench.conversion.originals.recurrent_layers import RecurrentLayers
from coremlbench.conversion.originals.traced_model import (
    TracedModel,
    library_versions,
    make_tracer,
    name_outputs_and_layers,
    reject_byte_arithmetic,
    start_tensorflow_on_cpu,
)
from coremlbench.conversion.sampling import KNOWN_RANGE, Sampling
from coremlbench.conversion.sources import RANDOM_PREFIX, network_and_seed
from coremlbench.experiments.catalogue import select
from coremlbench.model_files.keras_loading import load_keras
from coremlbench.types.conversion import Caveat, ModelSource
from coremlbench.types.errors import InputError


def open_keras(source: ModelSource, settings: Mapping[str, Any]) -> TracedModel:
    """Open the model of a Keras file, or an experiment's network with random weights.

    Raises:
        InputError: Keras cannot load it, it has several inputs, or an input of flexible size.
    """
    start_tensorflow_on_cpu()
    model = _random_network(source) if source.path.startswith(RANDOM_PREFIX) else _load(source, settings)
    model, caveats = in_float32(model)
    recurrent_layers = RecurrentLayers(model)
    original = trace_keras_model(model, _inference_function(model), source, settings, caveats=caveats)
    original.notes = tuple(note for note in (*original.notes, recurrent_layers.note) if note)
    if settings.get("save_model"):  # a network with random weights has no file yet
        model.save(settings["save_model"])
    return original


@dataclass(frozen=True)
class Preprocessing:
    """A computation on pixels from 0 to 255 that a model expects to be done before it; ``note`` says what it is."""

    compute: Callable[[Any], Any]
    note: str


def trace_keras_model(
    model: Any,
    infer: Callable[[Any], Any],
    source: ModelSource,
    settings: Mapping[str, Any],
    *,
    preprocessing: Preprocessing | None = None,
    notes: tuple[str, ...] = (),
    caveats: tuple[Caveat, ...] = (),
) -> TracedModel:
    """Return a model of ``keras`` or ``tf_keras`` as an original.

    ``infer`` is its inference as a function without side effects. ``preprocessing`` becomes a part of the original, and
    so of its packages, which then take images.

    Raises:
        InputError: the model has several inputs, or an input of flexible size.
    """
    tensor = _only_input(model, source)
    shape = input_shape(source.name, tuple(tensor.shape[1:]), settings)
    takes_uint8 = takes_bytes(source.name, _type_name(tensor), shape, settings, _embedding(model))
    call = infer if preprocessing is None else partial(_preprocess_and_infer, preprocessing.compute, infer)
    trace = make_tracer(call, shape, name=source.name, takes_uint8=takes_uint8)
    with trace_layer_scopes(model) as scopes:
        outputs, layers = name_outputs_and_layers(trace(1), _output_names(model), scopes)
    if preprocessing is None:
        scaling, sampling = _input_values(trace(1), source, settings, shape, takes_uint8=takes_uint8)
    else:
        scaling, sampling = PixelScaling(True, 1.0, note=preprocessing.note), KNOWN_RANGE
    if takes_uint8:
        reject_byte_arithmetic(trace(1), source.name)
    classes, class_note, class_caveats = class_names(source, settings, [output.shape for output in model.outputs])
    return TracedModel(
        trace=trace,
        shape=shape,
        pixels=scaling.pixels,
        scale=scaling.scale,
        classes=classes,
        versions=library_versions(keras_library(model)),
        layers=layers,
        outputs=outputs,
        notes=tuple(note for note in (scaling.note, class_note, *notes) if note),
        caveats=(*caveats, *scaling.caveats, *class_caveats),
        sampling=sampling,
    )


def _preprocess_and_infer(preprocess: Callable[[Any], Any], infer: Callable[[Any], Any], image: Any) -> Any:
    return infer(preprocess(image))


def _type_name(tensor: Any) -> str:
    """Return the name of a tensor's type; ``tf_keras`` has TensorFlow's types, Keras 3 their names."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def _embedding(model: Any) -> str:
    """Return the name of a model's first embedding layer in a phrase, empty if it has none."""
    layers = (layer for layer in model._flatten_layers() if type(layer).__name__ == "Embedding")  # noqa: SLF001 - nested ones too
    return next((f"its layer {layer.name}" for layer in layers), "")


def _output_names(model: Any) -> list[str]:
    """Return Keras's names for the outputs of a model."""
    return [str(name) for name in getattr(model, "output_names", ())]


def _inference_function(model: Any) -> Callable[[Any], Any]:
    """Return the model's inference as a function without side effects.

    Some augmentation layers of Keras draw random numbers at inference and do not use them. A draw changes the state
    of the random generator, and a function that changes a variable cannot be converted.
    """
    import keras

    def infer(image: Any) -> Any:
        generator = keras.random.SeedGenerator
        original_next = generator.next
        generator.next = lambda self, ordered=True: keras.ops.zeros((2,), self.state.dtype)  # noqa: ARG005 - as Keras's
        try:
            return model(image, training=False)
        finally:
            generator.next = original_next

    return infer


def _random_network(source: ModelSource) -> Any:
    from coremlbench.training.random_weights import calibrate_random_weights, set_seed
    from coremlbench_models import NETWORKS

    name, seed = network_and_seed(source)
    set_seed(seed)
    network = NETWORKS[name]
    model = network.build(classes=len(source.classes))
    calibrate_random_weights(model, scale=network.scale)
    return model


def _load(source: ModelSource, settings: Mapping[str, Any]) -> Any:
    return load_keras(
        Path(source.path),
        allow_code=bool(settings.get("allow_code")),
        custom_objects=settings.get("custom_objects"),
        input_shape=settings.get("input_shape"),
    )


def _only_input(model: Any, source: ModelSource) -> Any:
    """Return the input tensor of a model.

    Raises:
        InputError: it has several inputs, or none because it was never built.
    """
    import keras

    inputs = getattr(model, "inputs", None)  # a Sequential model that was not built raises AttributeError
    if not inputs:
        remedy = "begin it with keras.Input(...) or call it once, and save it again."
        if not isinstance(model, keras.Sequential):
            remedy = "give --input-shape, 224x224x3 for instance."
        raise InputError(f"{source.name} was saved before it knew the shape of its input; {remedy}")
    if len(inputs) != 1:
        raise InputError(f"{source.name} takes {len(inputs)} inputs, and only models with one can be converted.")
    return inputs[0]


def _input_values(
    concrete: Any, source: ModelSource, settings: Mapping[str, Any], shape: tuple[int, ...], *, takes_uint8: bool
) -> tuple[PixelScaling, Sampling]:
    """Return the same as ``input_values``; the network of an experiment is known."""
    if source.experiment:
        from coremlbench_models import NETWORKS

        (experiment,) = select([source.experiment])
        return PixelScaling(is_picture(shape), NETWORKS[experiment.network].scale), Sampling()
    return input_values(concrete, source.name, shape, settings, takes_uint8=takes_uint8)
