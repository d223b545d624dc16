"""Identify the format of a user's model file, and check that it can be opened safely.

A Keras file can contain code: a Lambda layer is marshalled Python, and some layers read files or load pickles that the
configuration names. The configuration is searched for these before Keras opens the file.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from coremlbench.model_files.custom_objects import custom_objects_message
from coremlbench.model_files.foreign_formats import describe_foreign
from coremlbench.types.errors import InputError

Format = Literal["keras", "h5", "keras-2", "saved-model", "mlpackage", "mlmodel", "onnx", "npz"]
"""``keras-2`` is a model that Keras 2 saved, in either kind of file; see ``keras_versions``."""

TENSORFLOW_FORMATS = ("keras", "h5", "keras-2", "saved-model")
"""The formats that are opened with TensorFlow; for the others there is no need to import it."""

CHECK_FORMATS: dict[Format, str] = {
    "onnx": "coremltools 9.0 has no converter for ONNX; convert the model that it was exported from",
    "npz": "a NumPy archive holds what a model predicted, not the model",
}
"""The formats that a package can be compared with and that are not converted, with the reason for that."""

SUFFIXES = {"keras": (".keras",), "h5": (".h5", ".hdf5")}
"""The suffixes by which Keras recognises a file's format."""
NAMED_FORMATS: dict[str, Format] = {".mlmodel": "mlmodel", ".onnx": "onnx"}
"""Formats without a mark at their start: the suffix tells them, and the process that opens them checks the content."""
PROMISED_CONTENT = {**dict.fromkeys((".keras", ".h5", ".hdf5"), "Keras model"), ".npz": "NumPy archive"}
"""What a file with this suffix should be, for the message when it is not."""
WEIGHTS = "model.weights.h5"
"""The member of a Keras archive that contains its arrays."""

CONFIG_BYTES = 64 << 20
"""The most bytes of a configuration; that of the largest Keras application is below a megabyte."""
MAX_EXPANSION = 200
BOMB_BYTES = 1 << 30
"""A zip file that expands more than MAX_EXPANSION times, to more than BOMB_BYTES, is rejected as a zip bomb."""

CODE_LAYERS = {
    "Lambda": "holds Python code",
    "__lambda__": "holds Python code",
    "TorchModuleWrapper": "holds a pickle",
    "TFSMLayer": "loads another SavedModel",
    "JaxLayer": "holds a function of JAX",
    "FlaxLayer": "holds a function of JAX",
}
"""Keras classes that run code of a file. See keras.io/api/models/model_saving_apis, "safe_mode"."""

KERAS_EXTENSIONS = frozenset({"keras_hub", "keras_cv", "keras_nlp"})
"""Packages that Keras imports by itself when a model file names their classes; they have to be installed."""


def identify_format(path: Path, results: Path | None = None) -> Format:
    """Return the format of a model file or folder, by its content if possible, else by its suffix.

    Messages advise commands for the folder of records ``results``.

    Raises:
        InputError: there is no file, or it is not a model that can be converted; the message says what it is.
    """
    foreign = describe_foreign(path, results)
    if not path.exists():
        raise InputError(
            foreign or f"There is no model at {path}; give an experiment, the id of a run, or the path of a model."
        )
    if path.is_dir():
        return _identify_folder(path, foreign)
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty; save or copy the model again.")
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if start.startswith(b"PK") and _is_numpy_archive(path):
        return "npz"
    if start.startswith(b"PK") and not foreign:
        return "keras"
    if path.suffix in NAMED_FORMATS:
        return NAMED_FORMATS[path.suffix]
    if path.suffix in PROMISED_CONTENT and not start.startswith(b"PK"):
        raise InputError(
            f"{path.name} is not the {PROMISED_CONTENT[path.suffix]} its name promises: it is truncated or another "
            "kind of file; save or copy it again."
        )
    raise InputError(
        foreign
        or f"{path.name} is no model that can be converted; give a .keras or .h5 file, a SavedModel folder, an "
        ".mlpackage or an .mlmodel."
    )


