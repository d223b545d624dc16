"""Models that Keras 2 saved, as ``.h5`` or ``.keras``, executed by ``tf_keras``: Keras 2 for today's TensorFlow.

Keras 3 refuses many of these files and computes something else with some; see ``model_files.keras_versions``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from coremlbench.conversion.originals.keras import trace_keras_model
from coremlbench.conversion.originals.recurrent_layers import MAX_UNROLLED_STEPS
from coremlbench.conversion.originals.teachable_machine import preprocessing_of
from coremlbench.conversion.originals.traced_model import TracedModel, start_tensorflow_on_cpu
from coremlbench.model_files.error_text import error_line
from coremlbench.model_files.formats import dictionaries, identify_format, layer_name, read_config
from coremlbench.model_files.keras2_loading import import_tf_keras, load_keras_2, safe_mode
from coremlbench.model_files.keras_versions import keras_version
from coremlbench.types.conversion import Caveat, ModelSource
from coremlbench.types.errors import InputError

UNKNOWN_CLASS = re.compile("^(Unknown layer|Cannot deserialize object of type|Could not (locate|deserialize) class)")
"""How messages of ``tf_keras`` begin for a class that it does not have."""


def open_keras_2(source: ModelSource, settings: Mapping[str, Any]) -> TracedModel:
    """Open the model of a file that Keras 2 saved.

    Raises:
        InputError: ``tf_keras`` is not installed or cannot load it, it has several inputs, or one of flexible size.
    """
    start_tensorflow_on_cpu()
    path = Path(source.path)
    tf_keras = import_tf_keras(path.name)
    version = keras_version(path, identify_format(path))
    model = _load(path, settings)
    loops = _TimeLoops(model)
    original = trace_keras_model(
        model,
        partial(_infer, model, loops),
        source,
        settings,
        preprocessing=preprocessing_of(model) if settings.get("scale") is None else None,
        notes=(_version_note(version, tf_keras.__version__),),
        caveats=_version_caveats(path.name, version),
    )
    original.notes = tuple(note for note in (*original.notes, loops.note) if note)
    return original


def _version_note(version: str, executed_by: str) -> str:
    saved_by = f"Keras {version}" if version else "Keras 2"
    return (
        f"{saved_by} saved the model, so tf_keras {executed_by} executes the original: Keras 3 differs in some layers."
    )


def _version_caveats(name: str, version: str) -> tuple[Caveat, ...]:
    """Return a caveat on a file that names no version, none otherwise."""
    if version:
        return ()
    text = f"{name} does not say which Keras saved it; it is written as Keras 2 writes, and is executed by tf_keras."
    return (Caveat("original", text),)


# --- loading ------------------------------------------------------------------------------------------------


def _load(path: Path, settings: Mapping[str, Any]) -> Any:
    """Return the model of a file.

    Raises:
        InputError: ``tf_keras`` cannot load it; the message names the version, and the layer if it is one.
    """
    allow_code = bool(settings.get("allow_code"))
    try:
        return load_keras_2(path, allow_code=allow_code, custom_objects=settings.get("custom_objects"))
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything
        kind = identify_format(path)
        reason = _unloadable_layer(read_config(path, kind), allow_code=allow_code) or f"({error_line(error)})"
        raise InputError(_loading_message(path.name, keras_version(path, kind), reason)) from error


def _loading_message(name: str, version: str, reason: str) -> str:
    import tf_keras

    saved_by = f"Keras {version}" if version else "a Keras that it does not name"
    if version.partition(".")[0] == "1":
        remedy = "load it with Keras 2.2, the last that reads files of Keras 1, and save it again"
    else:
        remedy = "save it as a SavedModel where it was made: model.save('folder', save_format='tf')"
    return f"{name} was saved by {saved_by}, and tf_keras {tf_keras.__version__} cannot load it: {reason}; {remedy}."


def _unloadable_layer(config: Any, *, allow_code: bool) -> str:
    """Return a sentence part on the innermost layer of a configuration that cannot be made, empty if all can."""
    import tf_keras

    for part in reversed([config, *_layers(config)]):  # the inner ones first
        name, kind = layer_name(part), part.get("class_name")
        subject = "the model" if part is config else f"its layer '{name}'"
        try:
            with safe_mode(allow_code=allow_code):
                layer = tf_keras.layers.deserialize(part)
        except Exception as error:  # noqa: BLE001 - whatever its class raises
            if not UNKNOWN_CLASS.search(str(error)):
                return f"{subject} of the class {kind} fails ({error_line(error)})"
            layer = None
        if not isinstance(layer, tf_keras.layers.Layer):  # an unknown class can give its name
            return f"{subject} is of the class {kind}, which is no part of Keras 2"
    return ""


def _layers(config: Any) -> Iterator[dict[str, Any]]:
    """Yield the parts of a configuration that are layers in a model, those of outer models first."""
    for part in dictionaries(config):
        layers = part.get("layers")
        yield from (layer for layer in layers if isinstance(layer, dict)) if isinstance(layers, list) else ()


# --- inference ----------------------------------------------------------------------------------------------


class _TimeLoops:
    """The loops over time of a model's recurrent layers: unrolled up to ``MAX_UNROLLED_STEPS`` steps in all.

    The default of those layers is a function of TensorFlow for a graphics processor and one for others, which
    coremltools cannot convert; here they compute step by step. Convolutional recurrent layers have no option to unroll
    them, so ``tf_keras``' function for loops is replaced while a model is traced.
    """

    def __init__(self, model: Any) -> None:
        import tf_keras

        recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, tf_keras.layers.RNN)]  # noqa: SLF001 - nested ones too
        for layer in recurrent:
            layer._could_use_gpu_kernel = False  # noqa: SLF001 - decided when the layer was made
        self._recurrent, self._loops = bool(recurrent), 0

    @property
    def note(self) -> str:
        """Return a note on the layers that were traced, empty if there are none."""
        if self._loops:
            return (
                f"Recurrent layers of more than {MAX_UNROLLED_STEPS} steps in all are loops of the program, because "
                "the conversion of more unrolled steps takes many minutes."
            )
        return "Recurrent layers are unrolled: each step is a part of the program." if self._recurrent else ""

    @contextmanager
    def decided(self) -> Iterator[None]:
        """Decide for each loop of one trace whether it is unrolled."""
        from tf_keras.src import backend

        loop: Callable[..., Any] = backend.rnn
        steps_left, self._loops = MAX_UNROLLED_STEPS, 0

        def decide_and_loop(step_function: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal steps_left
            steps = _first_tensor(inputs).shape[0 if kwargs.get("time_major") else 1]
            unrolled = steps <= steps_left
            steps_left -= steps if unrolled else 0
            self._loops += not unrolled
            return loop(step_function, inputs, *args, **{**kwargs, "unroll": unrolled})

        backend.rnn = decide_and_loop
        try:
            yield
        finally:
            backend.rnn = loop


def _first_tensor(inputs: Any) -> Any:
    import tensorflow as tf

    return tf.nest.flatten(inputs)[0]


def _infer(model: Any, loops: _TimeLoops, image: Any) -> Any:
    with loops.decided(), _decided_conditions():
        return model(image, training=False)


@contextmanager
def _decided_conditions() -> Iterator[None]:
    """Have ``tf_keras`` decide conditions that are constant: cropping layers compare sizes that are known here."""
    import tensorflow.compat.v2 as tf  # the module that tf_keras calls

    cond = tf.cond
    tf.cond = tf.__internal__.smart_cond.smart_cond
    try:
        yield
    finally:
        tf.cond = cond
