"""Model files of the user's: which format one is, and whether it may be opened at all.

A Keras file can hold code: a Lambda layer is marshalled Python, some layers read files or load pickles that the
configuration names. All of that is looked for here, in the text of the configuration, before Keras sees the file.
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

from coremlbench.types.errors import InputError

Format = Literal["keras", "h5", "saved-model", "mlpackage", "mlmodel"]

SUFFIXES = {"keras": (".keras",), "h5": (".h5", ".hdf5")}
"""The suffixes by which Keras tells how a file is to be read."""
WEIGHTS = "model.weights.h5"
"""The entry of a Keras archive that holds its arrays."""

CONFIG_BYTES = 64 << 20
"""The configuration of the largest Keras application takes less than a megabyte."""
EXPANSION = 200
LARGE_BYTES = 1 << 30
"""A zip file that grows by more than EXPANSION to more than LARGE_BYTES is a bomb: weights hardly compress."""

PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt", ".npy", ".npz")

CODE_LAYERS = {
    "Lambda": "holds Python code",
    "__lambda__": "holds Python code",
    "TorchModuleWrapper": "holds a pickle",
    "TFSMLayer": "loads another SavedModel",
    "JaxLayer": "holds a function of JAX",
    "FlaxLayer": "holds a function of JAX",
}
"""Classes of Keras that run what a file brings. See keras.io/api/models/model_saving_apis, "safe_mode"."""


def identify_format(path: Path) -> Format:
    """Return the format of a model file or folder, by its content where that tells.

    Raises:
        InputError: there is nothing, or nothing that can be converted; the sentence says what it is instead.
    """
    if not path.exists():
        raise InputError(f"There is no model at {path}; give an experiment, the id of a run, or the path of a model.")
    if path.is_dir():
        return _identify_folder(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty; save or copy the model again.")
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if start.startswith(b"PK"):
        return "keras"
    if path.suffix == ".mlmodel":
        return "mlmodel"
    if path.suffix in {".keras", ".h5", ".hdf5"}:
        raise InputError(
            f"{path.name} is not the Keras model its name promises: it is truncated or another kind of file; "
            "save or copy it again."
        )
    if path.suffix in PICKLES:
        raise InputError(
            f"{path.name} may hold a pickle, which runs code when it is loaded and is never opened; save the model "
            "as .keras or as a SavedModel."
        )
    raise InputError(
        f"{path.name} is no model that can be converted; give a .keras or .h5 file, a SavedModel folder, an "
        ".mlpackage or an .mlmodel."
    )


def _identify_folder(path: Path) -> Format:
    if (path / "saved_model.pb").is_file():
        return "saved-model"
    if path.suffix == ".mlpackage" or (path / "Manifest.json").is_file():
        return "mlpackage"
    if path.suffix == ".mlmodelc":
        raise InputError(
            f"{path.name} is a compiled model, which only Core ML reads; give the .mlpackage it was compiled from."
        )
    raise InputError(
        f"The folder {path.name} holds no model: it has neither a saved_model.pb nor a Manifest.json; give a "
        "SavedModel folder or an .mlpackage."
    )


def check(path: Path, kind: Format, *, allow_code: bool) -> None:
    """Raise ``InputError`` when a model file is broken, or holds code that was not allowed.

    SavedModels are checked by the child that opens them (``saved_graph``): reading their operations takes TensorFlow.
    """
    if kind in SUFFIXES:
        _check_one_kind(path)
    if kind == "keras":
        config = _keras_config(path)
    elif kind == "h5":
        config = _h5_config(path)
    else:
        return
    if not allow_code:
        for reason in _code_in(config):
            raise InputError(
                f"{path.name} {reason}, which would run on this machine; if you trust where it comes from, "
                "convert it with --allow-code."
            )


@contextmanager
def with_format_suffix(path: Path) -> Iterator[Path]:
    """Give the path of a Keras file under a suffix that tells what it is: a link to it where its own does not.

    Raises:
        InputError: it is no Keras file.
    """
    wanted = SUFFIXES.get(identify_format(path))
    if wanted is None or path.name.endswith(wanted):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"{path.stem or 'model'}{wanted[0]}"
        try:
            named.symlink_to(path.absolute())
        except OSError:  # a file system, or a Windows account, without links
            shutil.copyfile(path, named)
        yield named


def _check_one_kind(path: Path) -> None:
    """Refuse a file that is a zip archive and HDF5 at once: what was looked at might not be what is loaded."""
    import h5py

    if zipfile.is_zipfile(path) and h5py.is_hdf5(path):
        raise InputError(
            f"{path.name} is a zip archive and an HDF5 file at once, as no model is that was saved; it is not opened."
        )


def _keras_config(path: Path) -> Any:
    import h5py

    with _readable(path), zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        _check_entries(path, entries)
        with tempfile.TemporaryDirectory() as folder:
            weights = archive.extract(WEIGHTS, folder)
            if h5py.is_hdf5(weights):  # what is none fails in Keras
                with h5py.File(weights, "r") as file:
                    _check_links(file, path.name)
        return json.loads(archive.read("config.json"))


def _check_entries(path: Path, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    """Refuse a zip archive that is no Keras model, that is a bomb, or that brings a pickle."""
    for name, what in (("config.json", "no configuration"), (WEIGHTS, "no weights")):
        if name not in entries:
            raise InputError(f"{path.name} is a zip archive, but no Keras model: it holds {what} ({name}).")
    expanded, size = sum(entry.file_size for entry in entries.values()), path.stat().st_size
    if expanded > max(LARGE_BYTES, EXPANSION * size) or entries["config.json"].file_size > CONFIG_BYTES:
        raise InputError(
            f"{path.name} would expand from {size / 1e6:.1f} MB to {expanded / 1e6:,.0f} MB, as no model does; it is "
            "not opened."
        )
    for name in entries:
        if name.endswith((".pkl", ".pickle")):
            raise InputError(f"{path.name} holds a pickle ({name}), which is never opened.")


def _h5_config(path: Path) -> Any:
    import h5py

    with _readable(path), h5py.File(path, "r") as file:
        _check_links(file, path.name)
        if "model_config" not in file.attrs:
            raise InputError(f"{path.name} holds no whole model of Keras, weights at most; save the whole model.")
        return json.loads(file.attrs["model_config"])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever foreign or damaged bytes lead to into one sentence; sentences of our own pass."""
    try:
        yield
    except InputError:
        raise
    except Exception as problem:  # what zipfile, zlib, json and h5py raise is not one family
        raise InputError(
            f"{path.name} cannot be read as a Keras model ({type(problem).__name__}: {problem}); it is truncated or "
            "damaged: save or copy it again."
        ) from problem


