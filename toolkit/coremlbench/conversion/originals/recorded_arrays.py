"""Read and check a NumPy archive with recorded inputs and outputs of a model: ``io.npz`` of ``docs/originals.md``.

Its arrays are ``input`` and ``output``, or ``input_<name>`` and ``output_<name>`` with the names that the package has;
``labels`` and ``classes`` may be added. Every array has one row for each sample, but for ``classes``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coremlbench.conversion.package_signature import (
    PackageInput,
    PackageOutput,
    PackageSignature,
    is_transposed,
    shape_text,
    stack_inputs,
    without_ones,
)
from coremlbench.system.formatting import format_count
from coremlbench.types.errors import InputError

Array = npt.NDArray[Any]

LARGEST_EXACT_INTEGER = 1 << 24
"""float32 holds every integer up to this one."""
MAX_REPEATED_DIFFERENCE = 1e-3
"""Largest difference, as a share of the outputs' range, between the recorded outputs of equal inputs: two runs of a
model on a GPU differ by far less."""


@dataclass(frozen=True)
class RecordedArrays:
    """The content of an archive, as a package takes it.

    ``samples`` is what ``stack_inputs`` returns, ``outputs`` (n, values) are all outputs side by side in the package's
    order, ``labels`` (n,) are indices of classes (``None``: not recorded) and ``classes`` their names. ``width`` is the
    number of values of which the largest can be the class, ``None`` where there is no such list. ``matches`` says which
    array was taken for which input and output when the names differ.
    """

    samples: Array
    outputs: Array
    labels: npt.NDArray[np.int64] | None
    classes: tuple[str, ...]
    width: int | None
    matches: str


def read_recorded(path: Path, signature: PackageSignature) -> RecordedArrays:
    """Return the recorded arrays for a package.

    Raises:
        InputError: the file cannot be read, an array is missing or unknown, or has a wrong shape, type or value.
    """
    return check_arrays(path.name, load_arrays(path), signature)


def load_arrays(path: Path) -> dict[str, Array]:
    """Return all arrays of an archive by name; pickled objects are never loaded.

    Raises:
        InputError: the file is no NumPy archive, is damaged, or an array holds no numbers.
    """
    arrays, name = {}, ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = np.asarray(archive[name])
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        if "allow_pickle" in str(error):
            raise InputError(
                f"The array {name} in {path.name} holds Python objects, such as rows of different lengths, and "
                "pickles are never opened; record an array of numbers."
            ) from error
        raise InputError(
            f"{path.name} cannot be read as a NumPy archive ({type(error).__name__}: {error}); it is truncated or "
            "damaged: write it again with numpy.savez."
        ) from error
    return arrays


def check_arrays(file: str, arrays: Mapping[str, Array], signature: PackageSignature) -> RecordedArrays:
    """Return the arrays as ``signature`` needs them; ``file`` names the archive in messages.

    Raises:
        InputError: see ``read_recorded``.
    """
    inputs = _assign(file, arrays, "input", [item.name for item in signature.inputs], signature.source)
    outputs = _assign(file, arrays, "output", [item.name for item in signature.outputs], signature.source)
    _check_names(file, arrays, [*inputs.values(), *outputs.values()])
    for name in (*inputs.values(), *outputs.values()):
        _check_numbers(file, name, arrays[name])
    count = _sample_count(file, {name: arrays[name] for name in (*inputs.values(), *outputs.values())})
    whole = _takes_whole_inputs(signature, {item: arrays[inputs[item.name]] for item in signature.inputs})
    samples = stack_inputs(
        {item.name: _input(file, inputs[item.name], arrays, item, whole=whole) for item in signature.inputs}
    )
    values = np.concatenate(
        [_output(file, outputs[item.name], arrays, item, signature, whole=whole) for item in signature.outputs], axis=1
    )
    _check_repeated_samples(file, samples, values)
    width = values.shape[1] if _is_vector(signature, whole=whole) else None
    labels = _labels(file, arrays["labels"], count, width) if "labels" in arrays else None
    classes = _classes(file, arrays["classes"], width) if "classes" in arrays else ()
    return RecordedArrays(samples, values, labels, classes, width, _matches({**inputs, **outputs}))


# --- names --------------------------------------------------------------------------------------------------


def _assign(file: str, arrays: Mapping[str, Array], role: str, names: Sequence[str], source: str) -> dict[str, str]:
    """Return the array of each input or output of the package by its name; ``role`` is ``input`` or ``output``."""
    if len(names) == 1 and role in arrays:
        return {names[0]: role}
    assigned = {name: f"{role}_{name}" for name in names}
    missing = [array for array in assigned.values() if array not in arrays]
    if missing:
        expected = f"{role}, or {missing[0]}" if len(names) == 1 else ", ".join(assigned.values())
        verb = "takes" if role == "input" else "gives"
        raise InputError(
            f"{file} lacks the array {missing[0] if len(names) > 1 else role}: {source} {verb} "
            f"{', '.join(names)}, so record {expected}; it holds {', '.join(arrays) or 'nothing'}."
        )
    return assigned


def _check_names(file: str, arrays: Mapping[str, Array], used: Sequence[str]) -> None:
    unknown = [name for name in arrays if name not in {*used, "labels", "classes"}]
    if unknown:
        raise InputError(
            f"{file} holds the array {unknown[0]}, which has no meaning; this package needs {', '.join(used)}, and may "
            "have labels and classes."
        )


def _matches(assigned: Mapping[str, str]) -> str:
    """Return which arrays were taken for inputs and outputs by their number alone; empty when all have their names."""
    pairs = [f"{array} for {name}" for name, array in assigned.items() if array in {"input", "output"}]
    return f"Taken from the recorded arrays: {', '.join(pairs)}." if pairs else ""


# --- values -------------------------------------------------------------------------------------------------


def _check_numbers(file: str, name: str, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"The array {name} in {file} has the type {array.dtype}, and numbers are needed; record it as float32, or "
            "as uint8 for pictures."
        )


def _sample_count(file: str, arrays: Mapping[str, Array]) -> int:
    """Return the number of samples, which all arrays must have."""
    for name, array in arrays.items():
        if not array.ndim or not len(array):
            raise InputError(
                f"The array {name} in {file} has the shape {array.shape}, and no sample; record one a row."
            )
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise InputError(
            f"The arrays of {file} have different numbers of samples ({listed}); record one a row in each."
        )
    return next(iter(counts.values()))


def _takes_whole_inputs(signature: PackageSignature, arrays: Mapping[PackageInput, Array]) -> bool:
    """Return whether a sample is the whole input of a call, with its first dimension."""
    if signature.unbatched:
        return True
    return any(not item.pixels and item.batch > 1 and array.shape[1:] == item.shape for item, array in arrays.items())


def _input(file: str, name: str, arrays: Mapping[str, Array], item: PackageInput, *, whole: bool) -> Array:
    """Return the samples of one input, (n, *shape), in the type of the package's input."""
    array, shape = arrays[name], item.sample_shape(whole=whole)
    if item.pixels:
        return _pictures(file, name, array, shape, item)
    if without_ones(array.shape[1:]) != without_ones(shape):
        raise InputError(_shape_message(file, name, array.shape[1:], shape, f"the package takes {item.name}"))
    if not np.isfinite(array).all():
        raise InputError(f"The array {name} in {file} has {_first_bad(~np.isfinite(array))}; record finite inputs.")
    if item.dtype == "int32":
        return _integers(file, name, array).reshape(len(array), *shape)
    if array.dtype.kind in "iu" and np.abs(array.astype(np.float64)).max(initial=0) > LARGEST_EXACT_INTEGER:
        raise InputError(f"The array {name} in {file} has integers that float32, the package's type, does not hold.")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32).reshape(len(array), *shape)
    if not np.isfinite(values).all():
        raise InputError(f"The array {name} in {file} has values that float32, the package's type, does not hold.")
    return values


