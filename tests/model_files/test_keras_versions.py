import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from coremlbench.conversion.sources import source_of_file
from coremlbench.model_files.formats import identify_format
from coremlbench.model_files.keras_versions import is_keras_2, keras_version
from coremlbench.types.errors import InputError


def config(shape_name: str) -> dict[str, Any]:
    start = {"class_name": "InputLayer", "config": {"name": "start", shape_name: [None, 4]}}
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [start]}}


def h5_file(path: Path, version: Any, shape_name: str = "batch_input_shape") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config(shape_name))
        if version is not None:
            file.attrs["keras_version"] = version
    return path


def keras_file(path: Path, version: Any, shape_name: str = "batch_input_shape") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config(shape_name)))
        archive.writestr("model.weights.h5", b"weights")
        if version is not None:
            archive.writestr("metadata.json", json.dumps({"keras_version": version}))
    return path


@pytest.mark.parametrize("make", [h5_file, keras_file])
@pytest.mark.parametrize(
    ("version", "shape_name", "is_2"),
    [
        ("2.15.0", "batch_shape", True),
        ("2.2.4-tf", "batch_input_shape", True),
        ("1.2.2", "batch_input_shape", True),
        ("3.0.0", "batch_input_shape", False),
        ("0.1.7", "batch_shape", False),  # of keras_core, the beginning of Keras 3
        (None, "batch_input_shape", True),  # as Keras 2 writes
        (None, "batch_shape", False),  # as Keras 3 writes
        (2, "batch_shape", False),  # no version
    ],
)
def test_the_version_decides_or_else_how_it_is_written(
    tmp_path: Path, make: Any, version: Any, shape_name: str, is_2: bool
) -> None:
    path = make(tmp_path / "model", version, shape_name)
    kind = identify_format(path)
    assert is_keras_2(path, kind) == is_2
    assert keras_version(path, kind) == (version if isinstance(version, str) else "")
    assert source_of_file(path).format == ("keras-2" if is_2 else kind)


def test_a_version_of_bytes_is_read_too(tmp_path: Path) -> None:
    assert keras_version(h5_file(tmp_path / "model.h5", np.bytes_(b"2.4.0")), "h5") == "2.4.0"


def test_other_kinds_of_files_have_none(tmp_path: Path) -> None:
    assert not is_keras_2(tmp_path / "model.mlpackage", "mlpackage")


def test_a_damaged_file_gives_a_sentence(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "model.keras", "2.13.1")
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="truncated or damaged"):
        keras_version(path, "keras")
