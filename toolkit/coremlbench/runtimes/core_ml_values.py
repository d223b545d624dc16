"""Inputs and outputs of Core ML as coremltools takes and returns them, and its errors in readable form.

coremltools' native module takes writable arrays of int32, float32 and float64 in the machine's byte order, and Pillow
images; it refuses everything else as "value type not convertible" (coremlpython/CoreMLPythonUtils.mm and
CoreMLPythonArray.mm in github.com/apple/coremltools). Core ML itself converts numbers to the type of its input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.model_files.core_ml_kinds import description_bytes
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOAT16_IMAGE = "GRAYSCALE_FLOAT16"
DESCRIPTION_TEXT = re.compile(r'NSLocalizedDescription = ("(?:[^"\\]|\\.)*"|\w+);')
UNDERLYING_TEXT = re.compile(r'NSUnderlyingError = "Error Domain=\S+ Code=-?\d+ \\"((?:[^"\\]|\\[^"])*)\\"')
ESCAPED = re.compile(r"\\(?:U([0-9a-f]{4})|(.))", re.DOTALL)


@dataclass(frozen=True)
class Features:
    """What a model's description tells about its inputs and outputs beyond their values.

    ``images`` has the colour space of each image by name (``RGB``, ``BGR``, ``GRAYSCALE``, ``GRAYSCALE_FLOAT16``).
    """

    images: Mapping[str, str] = field(default_factory=dict)
    has_states: bool = False


NO_FEATURES = Features()


def read_features(model: Path) -> Features:
    """Return the features of the default function of an ``.mlpackage`` or ``.mlmodel``.

    Raises:
        InputError: the file cannot be read.
    """
    from coremltools.proto import Model_pb2
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        description = Model_pb2.ModelDescription.FromString(description_bytes(model))
    except (OSError, ValueError, KeyError, TypeError, DecodeError) as problem:
        raise InputError(
            f"'{model.name}' cannot be read as a Core ML model; save or copy the model again."
        ) from problem
    functions = {function.name: function for function in description.functions}
    described = functions.get(description.defaultFunctionName or "main", description)
    images = {
        feature.name: feature.type.imageType.ColorSpace.Name(feature.type.imageType.colorSpace)
        for feature in (*described.input, *described.output)
        if feature.type.WhichOneof("Type") == "imageType"
    }
    return Features(images, bool(described.state))


def to_feature(name: str, value: NDArray[Any], colour: str = "") -> Any:
    """Return an input as coremltools takes it: an array of its own or, for uint8, a Pillow image.

    A uint8 array has the shape (height, width[, 3]). ``colour`` is the colour space of an image input, if known.

    Raises:
        InputError: the values are no numbers or do not fit into 32 bits, or the shape is not that of an image.
    """
    import numpy as np

    array = np.asarray(value)
    if array.dtype == np.uint8:
        return _to_image(name, array, colour)
    if array.dtype.kind == "f":
        dtype: type[np.generic] = np.float32 if array.dtype.itemsize <= 4 else np.float64
    elif array.dtype.kind in "biu":
        limits = np.iinfo(np.int32)
        if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
            raise InputError(
                f"The input '{name}' holds integers of more than 32 bits, which Core ML does not take; give smaller "
                "ones, or numbers with a fraction."
            )
        dtype = np.int32
    else:
        raise InputError(
            f"The input '{name}' is of the type {array.dtype}, which Core ML does not take; give numbers or a picture."
        )
    return np.atleast_1d(np.require(array, np.dtype(dtype), ("C_CONTIGUOUS", "WRITEABLE", "ALIGNED")))


def _to_image(name: str, array: NDArray[Any], colour: str) -> Any:
    """Return a Pillow image of mode RGB or L, or F for a greyscale input of float16; ``InputError`` for no image."""
    import numpy as np
    from PIL import Image

    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] != 3):
        raise InputError(
            f"The input '{name}' is a picture of the shape {array.shape}; Core ML takes (height, width) or "
            "(height, width, 3)."
        )
    grey = array.astype(np.float32) if colour == FLOAT16_IMAGE and array.ndim == 2 else array
    return Image.fromarray(np.ascontiguousarray(grey))


def numeric_outputs(
    predicted: Mapping[str, Any], images: Mapping[str, str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return the numeric outputs of a prediction by name, float64 of shape (values,); labels are left out.

    Probabilities come as a dictionary by class and are sorted by class name as text. A single integer is a label.
    A Pillow image has its values in the order of the model, (channels, height, width), for which ``images`` has its
    colour space.
    """
    import numpy as np

    outputs = {}
    for name, value in predicted.items():
        if isinstance(value, Mapping):
            value = [value[key] for key in sorted(value, key=str)]  # noqa: PLW2901 - the same value, sorted
        elif hasattr(value, "getbands"):
            value = _image_planes(value, (images or {}).get(name, ""))  # noqa: PLW2901 - the same values
        array = np.asarray(value)
        if array.dtype.kind in "fiub" and not (array.ndim == 0 and array.dtype.kind in "iu"):
            outputs[name] = array.reshape(-1).astype(np.float64)
    return outputs


def _image_planes(image: Any, colour: str) -> NDArray[Any]:
    """Return the values of a Pillow image as (channels, height, width); coremltools gives colours as RGBA."""
    import numpy as np

    if len(image.getbands()) == 1:
        return np.asarray(image)[np.newaxis]
    planes = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return planes[::-1] if colour == "BGR" else planes


def readable(message: str) -> str:
    """Return an error of Core ML in words, other messages as they are.

    coremltools hands it on as a property list, in which all but ASCII is escaped.
    """
    description = DESCRIPTION_TEXT.search(message)
    if description is None:
        return message
    words = _unescape(description[1].strip('"'))
    underlying = UNDERLYING_TEXT.search(message)
    below = f" ({_unescape(_unescape(underlying[1]))})" if underlying else ""
    before, after = message[: description.start()].rstrip("{\n "), message[description.end() :].rpartition("}")[2]
    return f"{before} {words}{below}{after}".strip()


def _unescape(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else {"n": "\n", "t": "\t"}.get(match[2], match[2])

    return ESCAPED.sub(character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
