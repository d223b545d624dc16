"""What the numbers that go into a model of the user's and come out of it mean: pixels, and the names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coremlbench.types.conversion import ModelSource
from coremlbench.types.errors import InputError

FLOATS = ("float16", "bfloat16", "float32", "float64")
BYTES = "uint8"


def takes_bytes(name: str, dtype: str, shape: tuple[int, ...], settings: Mapping[str, Any]) -> bool:
    """Return whether the input of a model is of bytes, the pixels of a picture; else it is of floats.

    Raises:
        InputError: it is of other numbers, or of no numbers: a package would take them as float16, which has no whole
            numbers above 2048 but the even ones, and random numbers around 0 are no indices.
    """
    if dtype in FLOATS:
        return False
    if dtype == BYTES and (_is_picture(shape) or (len(shape) == 2 and settings.get("data"))):
        return True
    raise InputError(
        f"{name} takes inputs of the type {dtype} and of the shape {shape}, and only models of floating-point numbers, "
        "or of pictures of bytes (uint8), can be converted; convert the part of it that takes such an input."
    )


def size_of(name: str, own: tuple[int | None, ...], settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a model's input: its own where that is fixed, else the one that was asked for.

    Raises:
        InputError: what was asked for does not fit its own shape, or nothing was and a size is open.
    """
    asked = settings.get("input_shape")
    if asked:
        if len(asked) != len(own) or any(size not in (None, wanted) for size, wanted in zip(own, asked, strict=True)):
            raise InputError(
                f"{name} takes inputs of the shape {own}, which {tuple(asked)} does not fit; give --input-shape one "
                "that does."
            )
        return tuple(asked)
    fixed = tuple(size for size in own if size is not None)
    if len(fixed) < len(own):
        raise InputError(
            f"{name} takes inputs of any size ({own}), and a converted model needs one: give --input-shape, "
            "224x224x3 for instance."
        )
    return fixed


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (1, 3)


def pixels_of(
    shape: tuple[int, ...],
    settings: Mapping[str, Any],
    *,
    rescales: bool,
    of_bytes: bool = False,
    seen_into: bool = True,
) -> tuple[bool, float, str]:
    """Return whether an input is a picture of bytes, what pixels are multiplied with, and how that is known.

    ``rescales`` tells that the model has a layer for it, ``of_bytes`` that it takes nothing but bytes, and
    ``seen_into`` that it has layers which tell. Inputs of rows and columns without a channel are arrays of numbers; the
    pixels of grey pictures fit into them, where there are ``--data``.
    """
    picture, scale = _is_picture(shape), settings.get("scale")
    if of_bytes:
        taken, left = ", so it takes images" * picture, " --scale was left out." * (scale not in (None, 1))
        return picture, 1.0, f"The model takes bytes, pixels from 0 to 255{taken}.{left}"
    if not picture and not (len(shape) == 2 and settings.get("data")):
        return (
            False,
            1.0,
            "" if scale is None else f"--scale was left out: inputs of the shape {shape} are no pictures.",
        )
    if scale is not None:
        return picture, float(scale), f"Pixels from 0 to 255 are multiplied with {scale:g}, as asked."
    if rescales:
        return picture, 1.0, "The model rescales pixels itself" + (", so it takes images." if picture else ".")
    if picture:
        array = "so it takes an array of numbers; --scale makes it take images."
    else:
        array = "so those of the data are multiplied with 1/255; --scale tells another factor."
    own = "" if seen_into else " If it rescales pixels itself, give it those from 0 to 255 with --scale 1."
    return False, 1 / 255, f"How the model wants its pixels is not known, {array}{own}"


def classes_of(
    source: ModelSource, settings: Mapping[str, Any], outputs: Sequence[Sequence[int | None]]
) -> tuple[tuple[str, ...], str]:
    """Return the names of a model's classes and a note on where they are from; none when nobody knows them.

    ``outputs`` are the shapes of its outputs, the batch first. The names are those given for the model, or else those
    of the data it is compared on, when there are as many as the model has values.

    Raises:
        InputError: names were given, and the model has another number of values.
    """
    width = outputs[0][1] if len(outputs) == 1 and len(outputs[0]) == 2 else None
    if source.classes:
        if source.kind == "file" and width != len(source.classes):
            values = f"{width} values" if width else f"outputs of the shapes {[tuple(each[1:]) for each in outputs]}"
            raise InputError(
                f"{len(source.classes)} classes were named, and {source.name} gives {values} for each input; name each "
                "of its classes once, in their order: --classes."
            )
        return source.classes, ""
    data = settings.get("data")
    if not data:
        return (), ""
    names, name = tuple(data["classes"]), data["name"]
    if width != len(names):
        return (), f"The model gives no value for each of the {len(names)} classes of {name}, so no accuracy is told."
    return names, f"The model's classes are taken to be those of {name}, in their order."
