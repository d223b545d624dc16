"""Match the inputs and outputs of an ONNX model with those of a package, and make the model's inputs of samples."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coremlbench.conversion.originals.onnx_session import RECORD_HINT
from coremlbench.conversion.package_signature import (
    PackageInput,
    PackageSignature,
    input_rows,
    is_transposed,
    shape_text,
    without_ones,
)
from coremlbench.types.errors import InputError

Array = npt.NDArray[Any]
Dims = tuple[int | None, ...]
"""The shape of an ONNX input; ``None`` for a dimension of any size."""

NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


@dataclass(frozen=True)
class Feed:
    """How one input of an ONNX model is made of the samples of a package's input ``item``.

    ``name``, ``dims`` and ``dtype`` are the model's. Samples are multiplied with ``factor``. ``whole`` tells that a
    sample is the whole input of a call.
    """

    item: PackageInput
    name: str
    dims: Dims
    dtype: str
    factor: float
    whole: bool

    def values(self, samples: Array, rows: int) -> Array:
        """Return samples, padded with the last one to a batch of ``rows``, as the model takes them."""
        given = input_rows(samples, self.item.name)
        padded = np.concatenate([given, np.repeat(given[-1:], rows - len(given), axis=0)])
        shape, channels_first = self.target(rows)
        if channels_first:
            padded = np.moveaxis(padded, -1, 1)
        scaled = padded if self.factor == 1 else padded.astype(np.float32) * np.float32(self.factor)
        return np.ascontiguousarray(scaled, self.dtype).reshape(shape)

    def target(self, rows: int) -> tuple[tuple[int, ...], bool]:
        """Return the shape of the model's input for ``rows`` samples, and whether channels go before rows and columns.

        Raises:
            InputError: the model takes another shape than the package.
        """
        for shape, channels_first in self._candidates(rows):
            if fits(self.dims, shape):
                return shape, channels_first
        shape = self._candidates(rows)[0][0]
        fixed = tuple(size for size in self.dims if size is not None)
        if len(fixed) == len(self.dims) and without_ones(fixed) == without_ones(shape) and not self.item.pixels:
            return fixed, False
        named = "x".join("any" if size is None else str(size) for size in self.dims)
        transposed = is_transposed(fixed, shape)
        reason = f"one has its channels first; {RECORD_HINT}" if transposed else "they are not the same model"
        raise InputError(
            f"The package takes {self.item.name} as {shape_text(self.item.shape)} and the ONNX model {self.name} as "
            f"{named}: {reason}."
        )

    def _candidates(self, rows: int) -> list[tuple[tuple[int, ...], bool]]:
        """Return the possible shapes of the model's input, each with whether channels come first."""
        if not self.item.pixels:
            return [(self.item.shape if self.whole else (rows, *self.item.shape[1:]), False)]
        height, width, channels = self.item.sample_shape(whole=False)
        shapes: list[tuple[tuple[int, ...], bool]] = [
            ((channels, height, width), True),
            ((height, width, channels), False),
        ]
        if channels == 1:
            shapes.append(((height, width), False))
        batched: list[tuple[tuple[int, ...], bool]] = [((rows, *shape), first) for shape, first in shapes]
        return batched + (shapes if rows == 1 else [])


def fits(dims: Dims, shape: tuple[int, ...]) -> bool:
    """Return whether an input of an ONNX model takes a shape."""
    return len(dims) == len(shape) and all(size in (None, given) for size, given in zip(dims, shape, strict=True))


