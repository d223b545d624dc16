"""The inputs of a package as the native runner reads them: raw files, one for each input, all samples in a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.system.files import atomic_write
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARRAY_TYPES = ("float16", "float32", "float64", "int32")
"""The types of numbers that Core ML's arrays have in every version of macOS that the runner supports."""


def write_raw_inputs(inputs: Path, folder: Path, stem: str) -> tuple[list[dict[str, Any]], int]:
    """Write the inputs of an ``.npz`` file to ``folder``; return their entries in a request, and the samples.

    The files are named ``<stem>.<number>.raw``. Numbers are little-endian and in C order. Half-precision numbers stay
    as they are, as an app would hand them on. An entry has ``name``, ``kind``, ``dtype``, ``shape`` (of one sample) and
    ``file`` (its name).

    Raises:
        InputError: there are no samples, or the native runner takes no such values.
        OSError: a file cannot be read or written.
    """
    import numpy as np

    entries, samples = [], 0
    with np.load(inputs, allow_pickle=False) as stored:
        for number, name in enumerate(stored.files):
            array = _to_raw(name, stored[name])
            samples = len(array)
            file = f"{stem}.{number}.raw"
            atomic_write(folder / file, array.tobytes())
            image = array.dtype == np.uint8
            shape = list(array.shape[1:]) or [1]
            entries.append(
                {
                    "name": name,
                    "kind": "image" if image else "array",
                    "dtype": array.dtype.name,
                    "shape": shape,
                    "file": file,
                }
            )
    if not samples:
        raise InputError(f"'{inputs.name}' holds no samples to predict.")
    return entries, samples


def _to_raw(name: str, values: NDArray[Any]) -> NDArray[np.generic]:
    """Return all samples of an input in one of ``ARRAY_TYPES``, or uint8 for an image."""
    import numpy as np

    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind in "biu":
        limits = np.iinfo(np.int32)
        if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
            raise InputError(f"The input '{name}' holds integers of more than 32 bits, which Core ML does not take.")
        return np.ascontiguousarray(values, "<i4")
    if values.dtype.name not in ARRAY_TYPES:
        raise InputError(f"The input '{name}' is of the type {values.dtype}, which the native runner does not take.")
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
