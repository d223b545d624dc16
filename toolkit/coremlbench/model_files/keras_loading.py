"""Load a Keras file, with the classes of its own that the user gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coremlbench.model_files.custom_objects import custom_objects_message, load_custom_objects, missing_object
from coremlbench.model_files.error_text import error_line
from coremlbench.model_files.formats import needed_objects, with_format_suffix
from coremlbench.types.errors import InputError


def load_keras(
    path: Path,
    *,
    allow_code: bool = False,
    custom_objects: str | None = None,
    input_shape: Sequence[int] | None = None,
) -> Any:
    """Return the model of a Keras file, uncompiled; it has ``inputs`` and ``outputs`` if its input shape is known.

    ``custom_objects`` is the path of the Python file with the model's own classes; it is run only with ``allow_code``.
    ``input_shape``, without the batch, is used for a subclassed model, which may have been saved without it.

    Raises:
        InputError: Keras cannot load it, or it needs classes or functions that were not given.
    """
    import keras

    file = Path(custom_objects) if custom_objects and allow_code else None
    objects = load_custom_objects(file, needed_objects(path)) if file is not None else None
    try:
        with with_format_suffix(path) as named:
            model = keras.models.load_model(str(named), compile=False, safe_mode=not allow_code, custom_objects=objects)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file, or a class of the user's, can raise anything
        raise InputError(_loading_message(path, error, file, allow_code=allow_code)) from error
    return _with_inputs(model, input_shape)


def _loading_message(path: Path, error: Exception, custom_objects: Path | None, *, allow_code: bool) -> str:
    import keras

    missing = missing_object(str(error))
    if missing is not None:
        kind, name = missing
        if custom_objects is None:
            return custom_objects_message(path.name, kind, [name], allow_code=allow_code)
        return f"{custom_objects.name} defines no {kind} {name}, which {path.name} needs; add it to that file."
    reason = error_line(error)
    if custom_objects is not None:
        return (
            f"Keras {keras.__version__} cannot load {path.name} with the classes of {custom_objects.name} ({reason})."
        )
    return (
        f"Keras {keras.__version__} cannot load {path.name} ({reason}); save it again with that version, or as a "
        "SavedModel with model.export(folder)."
    )


def _with_inputs(model: Any, input_shape: Sequence[int] | None) -> Any:
    """Return a subclassed model as a functional one of the same function, if its input shape is known; others as is."""
    import keras

    if isinstance(model, keras.Sequential) or getattr(model, "inputs", None):
        return model
    shape = tuple(input_shape) if input_shape else _saved_input_shape(model)
    if shape is None:
        return model
    image = keras.Input(shape, name="image")
    return keras.Model(image, model(image, training=False), name=model.name)


def _saved_input_shape(model: Any) -> tuple[int | None, ...] | None:
    """Return the shape that a subclassed model was built with, without the batch; ``None`` when it is not known."""
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (list, tuple)) or not all(size is None or isinstance(size, int) for size in shape):
        return None
    return tuple(shape[1:])