def _pictures(file: str, name: str, array: Array, shape: tuple[int, ...], item: PackageInput) -> Array:
    """Return the samples of an image input: uint8 of (n, height, width, channels), colours in the order RGB."""
    height, width, channels = shape
    needed = f"uint8 pictures of the shape (n, {height}, {width}, {channels})" + (", RGB" if channels == 3 else "")
    if array.dtype != np.uint8:
        raise InputError(
            f"The package takes {item.name} as 8-bit images, and the array {name} in {file} has the type "
            f"{array.dtype}; record the pixels before they are scaled: {needed}."
        )
    if without_ones(array.shape[1:]) != without_ones(shape):
        message = _shape_message(file, name, array.shape[1:], shape, f"the package takes {item.name}")
        raise InputError(f"{message.rstrip('.')}: {needed}.")
    return array.reshape(len(array), *shape)


def _integers(file: str, name: str, array: Array) -> Array:
    limits = np.iinfo(np.int32)
    wide = array.astype(np.float64)
    if (wide != np.round(wide)).any() or wide.min() < limits.min or wide.max() > limits.max:
        raise InputError(f"The package takes int32, and the array {name} in {file} has other numbers.")
    return array.astype(np.int32)


def _output(
    file: str, name: str, arrays: Mapping[str, Array], item: PackageOutput, signature: PackageSignature, *, whole: bool
) -> Array:
    """Return the recorded values of one output, float32 of (n, values); infinities are possible, NaN is not."""
    array = arrays[name]
    if np.isnan(array).any():
        raise InputError(
            f"The array {name} in {file} has {_first_bad(np.isnan(array))}; record outputs that are numbers."
        )
    if item.shape is not None:
        possible = [item.shape] if whole else [item.shape[1:]]
        if signature.batch == 1:
            possible.append(item.shape)  # an output that does not depend on the batch
        if without_ones(array.shape[1:]) not in {without_ones(shape) for shape in possible}:
            raise InputError(_shape_message(file, name, array.shape[1:], possible[0], f"the package gives {item.name}"))
    with np.errstate(over="ignore"):
        return array.astype(np.float32).reshape(len(array), -1)