def picture_size(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of a sample that can be a picture, channels first or last; else ``None``."""
    if len(shape) != 3:
        return None
    if shape[0] in (1, 3):
        return shape[1], shape[2], shape[0]
    return (shape[0], shape[1], shape[2]) if shape[2] in (1, 3) else None


def rows_per_call(feeds: Sequence[Feed], signature: PackageSignature, *, whole: bool) -> int:
    """Return the number of samples in a call: the model's fixed batch, else the package's."""
    if whole:
        return 1
    first = {feed.dims[0] for feed in feeds if feed.dims and len(feed.dims) == len(feed.item.shape)}
    fixed = [size for size in first if size is not None]
    return fixed[0] if len(fixed) == 1 else signature.batch


def match_inputs(
    file: str, inputs: Sequence[Any], signature: PackageSignature, scale: float | None, *, whole: bool
) -> tuple[tuple[Feed, ...], str]:
    """Return a feed for each input of the package, in its order, and a note on how they were matched.

    ``inputs`` are those of an ONNX Runtime session, ``scale`` is the factor for pixels, if given.

    Raises:
        InputError: they do not fit, or it is not known what numbers an input takes.
    """
    names, by_name = _match(file, [item.name for item in signature.inputs], [item.name for item in inputs], "takes")
    models = {item.name: item for item in inputs}
    feeds = []
    for item, name in zip(signature.inputs, names, strict=True):
        model = models[name]
        dims = tuple(size if isinstance(size, int) and size > 0 else None for size in model.shape)
        dtype = NUMPY_TYPES.get(model.type, str(model.type).removeprefix("tensor(").removesuffix(")"))
        factor = _factor(file, item, name, dtype, scale)
        feeds.append(Feed(item, name, dims, dtype, factor, whole))
    rows = rows_per_call(feeds, signature, whole=whole)
    for feed in feeds:
        feed.target(rows)
    return tuple(feeds), "" if by_name else _order_note("input", [item.name for item in signature.inputs], names)


def _factor(file: str, item: PackageInput, name: str, dtype: str, scale: float | None) -> float:
    """Return what samples are multiplied with for an input of the model.

    Raises:
        InputError: that is not known, or the input takes integers whose meaning is not known.
    """
    is_float = dtype in NUMPY_TYPES.values()
    if item.colour == "BGR":
        raise InputError(
            f"The package takes {item.name} as an image in the order BGR, and {file} does not tell the order of its "
            f"channels; {RECORD_HINT}."
        )
    if item.pixels and not is_float:
        return 1.0
    if item.pixels and scale is None:
        raise InputError(
            f"The package takes {item.name} as an image, and {file} does not tell how its pixels become numbers: give "
            "the factor with --scale (0.00392157 for PyTorch's ToTensor). Where a mean and a deviation of each channel "
            f"are needed, {RECORD_HINT}."
        )
    if item.pixels:
        return float(scale or 1)
    if not is_float or item.dtype == "int32":
        raise InputError(
            f"{file} takes {name} as {dtype}, and the package {item.name} as {item.dtype}: it is not known which "
            f"integers have a meaning; {RECORD_HINT}."
        )
    return 1.0


def match_outputs(
    file: str, shapes: Mapping[str, tuple[int, ...]], signature: PackageSignature, rows: int, *, whole: bool
) -> tuple[tuple[str, ...], str]:
    """Return the model's outputs in the order of the package's, and a note on how they were matched.

    ``shapes`` are those of the model's outputs for a call with ``rows`` samples.

    Raises:
        InputError: they have other numbers or shapes.
    """
    declared = [output.name for output in signature.outputs]
    names, by_name = _match(file, declared, list(shapes), "gives")
    for output, name in zip(signature.outputs, names, strict=True):
        shape = shapes[name]
        if output.shape is None:
            continue
        own, other = (shape, output.shape) if whole else (shape[1:], output.shape[1:])
        divisible = math.prod(shape) % rows == 0
        same = without_ones(own) == without_ones(other) or without_ones(shape) == without_ones(output.shape)
        if not same or not divisible:
            reason = "one has its channels first" if is_transposed(own, other) else "they are not the same model"
            raise InputError(
                f"The package gives {output.name} as {shape_text(output.shape)} and {file} {name} as "
                f"{shape_text(shape)}: {reason}."
            )
    return tuple(names), "" if by_name else _order_note("output", declared, names)


def _match(file: str, package: Sequence[str], model: Sequence[str], verb: str) -> tuple[list[str], bool]:
    """Return the model's name for each of the package's, and whether all names agree; else they follow the order.

    Core ML has underscores for signs in names; they count as equal.
    """
    plain = {_plain(name): name for name in model}
    if all(_plain(name) in plain for name in package) and (verb == "gives" or len(package) == len(model)):
        return [plain[_plain(name)] for name in package], True
    if len(package) != len(model):
        raise InputError(
            f"The package {verb} {', '.join(package)} and {file} {', '.join(model)}: their numbers differ, and so do "
            "their names."
        )
    return list(model), False


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name).strip("_")


def _order_note(what: str, package: Sequence[str], model: Sequence[str]) -> str:
    if len(package) == 1:
        return f"The package's {what} {package[0]} is taken for the ONNX model's {model[0]}: each has one."
    pairs = ", ".join(f"{name} is {other}" for name, other in zip(package, model, strict=True))
    return f"The {what}s of package and ONNX model have different names and are matched by their order: {pairs}."