def _check_links(file: Any, name: str) -> None:
    """Refuse a file whose arrays lie in other files: reading it would read those."""
    import h5py

    def elsewhere(place: str, link: Any) -> str | None:
        return f"{place} from another file ({link.filename})" if isinstance(link, h5py.ExternalLink) else None

    def stored(place: str, item: Any) -> str | None:
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            files = item.virtual_sources() if item.is_virtual else item.external
            names = sorted({each.file_name if item.is_virtual else each[0] for each in files})
            return f"{place} from another file ({', '.join(names)})"
        return None

    # what is raised in a visit does not come through whole
    found = file.visititems_links(elsewhere) or file.visititems(stored)
    if found is not None:
        raise InputError(f"{name} takes {found}; save the model as one file.")


def _code_in(config: Any) -> Iterator[str]:
    """Give a reason for each part of a configuration that brings or names code."""
    for each in _dictionaries(config):
        kind = each.get("class_name")
        if isinstance(kind, str):
            name = _layer_name(each)
            plain = kind.rpartition(">")[2]
            if plain in CODE_LAYERS:
                yield f"has a layer {name or kind} of the kind {plain}, which {CODE_LAYERS[plain]}"
            module = each.get("module")
            if isinstance(module, str) and not _is_keras(module):
                yield f"takes {kind} from the module {module}"
            elif ">" in kind or (each.get("registered_name") not in {None, kind} and module is None):
                yield f"needs the class {kind}, which is no part of Keras"
        for key in ("vocabulary", "vocabulary_file"):
            if isinstance(each.get(key), str):
                yield f"reads the file {each[key]}"


def _is_keras(module: str) -> bool:
    return module == "builtins" or module.split(".", maxsplit=1)[0] in {"keras", "keras_core", "tf_keras"}


def _layer_name(layer: dict[str, Any]) -> str:
    config = layer.get("config")
    return str(config.get("name", "")) if isinstance(config, dict) else ""


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """Give every dictionary inside a value of JSON, from the outside in; without recursion, however deep it is."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)
