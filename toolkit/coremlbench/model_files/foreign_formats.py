"""Files of other frameworks that are no input of this program: what each is, and the way to a model that is.

They are recognised by their first bytes or by the names in an archive where possible, else by their suffix. Nothing of
them is loaded: a pickle runs code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

PYTORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of files that PyTorch saved before version 1.6: its magic number as a pickle."""
PICKLE_MAGIC = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
TFLITE_MAGIC = b"TFL3"
"""At offset 4 of a TensorFlow Lite file."""
GGUF_MAGIC = b"GGUF"
SAFETENSORS_HEADER = 100_000_000
"""The longest header that safetensors' own reader accepts; its length is the first 8 bytes of the file."""

KERAS_MEMBERS = ("config.json", "model.weights.h5")

CONVERT_PYTORCH = "convert the network with coremltools (torch.jit.trace or torch.export, then coremltools.convert)"
COMPARE = "compare the package with `coremlbench convert --check PACKAGE ORIGINAL`"
FROM_KERAS = "give the .keras file or the SavedModel folder that it was made from"

PYTORCH = f"holds a network or weights of PyTorch as a pickle, which is never opened; {CONVERT_PYTORCH}, and {COMPARE}."
TORCHSCRIPT = (
    "is a TorchScript model of PyTorch; convert it with coremltools (coremltools.convert of torch.jit.load), and "
    f"{COMPARE}."
)
EXPORTED = (
    "is a network that torch.export saved; convert it with coremltools (coremltools.convert of torch.export.load), and "
    f"{COMPARE}."
)
WEIGHTS = f"holds weights alone, without the network; load them into the network, {CONVERT_PYTORCH}, and {COMPARE}."
PICKLE = "is a pickle, which runs code when it is loaded and is never opened"

SUFFIX_SENTENCES = {
    ".onnx": (
        "is an ONNX model, which coremltools no longer converts; convert the network that it was exported from, and "
        f"{COMPARE}."
    ),
    ".tflite": f"is a TensorFlow Lite model, which cannot be converted; {FROM_KERAS}.",
    ".safetensors": WEIGHTS,
    ".gguf": "holds the weights of a language model for llama.cpp, which cannot be converted to Core ML here.",
    ".pb": (
        "is a graph of TensorFlow; a SavedModel is given by its folder, and a frozen graph is converted with "
        f"coremltools.convert(FILE.pb): then {COMPARE}."
    ),
    ".pbtxt": f"is a graph of TensorFlow as text, without weights; {FROM_KERAS}.",
    ".caffemodel": f"is a Caffe model, which coremltools reads up to version 4 only; convert it there, and {COMPARE}.",
    ".prototxt": "describes a Caffe network, without its weights; coremltools up to version 4 converts Caffe models.",
    ".pkl": f"{PICKLE}; save the network of its framework in that framework's own format.",
    ".pickle": f"{PICKLE}; save the network of its framework in that framework's own format.",
    ".joblib": f"{PICKLE}; coremltools.converters.sklearn converts some models of scikit-learn, and a Mac times them.",
    ".pt": PYTORCH,
    ".pth": PYTORCH,
    ".bin": WEIGHTS,
    ".ckpt": f"is a checkpoint, which holds weights alone; {FROM_KERAS}, or {CONVERT_PYTORCH}.",
    ".index": f"is a part of a TensorFlow checkpoint, which holds weights alone; {FROM_KERAS}.",
    ".npy": "is an array of NumPy and no model.",
    ".npz": "holds arrays of NumPy and no model.",
    ".json": "is text; a network of Keras is given as a .keras file, which holds its weights too.",
    ".mar": "is an archive for TorchServe; give the network in it to coremltools.",
    ".engine": "is an engine of TensorRT, which cannot be converted; convert the network that it was built from.",
    ".mlir": f"is a program in MLIR, which cannot be converted; {FROM_KERAS}.",
}
"""What a file of another framework is and what to do, by its suffix; the sentence goes on after the file's name."""

FOLDER_MEMBERS = (
    ("*.safetensors", WEIGHTS),
    ("pytorch_model*.bin", WEIGHTS),
    ("*.data-*-of-*", f"is a TensorFlow checkpoint, which holds weights alone; {FROM_KERAS}."),
    ("model.json", f"is a model of TensorFlow.js, which cannot be converted; {FROM_KERAS}."),
)
"""Files by which a folder of another framework is recognised."""


def describe_foreign_file(path: Path) -> str:
    """Return a sentence on a file of another framework and on what to do, "" for a file of no known kind."""
    sentence = _by_content(path) or SUFFIX_SENTENCES.get(path.suffix.lower(), "")
    if not sentence and ".data-" in path.suffix:
        sentence = SUFFIX_SENTENCES[".index"]
    return f"{path.name} {sentence}" if sentence else ""


def _by_content(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(PYTORCH_MAGIC):
        return PYTORCH
    if start[4:8] == TFLITE_MAGIC:
        return SUFFIX_SENTENCES[".tflite"]
    if start.startswith(GGUF_MAGIC):
        return SUFFIX_SENTENCES[".gguf"]
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= SAFETENSORS_HEADER:
        return WEIGHTS
    if start.startswith(PICKLE_MAGIC) and path.suffix not in {".pt", ".pth", ".bin", ".ckpt", ".joblib"}:
        return SUFFIX_SENTENCES[".pkl"]
    return ""


def describe_foreign_archive(path: Path) -> str:
    """Return the same as ``describe_foreign_file`` for a zip archive; "" for a Keras model or an unknown archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return ""
    if any(name in KERAS_MEMBERS for name in names):
        return ""
    sentence = _archive_sentence(names)
    return f"{path.name} {sentence}" if sentence else ""


def _archive_sentence(names: Sequence[str]) -> str:
    """Return what an archive with members of these names is, and what to do."""
    parts = [name.split("/") for name in names]
    inner = {"/".join(part[1:]) for part in parts}
    if any(name.startswith("code/") for name in inner) and "constants.pkl" in inner:
        return TORCHSCRIPT
    exported = ("serialized_exported_program.json", "models/model.json")
    if any(name.endswith(exported) for name in names):
        return EXPORTED
    if "data.pkl" in inner:
        return PYTORCH
    for part in parts:
        if part[-1] == "saved_model.pb":
            return "is a zip archive with a SavedModel; unpack it and give the folder that holds saved_model.pb."
        if part[-1] == "Manifest.json" and len(part) <= 2:
            return "is a zip archive with a Core ML package; unpack it and give the .mlpackage folder."
        if part[-1].endswith((".keras", ".h5", ".mlmodel")):
            return f"is a zip archive with {part[-1]}; unpack it and give that file."
    if names and all(name.endswith(".npy") for name in names):
        return SUFFIX_SENTENCES[".npz"]
    return ""


def describe_foreign_folder(path: Path) -> str:
    """Return a sentence on a folder of another framework, or on one that holds a SavedModel one level below; else ""."""
    inner = sorted(file.parent.name for file in path.glob("*/saved_model.pb"))
    if inner:
        return f"The SavedModel is one level below {path.name}; give {path / inner[-1]}."
    for pattern, sentence in FOLDER_MEMBERS:
        if any(path.glob(pattern)):
            return f"The folder {path.name} {sentence}"
    return ""
