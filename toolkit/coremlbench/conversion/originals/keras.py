"""Keras models: ``.keras`` and ``.h5`` files, and the catalogue's networks with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.error_text import reason_of
from coremlbench.conversion.originals.input_semantics import classes_of, pixels_of, size_of, takes_bytes
from coremlbench.conversion.originals.layer_scopes import recorded
from coremlbench.conversion.originals.rescaling import rescales
from coremlbench.conversion.originals.traced_model import (
    Traced,
    check_bytes,
    outputs_and_layers,
    start_tensorflow,
    trace_of,
    versions,
)
from coremlbench.conversion.sources import RANDOM, seed_of
from coremlbench.experiments.catalogue import select
from coremlbench.model_files.formats import with_its_suffix
from coremlbench.types.conversion import ModelSource
from coremlbench.types.errors import InputError


def open_keras(source: ModelSource, settings: Mapping[str, Any]) -> Traced:
    """Return the model of a Keras file, or a network of the catalogue with random weights.

    Raises:
        InputError: Keras cannot load it, it has several inputs, or an input of no fixed size.
    """
    start_tensorflow()
    model = _random(source) if source.path.startswith(RANDOM) else _loaded(source, settings)
    (taken,) = _inputs(model, source)
    shape = size_of(source.name, tuple(taken.shape[1:]), settings)
    of_bytes = takes_bytes(source.name, str(taken.dtype), shape, settings)
    unrolled = unroll(model)
    trace = trace_of(_inference_of(model), shape, name=source.name, bytes_only=of_bytes)
    with recorded(model) as scopes:
        outputs, found = outputs_and_layers(trace(1), _output_names(model), scopes)
    pixels, scale, how = _pixels(model, source, settings, shape, of_bytes=of_bytes)
    if of_bytes:
        check_bytes(trace(1), source.name)
    classes, whose = classes_of(source, settings, [each.shape for each in model.outputs])
    opened = Traced(
        trace=trace,
        shape=shape,
        pixels=pixels,
        scale=scale,
        classes=classes,
        versions=versions(),
        layers=found,
        outputs=outputs,
        notes=tuple(note for note in (how, whose, unrolled) if note),
    )
    if settings.get("keep"):  # what has random weights has no file yet
        model.save(settings["keep"])
    return opened


def _output_names(model: Any) -> list[str]:
    """Return Keras's names for the outputs of a model: those of the layers that give them, or its own for them."""
    return [str(each) for each in getattr(model, "output_names", ())]


def unroll(model: Any) -> str:
    """Make the recurrent layers of a model compute step after step, without a loop; return a note on it if it has any.

    coremltools 9.0 fails at the loops that TensorFlow has since its version 2.13.
    """
    import keras

    loops = [each for each in model._flatten_layers() if isinstance(each, keras.layers.RNN)]  # noqa: SLF001 - as below
    for layer in loops:
        layer.unroll = True
    return "Recurrent layers are unrolled: each step is a part of the program." if loops else ""


def _inference_of(model: Any) -> Callable[[Any], Any]:
    """Return what the model does at inference, as a function that changes nothing.

    Some augmentation layers of Keras draw their random numbers at inference too, and only then leave them unused: a
    draw would change the state of a generator, and what changes a variable cannot be converted.
    """
    import keras

    def infer(image: Any) -> Any:
        generator = keras.random.SeedGenerator
        drawn = generator.next
        generator.next = lambda self, ordered=True: keras.ops.zeros((2,), self.state.dtype)  # noqa: ARG005 - as Keras's
        try:
            return model(image, training=False)
        finally:
            generator.next = drawn

    return infer


def _random(source: ModelSource) -> Any:
    from coremlbench.training.random_weights import calibrate_random_weights, set_seed
    from coremlbench_models import NETWORKS

    name, seed = seed_of(source)
    set_seed(seed)
    network = NETWORKS[name]
    model = network.build(classes=len(source.classes))
    calibrate_random_weights(model, scale=network.scale)
    return model


def _loaded(source: ModelSource, settings: Mapping[str, Any]) -> Any:
    import keras

    if settings.get("allow_code"):
        keras.config.enable_unsafe_deserialization()
    path = Path(source.path)
    try:
        with with_its_suffix(path) as named:
            return keras.models.load_model(str(named), compile=False, safe_mode=not settings.get("allow_code"))
    except InputError:
        raise
    except Exception as problem:  # whatever foreign bytes lead to, it becomes one sentence
        raise InputError(
            f"Keras cannot load {path.name} ({reason_of(problem)}); save it again with the Keras that runs here, or as "
            "a SavedModel."
        ) from problem


def _inputs(model: Any, source: ModelSource) -> list[Any]:
    """Return the only input of a model, in a list.

    Raises:
        InputError: it has several, or none yet, as it was never called.
    """
    inputs = getattr(model, "inputs", None)  # a Sequential model that is not built raises AttributeError
    if not inputs:
        raise InputError(
            f"{source.name} was saved before it knew the shape of its input; begin it with keras.Input(...) or call it "
            "once, and save it again."
        )
    if len(inputs) != 1:
        raise InputError(f"{source.name} takes {len(inputs)} inputs, and only models with one can be converted.")
    return list(inputs)


def _pixels(
    model: Any, source: ModelSource, settings: Mapping[str, Any], shape: tuple[int, ...], *, of_bytes: bool
) -> tuple[bool, float, str]:
    """Return whether an input is a picture of bytes, what its pixels are multiplied with, and how that is known."""
    if source.experiment:
        from coremlbench_models import NETWORKS

        (experiment,) = select([source.experiment])
        return len(shape) == 3 and shape[2] in (1, 3), NETWORKS[experiment.network].scale, ""
    return pixels_of(shape, settings, rescales=rescales(model), of_bytes=of_bytes)
