"""The meaning of a model's inputs and outputs: input shape, pixel scaling, class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coremlbench.types.conversion import ModelSource
from coremlbench.types.errors import InputError

FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")
BYTE_TYPE = "uint8"


def takes_bytes(
    name: str, dtype: str, shape: tuple[int, ...], settings: Mapping[str, Any], embedding: str = ""
) -> bool:
    """Return whether a model's input has 8-bit pixels; else it has floating-point numbers.

    ``embedding`` names the model's embedding layer, if it has one.

    Raises:
        InputError: it has another type, such as indices. A package would take them as float16, which cannot represent
            odd integers above 2048.
    """
    if dtype in FLOAT_TYPES:
        return False
    if dtype == BYTE_TYPE and (_is_picture(shape) or (len(shape) == 2 and settings.get("data"))):
        return True
    integers = dtype.startswith(("int", "uint"))
    what = f"whole numbers ({dtype}), such as the indices of words" if integers else f"values of the type {dtype}"
    raise InputError(
        f"{name} takes {_shape_text(shape)} {what}, and a converted model can take only floating-point numbers or "
        f"pictures of bytes (uint8); convert the layers behind {embedding or 'that input'} as a model of their own."
    )


def input_shape(name: str, declared: tuple[int | None, ...], settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of one input: the declared one if it is fixed, else the one of ``--input-shape``.

    ``declared`` has ``None`` for flexible dimensions; it has no batch dimension.

    Raises:
        InputError: ``--input-shape`` does not fit the declared shape, or is missing for a flexible one.
    """
    requested = settings.get("input_shape")
    if requested:
        fits = len(requested) == len(declared) and all(
            size in (None, requested_size) for size, requested_size in zip(declared, requested, strict=True)
        )
        if not fits:
            raise InputError(
                f"{name} takes inputs of {_shape_text(declared)}, which --input-shape {_shape_text(requested)} does "
                "not fit; give one that does, or leave it out."
            )
        return tuple(requested)
    fixed = tuple(size for size in declared if size is not None)
    if len(fixed) < len(declared):
        raise InputError(
            f"{name} takes inputs of any size ({_shape_text(declared)}), and a converted model needs one: give "
            f"--input-shape, {_shape_text([size or 224 for size in declared])} for instance."
        )
    return fixed


def _shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape as --input-shape has it; one with a flexible dimension as "any x any x 3"."""
    separator = " x " if None in shape else "x"
    return separator.join("any" if size is None else str(size) for size in shape) or "single"


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (1, 3)


def pixel_scaling(
    shape: tuple[int, ...],
    settings: Mapping[str, Any],
    *,
    rescales: bool,
    takes_uint8: bool = False,
    layers_visible: bool = True,
) -> tuple[bool, float, str]:
    """Return whether the input is an 8-bit image, the factor for pixel values, and a note on how that is known.

    ``rescales`` tells that the model has a rescaling layer, ``takes_uint8`` that its input type is uint8, and
    ``layers_visible`` that its layers can be examined. An input (rows, columns) is an array of numbers; with
    ``--data`` it takes the pixels of greyscale images.
    """
    picture, scale = _is_picture(shape), settings.get("scale")
    if takes_uint8:
        image_note = ", so it takes images" if picture else ""
        scale_note = "" if scale in (None, 1) else " --scale was left out."
        return picture, 1.0, f"The model takes bytes, pixels from 0 to 255{image_note}.{scale_note}"
    if not picture and not (len(shape) == 2 and settings.get("data")):
        note = "" if scale is None else f"--scale was left out: inputs of the shape {shape} are no pictures."
        return False, 1.0, note
    if scale is not None:
        return picture, float(scale), f"Pixels from 0 to 255 are multiplied with {scale:g}, as requested."
    if rescales:
        return picture, 1.0, "The model rescales pixels itself" + (", so it takes images." if picture else ".")
    if picture:
        consequence = "so it takes an array of numbers; --scale makes it take images."
    else:
        consequence = "so those of the data are multiplied with 1/255; --scale sets another factor."
    hint = "" if layers_visible else " If it rescales pixels itself, give it those from 0 to 255 with --scale 1."
    return False, 1 / 255, f"How the model wants its pixels is not known, {consequence}{hint}"


def class_names(
    source: ModelSource, settings: Mapping[str, Any], outputs: Sequence[Sequence[int | None]]
) -> tuple[tuple[str, ...], str]:
    """Return the names of a model's classes and a note on their origin; no names when they are not known.

    ``outputs`` are the shapes of its outputs, batch first. The names are those of the source. If it has none, those of
    the data it is compared on, provided that the model has as many output values.

    Raises:
        InputError: the source is a file, and the number of its named classes is not that of the output values.
    """
    width = outputs[0][1] if len(outputs) == 1 and len(outputs[0]) == 2 else None
    if source.classes:
        if source.kind == "file" and width != len(source.classes):
            values = f"{width} values" if width else f"outputs of the shapes {[tuple(shape[1:]) for shape in outputs]}"
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
        count = len(names)
        return (
            (),
            f"The model does not give one value for each of the {count} classes of {name}, so no accuracy is given.",
        )
    return names, f"The model's classes are taken to be those of {name}, in their order."
