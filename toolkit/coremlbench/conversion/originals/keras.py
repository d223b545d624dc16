"""Keras models: ``.keras`` and ``.h5`` files, and the networks of experiments with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.float32_policy import in_float32
from coremlbench.conversion.originals.input_semantics import class_names, input_shape, pixel_scaling, takes_bytes
from coremlbench.conversion.originals.layer_scopes import trace_layer_scopes
from coremlbench.conversion.originals.rescaling import rescales
from coremlbench.conversion.originals.traced_model import (
    TracedModel,
    library_versions,
    make_tracer,
    name_outputs_and_layers,
    reject_byte_arithmetic,
    start_tensorflow_on_cpu,
)
from coremlbench.conversion.sources import RANDOM_PREFIX, network_and_seed
from coremlbench.experiments.catalogue import select
from coremlbench.model_files.keras_loading import load_keras
from coremlbench.types.conversion import ModelSource
from coremlbench.types.errors import InputError


def open_keras(source: ModelSource, settings: Mapping[str, Any]) -> TracedModel:
    """Open the model of a Keras file, or an experiment's network with random weights.

    Raises:
        InputError: Keras cannot load it, it has several inputs, or an input of flexible size.
    """
    start_tensorflow_on_cpu()
    model = _random_network(source) if source.path.startswith(RANDOM_PREFIX) else _load(source, settings)
    model, caveats = in_float32(model)
    tensor = _only_input(model, source)
    shape = input_shape(source.name, tuple(tensor.shape[1:]), settings)
    takes_uint8 = takes_bytes(source.name, str(tensor.dtype), shape, settings, _embedding(model))
    unroll_note = unroll(model)
    trace = make_tracer(_inference_function(model), shape, name=source.name, takes_uint8=takes_uint8)
    with trace_layer_scopes(model) as scopes:
        outputs, layers = name_outputs_and_layers(trace(1), _output_names(model), scopes)
    pixels, scale, pixel_note = _pixel_scaling(model, source, settings, shape, takes_uint8=takes_uint8)
    if takes_uint8:
        reject_byte_arithmetic(trace(1), source.name)
    classes, class_note = class_names(source, settings, [output.shape for output in model.outputs])
    if settings.get("save_model"):  # a network with random weights has no file yet
        model.save(settings["save_model"])
    return TracedModel(
        trace=trace,
        shape=shape,
        pixels=pixels,
        scale=scale,
        classes=classes,
        versions=library_versions(),
        layers=layers,
        outputs=outputs,
        notes=tuple(note for note in (pixel_note, class_note, unroll_note) if note),
        caveats=caveats,
    )


def _embedding(model: Any) -> str:
    """Return the name of a model's first embedding layer in a phrase, empty if it has none."""
    layers = (layer for layer in model._flatten_layers() if type(layer).__name__ == "Embedding")  # noqa: SLF001 - nested ones too
    return next((f"its layer {layer.name}" for layer in layers), "")


def _output_names(model: Any) -> list[str]:
    """Return Keras's names for the outputs of a model."""
    return [str(name) for name in getattr(model, "output_names", ())]


def unroll(model: Any) -> str:
    """Unroll the recurrent layers of a model; return a note on it, empty if there are none.

    coremltools 9.0 cannot convert the loops that TensorFlow makes since version 2.13.
    """
    import keras

    recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]  # noqa: SLF001 - nested ones too
    for layer in recurrent:
        layer.unroll = True
    return "Recurrent layers are unrolled: each step is a part of the program." if recurrent else ""


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


def _pixel_scaling(
    model: Any, source: ModelSource, settings: Mapping[str, Any], shape: tuple[int, ...], *, takes_uint8: bool
) -> tuple[bool, float, str]:
    """Return the same as ``pixel_scaling``; the network of an experiment is known without a note."""
    if source.experiment:
        from coremlbench_models import NETWORKS

        (experiment,) = select([source.experiment])
        return len(shape) == 3 and shape[2] in (1, 3), NETWORKS[experiment.network].scale, ""
    return pixel_scaling(shape, settings, rescales=rescales(model), takes_uint8=takes_uint8)