def _is_numpy_archive(path: Path) -> bool:
    """Return whether a zip archive is one of NumPy's: all of its members are arrays; a damaged one by its suffix."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return path.suffix == ".npz"
    return path.suffix == ".npz" if not names else all(name.endswith(".npy") for name in names)


def _identify_folder(path: Path, foreign: str) -> Format:
    if (path / "saved_model.pb").is_file():
        return "saved-model"
    if path.suffix == ".mlpackage" or (path / "Manifest.json").is_file():
        return "mlpackage"
    if path.suffix == ".mlmodelc":
        raise InputError(
            f"{path.name} is a compiled model, which only Core ML reads; give the .mlpackage it was compiled from."
        )
    raise InputError(
        foreign
        or f"The folder {path.name} holds no model: it has neither a saved_model.pb nor a Manifest.json; give a "
        "SavedModel folder or an .mlpackage."
    )


def check(path: Path, kind: Format, *, allow_code: bool, custom_objects: bool = False) -> None:
    """Raise ``InputError`` if a model file is damaged, or needs what was not allowed or given.

    ``custom_objects`` tells that a file with the model's own classes was given. SavedModels are checked in the process
    that opens them (``saved_model_ops``), as that needs TensorFlow.
    """
    if kind == "npz":
        _check_expansion(path)
    if kind not in SUFFIXES:
        return
    _check_one_format(path)
    config = read_config(path, kind)
    classes = custom_classes(config)
    if classes and not (allow_code and custom_objects):
        raise InputError(custom_objects_message(path.name, "class", classes, allow_code=allow_code))
    if not allow_code:
        for reason in _code_reasons(config):
            raise InputError(
                f"{path.name} {reason}, which would run on this machine; if you trust where it comes from, "
                "convert it with --allow-code."
            )


def needed_objects(path: Path) -> tuple[str, ...]:
    """Return the names of the classes and registered functions that a Keras file needs and that are no part of Keras.

    They are names as Keras registers them, ``package>name`` for one that was registered in a package. A function that
    was not registered cannot be told from one of Keras's.

    Raises:
        InputError: it is no readable Keras file.
    """
    kind = identify_format(path)
    if kind == "keras":
        with readable(path), zipfile.ZipFile(path) as archive:  # without the weights, which were checked before
            config = json.loads(archive.read("config.json"))
    else:
        config = read_config(path, kind)
    functions = [part.get("config") for part in dictionaries(config) if part.get("class_name") == "function"]
    registered = [name for name in functions if isinstance(name, str) and ">" in name]
    return tuple(dict.fromkeys([*custom_classes(config), *registered]))


@contextmanager
def with_format_suffix(path: Path) -> Iterator[Path]:
    """Give a path of a model file with the suffix of its format: the file itself, or a temporary link to it.

    Keras needs the suffix; files of other formats than Keras's are given as they are.

    Raises:
        InputError: it is not a model.
    """
    suffixes = SUFFIXES.get(identify_format(path))
    if suffixes is None or path.name.endswith(suffixes):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"{path.stem or 'model'}{suffixes[0]}"
        try:
            link.symlink_to(path.absolute())
        except OSError:  # a file system, or a Windows account, without links
            shutil.copyfile(path, link)
        yield link


def _check_one_format(path: Path) -> None:
    """Reject a file that is a zip archive and HDF5 at once: Keras might open it as the other one."""
    import h5py

    if zipfile.is_zipfile(path) and h5py.is_hdf5(path):
        raise InputError(
            f"{path.name} is a zip archive and an HDF5 file at once, as no model is that was saved; it is not opened."
        )


def _check_expansion(path: Path) -> None:
    """Reject a NumPy archive that is damaged or a zip bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            expanded, size = sum(entry.file_size for entry in archive.infolist()), path.stat().st_size
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{path.name} is a truncated or damaged NumPy archive; write or copy it again.") from error
    if expanded > max(BOMB_BYTES, MAX_EXPANSION * size):
        raise InputError(
            f"{path.name} would expand from {size / 1e6:.1f} MB to {expanded / 1e6:,.0f} MB; it is not opened: write "
            "it with numpy.savez, uncompressed."
        )


def read_config(path: Path, kind: Format) -> Any:
    """Return the configuration of a ``keras`` or ``h5`` file as JSON values.

    Raises:
        InputError: the file is damaged, holds no whole model, or has arrays in other files.
    """
    return _keras_config(path) if kind == "keras" else _h5_config(path)


def _keras_config(path: Path) -> Any:
    import h5py

    with readable(path), zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        _check_entries(path, entries)
        with tempfile.TemporaryDirectory() as folder:
            weights = archive.extract(WEIGHTS, folder)
            if h5py.is_hdf5(weights):  # Keras reports other files
                with h5py.File(weights, "r") as file:
                    _check_links(file, path.name)
        return json.loads(archive.read("config.json"))