def _shape_message(file: str, name: str, actual: tuple[int, ...], expected: tuple[int, ...], subject: str) -> str:
    """Return a sentence on a wrong shape; it says when the array is transposed."""
    message = (
        f"A sample of the array {name} in {file} has the shape {shape_text(actual)}, and {subject} as "
        f"{shape_text(expected)}"
    )
    if not is_transposed(actual, expected):
        return f"{message}; each row of the array is one sample."
    first = "channels first" if _channels_first(actual, expected) else "channels last"
    last = "channels last" if first == "channels first" else "channels first"
    return f"{message}: the array has its {first} and the package {last}; transpose it."


def _channels_first(actual: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Return whether ``actual`` is ``expected`` with the last dimension in front."""
    first, second = without_ones(actual), without_ones(expected)
    return first == (second[-1], *second[:-1])


def _first_bad(bad: npt.NDArray[np.bool_]) -> str:
    """Return how many values are not finite, and the first sample with one."""
    rows = bad.reshape(len(bad), -1).any(axis=1)
    values = format_count(int(bad.sum()), "value that is", "values that are")
    return f"{values} not finite, the first in sample {int(rows.argmax())}"


def _check_repeated_samples(file: str, samples: Array, outputs: Array) -> None:
    """Raise ``InputError`` if equal inputs have different outputs, as a model in training mode gives them."""
    finite = outputs[np.isfinite(outputs)]
    tolerance = MAX_REPEATED_DIFFERENCE * float(np.ptp(finite)) if finite.size else 0.0
    first: dict[bytes, int] = {}
    for row, digest in enumerate(sample_digests(samples)):
        earlier = first.setdefault(digest, row)
        if not np.allclose(outputs[earlier], outputs[row], rtol=0, atol=tolerance):
            raise InputError(
                f"The samples {earlier} and {row} of {file} have equal inputs and different outputs: the model was not "
                "in its inference mode (in PyTorch model.eval()), or the outputs are in another order than the inputs."
            )


def sample_digests(samples: Array) -> Iterator[bytes]:
    """Yield a hash of each sample."""
    return (hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest() for row in samples)


# --- classes ------------------------------------------------------------------------------------------------


def _is_vector(signature: PackageSignature, *, whole: bool) -> bool:
    """Return whether there is one output with one list of values for each sample."""
    shapes = [output.shape for output in signature.outputs]
    if whole or len(shapes) != 1:
        return False
    return shapes[0] is not None and (len(shapes[0]) == 1 or math.prod(shapes[0][1:]) == max(shapes[0][1:]))


def _labels(file: str, array: Array, count: int, width: int | None) -> npt.NDArray[np.int64]:
    """Return the class of each sample as an index of the output's values."""
    if width is None:
        raise InputError(
            f"{file} holds labels, and the package does not give one value for each class; leave them out."
        )
    if array.dtype.kind not in "iu" or array.shape not in {(count,), (count, 1)}:
        raise InputError(
            f"The array labels in {file} has the type {array.dtype} and the shape {array.shape}; record the index of "
            f"each sample's class, integers of the shape ({count},)."
        )
    labels = array.reshape(-1)
    if labels.min() < 0 or labels.max() >= width:
        values = format_count(width, "value")
        raise InputError(
            f"The labels in {file} go from {labels.min()} to {labels.max()}, and the package gives {values}: record "
            f"indices from 0 to {width - 1}."
        )
    return labels.astype(np.int64)


def _classes(file: str, array: Array, width: int | None) -> tuple[str, ...]:
    """Return the names of the classes by index."""
    if array.dtype.kind != "U" or array.ndim != 1:
        raise InputError(f"The array classes in {file} has the type {array.dtype}; record a list of names.")
    names = tuple(str(name) for name in array)
    if len(names) != width:
        values = "no value for each class" if width is None else format_count(width, "value")
        classes = format_count(len(names), "class", "classes")
        raise InputError(f"{file} names {classes}, and the package gives {values}; name each of them once.")
    if len(set(names)) < len(names) or not all(names):
        raise InputError(f"Each class in {file} needs a name of its own; correct the array classes.")
    return names
