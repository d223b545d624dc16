"""Outputs of a prediction, from what executed the model to what the native module returns for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

ARRAY_TYPES = {"FLOAT16": np.float32, "FLOAT32": np.float32, "DOUBLE": np.float64, "INT32": np.int32}
"""NumPy types of outputs by their declared type: float16 comes as float32 (CoreMLPythonUtils.mm:443-487)."""


def to_python(description: Any, outputs: Mapping[str, Any], wrong: float) -> dict[str, Any]:
    """Return the outputs that a model declares, each freshly made; ``wrong`` is added to all numbers.

    Names of outputs and classes come from an ``NSSet`` and an ``NSDictionary``, which have no order.

    Raises:
        SystemError: an output is of a type that the native module does not know, such as int8.
    """
    types = {item.name: item.type for item in description.output}
    return {name: _value(types[name], outputs[name], wrong) for name in _without_order(types)}


def _value(declared: Any, value: Any, wrong: float) -> Any:
    kind = declared.WhichOneof("Type")
    if kind == "imageType":
        return _image(declared.imageType, np.asarray(value))
    if kind == "multiArrayType":
        return _array(declared.multiArrayType, np.asarray(value), wrong)
    if kind == "dictionaryType":
        return {_key(name): float(value[name]) + wrong for name in _without_order(value)}
    if kind == "int64Type":
        return int(value)
    return str(value) if kind == "stringType" else float(value) + wrong


def _array(declared: Any, value: Any, wrong: float) -> Any:
    name = declared.ArrayDataType.Name(declared.dataType)
    if name not in ARRAY_TYPES:
        raise SystemError("null argument to internal routine")
    return _plus(np.array(value, dtype=ARRAY_TYPES[name], order="C"), wrong)


def _plus(array: Any, wrong: float) -> Any:
    return array + array.dtype.type(wrong) if wrong else array


def _image(declared: Any, value: Any) -> Any:
    """Return a Pillow image: RGBA, L or F (CoreMLPythonUtils.mm:512-595) of (1, channels, height, width)."""
    from PIL import Image

    planes = value.reshape(value.shape[-3:])
    colour = declared.ColorSpace.Name(declared.colorSpace)
    if colour == "GRAYSCALE_FLOAT16":
        return Image.fromarray(planes[0].astype(np.float16).astype(np.float32))
    pixels = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
    if colour == "GRAYSCALE":
        return Image.fromarray(pixels[0])
    red_first = pixels[::-1] if colour == "BGR" else pixels
    return Image.fromarray(np.ascontiguousarray(red_first.transpose(1, 2, 0))).convert("RGBA")


def _key(name: Any) -> Any:
    return name if isinstance(name, str) else int(name)


def _without_order(names: Iterable[Any]) -> list[Any]:
    """Return names in an order that is the same each time and none that anybody can rely on."""
    return sorted(names, key=lambda name: hashlib.sha256(str(name).encode()).digest())