def _check_entries(path: Path, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    """Reject a zip archive that is not a Keras model, is a zip bomb, or contains a pickle."""
    for name, missing in (("config.json", "no configuration"), (WEIGHTS, "no weights")):
        if name not in entries:
            raise InputError(f"{path.name} is a zip archive, but no Keras model: it holds {missing} ({name}).")
    expanded, size = sum(entry.file_size for entry in entries.values()), path.stat().st_size
    if expanded > max(BOMB_BYTES, MAX_EXPANSION * size) or entries["config.json"].file_size > CONFIG_BYTES:
        raise InputError(
            f"{path.name} would expand from {size / 1e6:.1f} MB to {expanded / 1e6:,.0f} MB, as no model does; it is "
            "not opened."
        )
    for name in entries:
        if name.endswith((".pkl", ".pickle")):
            raise InputError(f"{path.name} holds a pickle ({name}), which is never opened.")


def _h5_config(path: Path) -> Any:
    import h5py

    with readable(path), h5py.File(path, "r") as file:
        _check_links(file, path.name)
        if "model_config" not in file.attrs:
            raise InputError(f"{path.name} holds no whole model of Keras, weights at most; save the whole model.")
        return json.loads(file.attrs["model_config"])


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the exceptions of damaged files into ``InputError``; that of our own checks passes."""
    try:
        yield
    except InputError:
        raise
    except Exception as problem:  # zipfile, zlib, json and h5py raise many kinds
        raise InputError(
            f"{path.name} cannot be read as a Keras model ({type(problem).__name__}: {problem}); it is truncated or "
            "damaged: save or copy it again."
        ) from problem


def _check_links(file: Any, name: str) -> None:
    """Reject an HDF5 file with arrays in other files, which would be read with it."""
    import h5py

    def external_link(place: str, link: Any) -> str | None:
        return f"{place} from another file ({link.filename})" if isinstance(link, h5py.ExternalLink) else None

    def external_storage(place: str, item: Any) -> str | None:
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            files = item.virtual_sources() if item.is_virtual else item.external
            names = sorted({file.file_name if item.is_virtual else file[0] for file in files})
            return f"{place} from another file ({', '.join(names)})"
        return None

    # h5py does not pass on exceptions of a visit unchanged
    problem = file.visititems_links(external_link) or file.visititems(external_storage)
    if problem is not None:
        raise InputError(f"{name} takes {problem}; save the model as one file.")


def custom_classes(config: Any) -> tuple[str, ...]:
    """Return the names of the classes in a model's configuration that are no part of Keras, as they are registered.

    ``package>Name`` is a class that was registered in a package. A configuration without modules, as in ``.h5``
    files, shows only those. Losses and metrics are left out: models are opened without them.
    """
    names: dict[str, None] = {}
    network = (
        {key: value for key, value in config.items() if key != "compile_config"} if isinstance(config, dict) else {}
    )
    for part in dictionaries(network):
        kind = part.get("class_name")
        if isinstance(kind, str) and not kind.startswith(("__", "function")) and _is_custom(part, kind):
            registered = part.get("registered_name")
            names[registered if isinstance(registered, str) else kind] = None
    return tuple(names)


def _is_custom(part: dict[str, Any], kind: str) -> bool:
    """Return whether a part of a configuration is of a class that is no part of Keras or of its extensions."""
    if "module" not in part:
        return ">" in kind
    module, registered = part["module"], part.get("registered_name")
    if not isinstance(module, str):
        return True
    if _is_keras(module):
        return isinstance(registered, str) and ">" in registered
    return module.split(".", maxsplit=1)[0] not in KERAS_EXTENSIONS


def _code_reasons(config: Any) -> Iterator[str]:
    """Yield a reason for each part of a configuration that contains code, or names a module or a file."""
    for part in dictionaries(config):
        kind = part.get("class_name")
        if isinstance(kind, str):
            name = layer_name(part)
            class_name = kind.rpartition(">")[2]
            if class_name in CODE_LAYERS:
                yield f"has a layer {name or kind} of the kind {class_name}, which {CODE_LAYERS[class_name]}"
            module = part.get("module")
            if isinstance(module, str) and not _is_keras(module):
                yield f"takes {kind} from the module {module}"
        for key in ("vocabulary", "vocabulary_file"):
            if isinstance(part.get(key), str):
                yield f"reads the file {part[key]}"


def _is_keras(module: str) -> bool:
    return module == "builtins" or module.split(".", maxsplit=1)[0] in {"keras", "keras_core", "tf_keras"}


def layer_name(layer: dict[str, Any]) -> str:
    """Return the name of a layer from its part of a configuration, empty where it has none."""
    config = layer.get("config")
    return str(config.get("name", "")) if isinstance(config, dict) else ""


def dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all dictionaries in a JSON value, the outer ones first. Not recursive, so any depth is possible."""
    queue = [value]
    while queue:
        item = queue.pop()
        if isinstance(item, dict):
            yield item
            queue.extend(item.values())
        elif isinstance(item, list):
            queue.extend(item)
