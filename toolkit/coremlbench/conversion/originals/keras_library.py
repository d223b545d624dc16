"""The library that a model's classes are from: ``keras`` (Keras 3) or ``tf_keras`` (Keras 2)."""

from __future__ import annotations

from typing import Any


def keras_library(item: Any) -> Any:
    """Return the module ``keras`` or ``tf_keras``, of a model or layer; a class of one's own has a base class in it."""
    roots = {base.__module__.partition(".")[0] for base in type(item).__mro__}
    if "tf_keras" in roots:
        import tf_keras

        return tf_keras
    import keras

    return keras
