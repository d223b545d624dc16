"""The meaning of a model's inputs and outputs: input shape, pixel scaling, class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coremlbench.model_files.label_files import LABELS_FILE
from coremlbench.system.formatting import format_count
from coremlbench.types.conversion import Caveat, ModelSource
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
    if dtype == BYTE_TYPE and (is_picture(shape) or (len(shape) == 2 and settings.get("data"))):
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


def is_picture(shape: tuple[int, ...]) -> bool:
    """Return whether inputs of a shape are pictures: (rows, columns, 1 or 3 channels)."""
    return len(shape) == 3 and shape[2] in (1, 3)


@dataclass(frozen=True)
class PixelScaling:
    """How a model takes pixels.

    Attributes:
        pixels: Whether the input is an 8-bit image.
        scale: The factor for pixel values.
        other_scales: More factors to compare with, where the model does not tell which one is right.
        known: Whether it is known which numbers the model takes.
        note: How that is known, as a sentence; it may be empty.
        caveats: What is contradictory about it.
    """

    pixels: bool
    scale: float
    other_scales: tuple[float, ...] = ()
    known: bool = True
    note: str = ""
    caveats: tuple[Caveat, ...] = ()


def pixel_scaling(
    shape: tuple[int, ...],
    settings: Mapping[str, Any],
    *,
    wanted_maximum: float | None,
    takes_uint8: bool = False,
) -> PixelScaling:
    """Return how a model takes pixels.

    ``wanted_maximum`` is the largest pixel that its first ops want, 1 or 255, ``None`` where they do not tell;
    ``takes_uint8`` tells that its input type is uint8. An input (rows, columns) is an array of numbers; with ``--data``
    it takes the pixels of greyscale images.
    """
    picture, scale = is_picture(shape), settings.get("scale")
    if takes_uint8:
        image_note = ", so it takes images" if picture else ""
        scale_note = "" if scale in (None, 1) else " --scale was left out."
        return PixelScaling(picture, 1.0, note=f"The model takes bytes, pixels from 0 to 255{image_note}.{scale_note}")
    if not may_be_pixels(shape, settings):
        note = "" if scale is None else f"--scale was left out: inputs of the shape {shape} are no pictures."
        return PixelScaling(False, 1.0, known=False, note=note)
    if scale is not None:
        note = f"Pixels from 0 to 255 are multiplied with {scale:g}, as requested."
        return PixelScaling(picture, float(scale), note=note, caveats=_contradictions(float(scale), wanted_maximum))
    if wanted_maximum == 255:
        note = "The model rescales pixels itself" + (", so it takes images." if picture else ".")
        return PixelScaling(picture, 1.0, note=note)
    if wanted_maximum == 1:
        consequence = "so it takes images, scaled by 1/255." if picture else "so those of the data are scaled by 1/255."
        note = f"The first layers of the model want pixels from 0 to 1, {consequence}"
        return PixelScaling(picture, 1 / 255, note=note)
    if picture:
        consequence = "so it takes an array of numbers; --scale makes it take images."
    else:
        consequence = "so those of the data are multiplied with 1/255; --scale sets another factor."
    note = f"How the model wants its pixels is not known, {consequence}"
    return PixelScaling(False, 1 / 255, other_scales=(1.0,), known=False, note=note)


def may_be_pixels(shape: tuple[int, ...], settings: Mapping[str, Any]) -> bool:
    """Return whether inputs of a shape may be pixels; grey pictures without a channel are some with ``--data`` only."""
    return is_picture(shape) or (len(shape) == 2 and bool(settings.get("data")))


def _contradictions(scale: float, wanted_maximum: float | None) -> tuple[Caveat, ...]:
    """Return a caveat where ``--scale`` gives a model other pixels than its first ops want."""
    if wanted_maximum is None or 0.25 <= scale * 255 / wanted_maximum <= 4:
        return ()
    text = (
        f"The first layers of the model want pixels from 0 to {wanted_maximum:g}, and --scale {scale:g} gives it those "
        f"from 0 to {scale * 255:g}."
    )
    return (Caveat("pixel-range", text),)


def class_names(
    source: ModelSource, settings: Mapping[str, Any], outputs: Sequence[Sequence[int | None]]
) -> tuple[tuple[str, ...], str, tuple[Caveat, ...]]:
    """Return the names of a model's classes, a note on their origin, and caveats; no names when they are not known.

    ``outputs`` are the shapes of its outputs, batch first. The names are those of the source. If it has none, those of
    the data it is compared on, provided that the model has as many output values; so are those of a ``labels.txt``.
    The names of the data are an assumption, which a caveat ``class-order`` marks; the conversion worker tests it on the
    data (``class_order``).

    Raises:
        InputError: the source is a file, and the number of its named classes is not that of the output values.
    """
    width = outputs[0][1] if len(outputs) == 1 and len(outputs[0]) == 2 else None
    if source.classes_from and width != len(source.classes):
        count = len(source.classes)
        dropped = f"The {count} names in the {LABELS_FILE} beside the model were left out: its outputs are not as many."
        names, note, caveats = _assumed_names(settings, width)
        return names, f"{dropped} {note}".strip(), caveats
    if source.classes_from:
        return source.classes, f"The names of the classes are those of the {LABELS_FILE} beside the model.", ()
    if source.classes:
        if source.kind == "file" and width != len(source.classes):
            values = (
                format_count(width, "value")
                if width
                else f"outputs of the shapes {[tuple(shape[1:]) for shape in outputs]}"
            )
            named = format_count(len(source.classes), "class was", "classes were")
            raise InputError(
                f"{named} named, and {source.name} gives {values} for each input; name each "
                "of its classes once, in their order: --classes."
            )
        return source.classes, "", ()
    return _assumed_names(settings, width)


def _assumed_names(settings: Mapping[str, Any], width: int | None) -> tuple[tuple[str, ...], str, tuple[Caveat, ...]]:
    """Return the classes of the data if they are as many as the model's output values, a note and caveats."""
    data = settings.get("data")
    if not data:
        return (), "", ()
    names, name = tuple(data["classes"]), data["name"]
    if width != len(names):
        count = len(names)
        return (
            (),
            f"The model does not give one value for each of the {count} classes of {name}, so no accuracy is given.",
            (),
        )
    text = f"The class names were assumed to be those of {name}, in their order; --classes sets them."
    return names, "", (Caveat("class-order", text),)
