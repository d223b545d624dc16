"""Choose the signature of a SavedModel: the function that is converted and timed."""

from __future__ import annotations

from collections.abc import Iterable

from coremlbench.types.errors import InputError

DEFAULT_SIGNATURE = "serving_default"
"""The name that TensorFlow and Keras give to the signature of a model that has one."""


def choose_signature(model: str, names: Iterable[str], requested: str | None = None) -> tuple[str, str]:
    """Return the name of a signature of a SavedModel, and a note where it is not the default one, else "".

    It is the requested one; without a request the default one, or the only one.

    Raises:
        InputError: there is no such signature, or none was requested and there is none or no default; the message lists
            those that there are.
    """
    known = sorted(names)
    listed = ", ".join(known)
    if not known:
        raise InputError(
            f"The SavedModel {model} has no signature, so it names no function to convert; save it again with one: "
            "tf.saved_model.save(module, folder, signatures=module.function)."
        )
    if requested:
        if requested not in known:
            raise InputError(
                f"The SavedModel {model} has no signature {requested}; choose one with --signature: {listed}."
            )
        return (
            requested,
            "" if requested == DEFAULT_SIGNATURE else f"The signature {requested} is converted, as requested.",
        )
    if DEFAULT_SIGNATURE in known:
        return DEFAULT_SIGNATURE, ""
    if len(known) == 1:
        return known[0], f"The signature {known[0]} is converted: the SavedModel has no other."
    raise InputError(
        f"The SavedModel {model} has several signatures, and none is named {DEFAULT_SIGNATURE}; choose one with "
        f"--signature: {listed}."
    )
