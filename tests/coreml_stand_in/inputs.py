"""Inputs of a prediction: from Python to features, as the native module converts them, and Core ML's checks of them.

A feature is what Core ML sees. What cannot be converted is a ``RuntimeError``; what the model does not take is a
``FrameworkError``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tests.coreml_stand_in.errors import FrameworkError
from tests.coreml_stand_in.interface import framework_text, text

Kind = Literal["int64", "double", "string", "image", "multiArray", "dictionary"]

NUMBERS: dict[Kind, int] = {"int64": 1, "double": 2, "string": 3, "image": 4, "multiArray": 5, "dictionary": 6}
"""``MLFeatureType``."""

ARRAY_TYPES = {("i", 4): "Int32", ("f", 4): "Float32", ("f", 8): "Double"}
"""Names of ``MLMultiArrayDataType`` by kind and size of NumPy's types (CoreMLPythonArray.mm:10-31).

The source also has an int8 for the SDK of macOS 26, but the condition is defined in another file: the library of 9.0
does not have it.
"""

IMAGE_MODES = ("RGB", "RGBA", "L", "F")


@dataclass(frozen=True)
class Feature:
    """A value as Core ML sees it: an array, a Pillow image, a number, a text or a dictionary."""

    kind: Kind
    value: Any


def features_of(inputs: Mapping[Any, Any]) -> dict[str, Feature]:
    """Return the features of a dictionary, without those of lists and tuples (CoreMLPythonUtils.mm:45-66).

    Raises:
        RuntimeError: a key is no text, or a value cannot be converted.
    """
    features = {}
    for name, value in inputs.items():
        if not isinstance(name, (str, bytes)):
            message = f"{text('cast')}instance of type {type(name)} to C++ type '?'"
            raise RuntimeError(message)  # noqa: TRY004 - pybind11's cast_error
        feature = to_feature(value)
        if feature is not None:
            features[name if isinstance(name, str) else name.decode()] = feature
    return features


def to_feature(value: Any) -> Feature | None:
    """Return the feature of a value, ``None`` for a list or a tuple (CoreMLPythonUtils.mm:362-410).

    Raises:
        RuntimeError: it cannot be converted.
    """
    if isinstance(value, (int, np.integer)) and -(2**63) <= int(value) < 2**63:
        return Feature("int64", int(value))
    if isinstance(value, float):
        return Feature("double", value)
    if isinstance(value, bytes):
        return Feature("string", value.decode())
    if isinstance(value, str):
        return Feature("string", value)
    if isinstance(value, dict):
        converted = _dictionary(value)
        if converted is not None:
            return Feature("dictionary", converted)
    elif isinstance(value, (list, tuple)):
        return None  # a feature that is nil is not there
    array = _array(value)
    if array is not None:
        return Feature("multiArray", array)
    if _is_image(value):
        return Feature("image", _image(value))
    sys.stdout.write(f"{text('not convertible, printed')}\n{value}\n")
    raise RuntimeError(text("not convertible"))


def _dictionary(value: Mapping[Any, Any]) -> dict[Any, Any] | None:
    """Return a dictionary of numbers by text or by integer (CoreMLPythonUtils.mm:125-165); ``None`` for others."""
    if not value:
        return {}
    key, number = next(iter(value.items()))
    keys: Any = (int, np.integer) if isinstance(key, (int, np.integer)) else str
    numbers: Any = (int, np.integer) if isinstance(number, (int, np.integer)) else float
    fits = all(isinstance(each, keys) for each in value) and all(isinstance(each, numbers) for each in value.values())
    return dict(value) if fits else None


def _array(value: Any) -> Any:
    """Return the array that Core ML sees; ``None`` for what cannot be one (CoreMLPythonUtils.mm:167-175).

    It sees the same memory. It receives the shape and the strides in elements, rounded down, and not the byte
    order (CoreMLPythonArray.mm:10-66), so that numbers in the other order are read wrongly.

    Raises:
        RuntimeError: a stride is negative.
    """
    if not isinstance(value, np.ndarray) or value.ndim == 0 or not value.flags.writeable:
        return None
    if (value.dtype.kind, value.dtype.itemsize) not in ARRAY_TYPES:
        return None
    if any(stride < 0 for stride in value.strides):
        raise RuntimeError(text("unknown exception"))  # inferred: the stride becomes a huge number
    native = value.view(value.dtype.newbyteorder("="))
    size = value.dtype.itemsize
    strides = [stride // size * size for stride in value.strides]
    return np.lib.stride_tricks.as_strided(native, value.shape, strides, writeable=False)


def _is_image(value: Any) -> bool:
    """Return whether a value is a Pillow image; ``PIL`` is a name of ``__main__`` then (CoreMLPythonUtils.mm:345)."""
    try:
        image_module = importlib.import_module("PIL.Image")
    except ImportError:
        return False
    sys.modules["__main__"].__dict__["PIL"] = sys.modules["PIL"]
    return isinstance(value, image_module.Image)


def _image(value: Any) -> Any:
    """Return an image of a mode that is taken, copied (CoreMLPythonUtils.mm:211-343); ``RuntimeError`` for others."""
    if value.mode not in IMAGE_MODES:
        raise RuntimeError(text("image mode", value.mode))
    return value.convert("RGB") if value.mode == "RGBA" else value.copy()


# --- what the model takes -----------------------------------------------------------------------------------


def check_inputs(description: Any, features: Mapping[str, Feature]) -> None:
    """Check features against a model's description; features that it does not have are ignored.

    Raises:
        FrameworkError: one is missing, or of another type, size or shape.
    """
    for item in description.input:
        feature = features.get(item.name)
        if feature is None:
            if not item.type.isOptional:
                raise FrameworkError(framework_text("feature missing", item.name))
            continue
        kind = item.type.WhichOneof("Type")
        if kind == "imageType":
            _check_image(item.name, item.type.imageType, feature)
        elif kind == "multiArrayType":
            if feature.kind != "multiArray":
                raise FrameworkError(framework_text("array expected", item.name, NUMBERS[feature.kind]))
            _check_shape(item.name, item.type.multiArrayType, feature.value.shape)


def _check_image(name: str, declared: Any, feature: Feature) -> None:
    if feature.kind != "image":
        shown = f"{feature.value}"
        if feature.kind == "multiArray":
            dtype = ARRAY_TYPES[feature.value.dtype.kind, feature.value.dtype.itemsize]
            shown = f"MultiArray : {dtype} {' × '.join(map(str, feature.value.shape))} array"
        raise FrameworkError(framework_text("image expected", name, shown, NUMBERS[feature.kind]))
    width, height = feature.value.size
    if not any(
        low <= width <= high and lowest <= height <= highest
        for (low, high), (lowest, highest) in _image_sizes(declared)
    ):
        raise FrameworkError(framework_text("image size", width, height))
    colour = declared.ColorSpace.Name(declared.colorSpace)
    mode = {"GRAYSCALE": "L", "GRAYSCALE_FLOAT16": "F"}.get(colour, "RGB")
    if feature.value.mode != mode:
        raise FrameworkError(framework_text("pixel format", name))


Range = tuple[float, float]


def _image_sizes(declared: Any) -> Iterator[tuple[Range, Range]]:
    """Yield the widths and heights that an image input takes, each a smallest and a largest one."""
    yield (declared.width, declared.width), (declared.height, declared.height)
    flexible = declared.WhichOneof("SizeFlexibility")
    if flexible == "enumeratedSizes":
        for size in declared.enumeratedSizes.sizes:
            yield (size.width, size.width), (size.height, size.height)
    elif flexible == "imageSizeRange":
        yield _bounds(declared.imageSizeRange.widthRange), _bounds(declared.imageSizeRange.heightRange)


def _bounds(size: Any) -> Range:
    return size.lowerBound, float("inf") if size.upperBound < 0 else size.upperBound


def _check_shape(name: str, declared: Any, shape: Sequence[int]) -> None:
    reason = _shape_problem(declared, tuple(shape))
    if reason:
        raise FrameworkError(framework_text("shape", name, " × ".join(map(str, shape))), reason)


def _shape_problem(declared: Any, shape: tuple[int, ...]) -> str:
    """Return why an array input does not take a shape, "" if it does."""
    default, shown = tuple(declared.shape), " x ".join(map(str, shape))
    flexible = declared.WhichOneof("ShapeFlexibility")
    if flexible == "enumeratedShapes":
        allowed = {tuple(each.shape) for each in declared.enumeratedShapes.shapes}
        return "" if shape in allowed else framework_text("enumerated shape", shown)
    if flexible == "shapeRange" and len(declared.shapeRange.sizeRanges) == len(shape):
        for axis, (size, bounds) in enumerate(zip(shape, declared.shapeRange.sizeRanges, strict=True)):
            low, high = _bounds(bounds)
            if not low <= size <= high:
                return framework_text("range", size, axis, bounds.lowerBound, bounds.upperBound)
        return ""
    fits = shape == default or not default
    return "" if fits else framework_text("fixed shape", shown, " x ".join(map(str, default)))
