"""Files of other frameworks that are no input of this program: what each is, and the way to a model that is.

They are recognised by their first bytes or by the names in an archive where possible, else by their suffix. Nothing of
them is loaded: a pickle runs code.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from coremlbench.system.advised_commands import advised_command

PYTORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of files that PyTorch saved before version 1.6: its magic number as a pickle."""
PICKLE_MAGIC = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
TFLITE_MAGIC = b"TFL3"
"""At offset 4 of a TensorFlow Lite file."""
GGUF_MAGIC = b"GGUF"
SAFETENSORS_HEADER = 100_000_000
"""The longest header that safetensors' own reader accepts; its length is the first 8 bytes of the file."""

KERAS_MEMBERS = ("config.json", "model.weights.h5")
EXPORTED_MEMBERS = ("serialized_exported_program.json", "models/model.json")
"""Members of archives of torch.export, before and since PyTorch 2.8."""

CONVERT_PYTORCH = "convert the network with coremltools (torch.jit.trace or torch.export, then coremltools.convert)"
COMPARE = "compare the package with recorded outputs: `{compare}`"
"""``{compare}`` stands for the command, which depends on the folder of records."""
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
PICKLE = (
    "is a pickle, which runs code when it is loaded and is never opened; save the model as .keras or as a SavedModel, "
    f"or convert it with coremltools and {COMPARE}."
)
CHECKPOINT = f"is a TensorFlow checkpoint, which holds weights alone; {FROM_KERAS}."

SUFFIX_SENTENCES = {
    ".tflite": f"is a TensorFlow Lite model, which cannot be converted; {FROM_KERAS}.",
    ".safetensors": WEIGHTS,
    ".gguf": "holds the weights of a language model for llama.cpp, which cannot be converted here.",
    ".pb": (
        "is a graph of TensorFlow; give the folder of a SavedModel, or convert a frozen graph with "
        f"coremltools.convert(FILE.pb) and {COMPARE}."
    ),
    ".pbtxt": f"is a graph of TensorFlow as text, without weights; {FROM_KERAS}.",
    ".caffemodel": f"is a Caffe model, which coremltools converts up to version 4.1; convert it there, and {COMPARE}.",
    ".prototxt": "describes a Caffe network, without its weights; coremltools converts Caffe models up to version 4.1.",
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
    ".pt": PYTORCH,
    ".pth": PYTORCH,
    ".bin": WEIGHTS,
    ".ckpt": f"is a checkpoint, which holds weights alone; {FROM_KERAS}, or {CONVERT_PYTORCH}.",
    ".index": CHECKPOINT,
    ".npy": "is an array of NumPy and no model.",
    ".npz": "holds arrays of NumPy and no model.",
    ".json": "is text; give the .keras file of a Keras model, which holds its weights too.",
}
"""What a file of another framework is and what to do, by its suffix; the sentence goes on after the file's name."""

FOLDER_MEMBERS = (
    ("*.safetensors", WEIGHTS),
    ("pytorch_model*.bin", WEIGHTS),
    ("*.data-*-of-*", CHECKPOINT),
    ("model.json", f"is a model of TensorFlow.js, which cannot be converted; {FROM_KERAS}."),
)
"""Files by which a folder of another framework is recognised."""


def describe_foreign(path: Path, results: Path | None = None) -> str:
    """Return a sentence on a file or folder of another framework and on what to do, "" for one of no known kind.

    A path that does not exist may be the prefix of a TensorFlow checkpoint. The advised command is for the folder of
    records ``results``.
    """
    command = advised_command("convert", "--check", "PACKAGE", "io.npz", results=results)
    return _describe(path).replace("{compare}", command)


def _describe(path: Path) -> str:
    """Return the sentence of ``describe_foreign`` with ``{compare}`` in the place of the command."""
    if path.is_dir():
        return _describe_folder(path)
    if not path.exists():
        return f"{path.name} {CHECKPOINT}" if path.with_name(f"{path.name}.index").is_file() else ""
    if zipfile.is_zipfile(path):
        sentence = _archive_sentence(path)
    else:
        suffix = ".index" if ".data-" in path.suffix else path.suffix.lower()
        sentence = _content_sentence(path) or SUFFIX_SENTENCES.get(suffix, "")
    return f"{path.name} {sentence}" if sentence else ""


def _describe_folder(path: Path) -> str:
    """Return the sentence on a folder; also on one with a SavedModel one level below, as TensorFlow Serving has it."""
    inner = sorted(file.parent.name for file in path.glob("*/saved_model.pb"))
    if inner:
        return f"The SavedModel is one level below {path.name}; give {path / inner[-1]}."
    sentence = next((sentence for pattern, sentence in FOLDER_MEMBERS if any(path.glob(pattern))), "")
    return f"The folder {path.name} {sentence}" if sentence else ""


def _content_sentence(path: Path) -> str:
    """Return what a file is by its first bytes, and what to do."""
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
    if start.startswith(PICKLE_MAGIC) and path.suffix not in {".pt", ".pth", ".bin", ".ckpt"}:
        return PICKLE
    return ""


def _archive_sentence(path: Path) -> str:
    """Return what a zip archive is by the names in it, and what to do; "" for a Keras model or an unknown archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return ""
    inner = {name.partition("/")[2] for name in names}
    if any(name in KERAS_MEMBERS for name in names):
        return ""
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return TORCHSCRIPT
    if any(name.endswith(EXPORTED_MEMBERS) for name in names):
        return EXPORTED
    if "data.pkl" in inner:
        return PYTORCH
    if names and all(name.endswith(".npy") for name in names):
        return SUFFIX_SENTENCES[".npz"]
    return next(filter(None, map(_packed_model_sentence, names)), "")


def _packed_model_sentence(name: str) -> str:
    """Return what to do with an archive that holds a model under this name."""
    *folders, file = name.split("/")
    if file == "saved_model.pb":
        return "is a zip archive with a SavedModel; unpack it and give the folder that holds saved_model.pb."
    if file == "Manifest.json" and len(folders) <= 1:
        return "is a zip archive with a Core ML package; unpack it and give the .mlpackage folder."
    if file.endswith((".keras", ".h5", ".mlmodel")):
        return f"is a zip archive with {file}; unpack it and give that file."
    return ""
