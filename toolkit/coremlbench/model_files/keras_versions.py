"""Find out which Keras saved a model file.

Keras 3 reads some files of Keras 2 and computes something else: ``hard_sigmoid`` was clip(0.2 x + 0.5) and is
relu6(x + 3) / 6 now (github.com/keras-team/keras/issues/19477). So the version decides which library executes an
original.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from coremlbench.model_files.formats import SUFFIXES, Format, dictionaries, read_config, readable

METADATA = "metadata.json"
"""The member of a Keras archive that holds the version."""

METADATA_BYTES = 1 << 20
"""The most bytes of it; Keras writes a hundred."""

KERAS_2_MAJORS = ("1", "2")
"""First numbers of the versions that ``tf_keras`` stands for; it also converts the arrays of Keras 1."""


def keras_version(path: Path, kind: Format) -> str:
    """Return the version of Keras that a ``keras`` or ``h5`` file names, empty where it names none.

    Raises:
        InputError: the file is damaged.
    """
    version = _archive_version(path) if kind == "keras" else _h5_version(path)
    return version if isinstance(version, str) else ""


def is_keras_2(path: Path, kind: Format) -> bool:
    """Return whether Keras 2 saved a file: it says so, or it names no version and is written as Keras 2 writes.

    Raises:
        InputError: the file is damaged.
    """
    if kind not in SUFFIXES:
        return False
    version = keras_version(path, kind)
    if version:
        return version.partition(".")[0] in KERAS_2_MAJORS
    return any("batch_input_shape" in part for part in dictionaries(read_config(path, kind)))  # Keras 3: batch_shape


def _archive_version(path: Path) -> Any:
    with readable(path), zipfile.ZipFile(path) as archive:
        entry = next((entry for entry in archive.infolist() if entry.filename == METADATA), None)
        if entry is None or entry.file_size > METADATA_BYTES:
            return ""
        metadata = json.loads(archive.read(entry))
        return metadata.get("keras_version", "") if isinstance(metadata, dict) else ""


def _h5_version(path: Path) -> Any:
    import h5py

    with readable(path), h5py.File(path, "r") as file:
        version = file.attrs.get("keras_version", "")
    return version.decode(errors="replace") if isinstance(version, bytes) else version
