"""Files of other frameworks are named for what they are, with a next step, and nothing in them is loaded."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from coremlbench.model_files.formats import identify_format
from coremlbench.types.errors import InputError

HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
SAFETENSORS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(4)
OLD_PYTORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
MINE = "the .keras file or the SavedModel folder that it was made from"

FILES = [
    ("m.pth", OLD_PYTORCH, "PyTorch as a pickle, which is never opened; convert the network with coremltools"),
    ("weights", OLD_PYTORCH, "PyTorch as a pickle"),
    ("m.pt", b"cut", "PyTorch as a pickle"),
    ("w.safetensors", SAFETENSORS, "holds weights alone, without the network"),
    ("w.dat", SAFETENSORS, "holds weights alone, without the network"),
    ("pytorch_model.bin", b"\x80\x02}.", "holds weights alone, without the network"),
    ("m.tflite", b"\x1c\0\0\0TFL3", f"is a TensorFlow Lite model, which cannot be converted; give {MINE}"),
    ("m.lite", b"\x1c\0\0\0TFL3", "is a TensorFlow Lite model"),
    ("graph.pb", b"\n\x05", "is a graph of TensorFlow; give the folder of a SavedModel, or convert a frozen graph"),
    ("m.caffemodel", b"\n\x05", "is a Caffe model"),
    ("m.pkl", b"\x80\x04K\x01.", "is a pickle, which runs code when it is loaded and is never opened"),
    ("m.joblib", b"\x80\x03K\x01.", "is a pickle"),
    ("m.sav", b"\x80\x04K\x01.", "is a pickle"),
    ("m.ckpt", b"x", "is a checkpoint, which holds weights alone"),
    ("m.ckpt.index", b"x", f"is a TensorFlow checkpoint, which holds weights alone; give {MINE}"),
    ("m.ckpt.data-00000-of-00001", b"x", "is a TensorFlow checkpoint"),
    ("llama.gguf", b"GGUF\3\0\0\0", "llama.cpp"),
    ("w.npy", b"\x93NUMPY", "is an array of NumPy and no model"),
    ("model.json", b"{}", "give the .keras file of a Keras model"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), FILES, ids=[row[0] for row in FILES])
def test_a_file_of_another_framework_is_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert sentence in refusal(tmp_path / name)


ARCHIVES = [
    (("state/data.pkl", "state/version", "state/data/0"), "PyTorch as a pickle"),
    (("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"), "is a TorchScript model of PyTorch"),
    (("serialized_exported_program.json", "version"), "is a network that torch.export saved"),
    (("m/models/model.json", "m/archive_format"), "is a network that torch.export saved"),
    (("export/saved_model.pb", "export/variables/variables.index"), "is a zip archive with a SavedModel; unpack it"),
    (("m.mlpackage/Manifest.json", "m.mlpackage/Data/x"), "is a zip archive with a Core ML package; unpack it"),
    (("models/mine.keras",), "is a zip archive with mine.keras; unpack it"),
]


@pytest.mark.parametrize(("members", "sentence"), ARCHIVES, ids=[row[1] for row in ARCHIVES])
@pytest.mark.parametrize("name", ["m.pt", "m.zip", "m.keras", "m"])
def test_an_archive_is_what_its_members_say_whatever_its_name(
    tmp_path: Path, members: tuple[str, ...], sentence: str, name: str
) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member in members:
            archive.writestr(member, b"cos\nsystem\n(S'false'\ntR.")  # a pickle with a call, never loaded
    assert sentence in refusal(tmp_path / name)


def test_an_archive_of_keras_is_keras(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    assert identify_format(tmp_path / "m") == "keras"


def served(folder: Path) -> None:
    for version in ("1", "2"):
        (folder / version).mkdir()
        (folder / version / "saved_model.pb").touch()


FOLDERS: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "model.safetensors").touch(), "The folder m holds weights alone"),
    (lambda folder: (folder / "pytorch_model.bin").touch(), "The folder m holds weights alone"),
    (lambda folder: (folder / "model.json").touch(), "The folder m is a model of TensorFlow.js"),
    (lambda folder: (folder / "c.data-00000-of-00001").touch(), "The folder m is a TensorFlow checkpoint"),
    (served, "The SavedModel is one level below m; give "),
]


@pytest.mark.parametrize(("make", "sentence"), FOLDERS, ids=[row[1] for row in FOLDERS])
def test_a_folder_of_another_framework_is_named(tmp_path: Path, make: Callable[[Path], object], sentence: str) -> None:
    (tmp_path / "m").mkdir()
    make(tmp_path / "m")
    assert sentence in refusal(tmp_path / "m")
    if make is served:
        assert refusal(tmp_path / "m").endswith(f"{tmp_path / 'm' / '2'}."), "the newest version"


def test_the_prefix_of_a_checkpoint_is_no_missing_file(tmp_path: Path) -> None:
    assert "There is no model at" in refusal(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.index").touch()
    assert "model.ckpt is a TensorFlow checkpoint" in refusal(tmp_path / "model.ckpt")


def refusal(path: Path) -> str:
    """Return the one sentence with which a path is refused."""
    with pytest.raises(InputError) as raised:
        identify_format(path)
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert len(sentence.splitlines()) == 1
    return sentence
