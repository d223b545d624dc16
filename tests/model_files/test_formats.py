import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coremlbench.model_files.formats import check, identify_format, needed_objects
from coremlbench.types.errors import InputError

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense"}, "registered_name": None}


def config(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}, "registered_name": None}


def keras_file(path: Path, content: Any, **others: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", content if isinstance(content, bytes) else json.dumps(content))
        for name, data in {"model.weights.h5": b"weights", **others}.items():
            archive.writestr(name, data)
    return path


def h5_file(path: Path, content: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(content)
    return path


CODE = [
    ({"module": "keras.layers", "class_name": "Lambda", "config": {"name": "twice"}}, "a layer twice .*holds Python"),
    ({"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}, "holds Python code"),
    ({"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}}, "holds a pickle"),
    ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}}, "loads another SavedModel"),
    ({"module": "keras_hub.layers", "class_name": "Dense", "config": {}}, "takes Dense from the module keras_hub"),
    (
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
        "reads the file /etc/passwd",
    ),
]


CUSTOM: list[Any] = [
    ({"module": "os", "class_name": "system", "config": "true"}, "system"),
    ({"module": "kerasx.layers", "class_name": "Dense", "config": {}}, "Dense"),
    ({"class_name": "Mine>Block", "config": {"name": "block"}}, "Block"),
    ({"module": None, "class_name": "Scale", "config": {}, "registered_name": "Scale"}, "Scale"),
    ({"module": "builtins", "class_name": "Gate", "config": {}, "registered_name": "pack>Gate"}, "Gate"),
]
"""Layers whose classes are no part of Keras, and the names of those."""


@pytest.mark.parametrize(("layer", "name"), CUSTOM)
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_class_that_is_no_part_of_keras_is_named_until_it_is_given(
    tmp_path: Path, kind: str, layer: dict[str, Any], name: str
) -> None:
    make = keras_file if kind == "keras" else h5_file
    path = make(tmp_path / f"model.{kind}", config(DENSE, config(DENSE, layer)))
    wanted = f"needs the class {name}, which is no part of Keras; give a Python file that defines it"
    with pytest.raises(InputError, match=f"{wanted}, and allow its code: --custom-objects FILE.py --allow-code"):
        check(path, identify_format(path), allow_code=False)
    with pytest.raises(InputError, match=f"{wanted}: --custom-objects FILE.py"):
        check(path, identify_format(path), allow_code=True)
    check(path, identify_format(path), allow_code=True, custom_objects=True)
    with pytest.raises(InputError, match=wanted):
        check(path, identify_format(path), allow_code=False, custom_objects=True)


def test_losses_and_metrics_of_ones_own_are_not_needed(tmp_path: Path) -> None:
    loss: dict[str, Any] = {"module": None, "class_name": "MyLoss", "config": {}, "registered_name": "MyLoss"}
    path = keras_file(tmp_path / "m.keras", {**config(DENSE), "compile_config": {"loss": loss}})
    check(path, "keras", allow_code=False)
    assert needed_objects(path) == ()


def test_registered_functions_are_needed_under_their_whole_names(tmp_path: Path) -> None:
    function: dict[str, Any] = {
        "module": "builtins",
        "class_name": "function",
        "config": "pack>twice",
        "registered_name": "function",
    }
    path = keras_file(tmp_path / "m.keras", config({**DENSE, "config": {"activation": function}}, CUSTOM[4][0]))
    assert sorted(needed_objects(path)) == ["pack>Gate", "pack>twice"]


@pytest.mark.parametrize(("layer", "sentence"), CODE)
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_model_with_code_is_refused_unless_it_is_allowed(
    tmp_path: Path, kind: str, layer: dict[str, Any], sentence: str
) -> None:
    nested = config(DENSE, config(DENSE, layer))  # inside a model inside a model
    make = keras_file if kind == "keras" else h5_file
    path = make(tmp_path / f"model.{kind}", nested)
    assert identify_format(path) == kind
    with pytest.raises(InputError, match=f"{sentence}.*--allow-code"):
        check(path, identify_format(path), allow_code=False)
    check(path, identify_format(path), allow_code=True)


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_model_without_code_passes(tmp_path: Path, kind: str) -> None:
    make = keras_file if kind == "keras" else h5_file
    path = make(tmp_path / "model of mine", config(DENSE, DENSE))
    assert identify_format(path) == kind  # by its content
    check(path, identify_format(path), allow_code=False)


@pytest.mark.long
def test_a_zip_bomb_is_not_opened(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "bomb.keras", config(DENSE))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1000))
        archive.getinfo("zeros").file_size = 1200 << 20  # as its directory says; nothing is unpacked
    with pytest.raises(InputError, match=r"would expand from .* MB to 1,258 MB, as no model does"):
        check(path, "keras", allow_code=True)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    inside = keras_file(tmp_path / "model.keras", config(DENSE), **{"assets/weights.pkl": b"cos\nsystem\n"})
    with pytest.raises(InputError, match="holds a pickle"):
        check(inside, "keras", allow_code=True)
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=r"model.pkl is a pickle.*never opened"):
        identify_format(tmp_path / "model.pkl")


def test_a_file_that_reads_another_is_refused(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "model.h5", config(DENSE))
    with h5py.File(path, "a") as file:
        file["model_weights"] = h5py.ExternalLink("/etc/passwd", "/weights")
    with pytest.raises(InputError, match=r"takes .*model_weights.* from another file \(/etc/passwd\)"):
        check(path, "h5", allow_code=True)


def with_other_storage(path: Path, kind: str, folder: Path) -> Path:
    """Write HDF5 whose array is the content of another file, as external storage or as a virtual dataset."""
    (folder / "secret.bin").write_bytes(bytes(16))
    with h5py.File(folder / "secret.h5", "w") as file:
        file["w"] = np.zeros(4, np.float32)
    with h5py.File(path, "a") as file:
        group = file.create_group("layers/dense")
        if kind == "external":
            group.create_dataset("w", (4,), "f4", external=[(str(folder / "secret.bin"), 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "w", (4,))
            group.create_virtual_dataset("w", layout)
        else:
            group["w"] = h5py.ExternalLink(str(folder / "secret.h5"), "/w")
    return path


@pytest.mark.parametrize("kind", ["external", "virtual", "link"])
def test_arrays_that_lie_in_other_files_are_refused_in_archives_too(tmp_path: Path, kind: str) -> None:
    sentence = r"takes layers/dense/w from another file \(.*secret\.(bin|h5)\)"
    alone = with_other_storage(h5_file(tmp_path / "model.h5", config(DENSE)), kind, tmp_path)
    with pytest.raises(InputError, match=f"model.h5 {sentence}"):
        check(alone, "h5", allow_code=True)
    weights = with_other_storage(tmp_path / "weights.h5", kind, tmp_path).read_bytes()
    inside = keras_file(tmp_path / "model.keras", config(DENSE), **{"model.weights.h5": weights})
    with pytest.raises(InputError, match=f"model.keras {sentence}"):
        check(inside, "keras", allow_code=True)


def test_a_file_of_two_kinds_at_once_is_refused(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "poly.keras", config(DENSE))
    with zipfile.ZipFile(path, "a") as archive:  # Keras would take it for this
        archive.writestr("config.json", json.dumps(config({"class_name": "Mine>Block", "config": {}})))
        archive.writestr("model.weights.h5", b"weights")
    with pytest.raises(InputError, match=r"poly.keras is a zip archive and an HDF5 file at once"):
        check(path, identify_format(path), allow_code=True)
    plain = keras_file(tmp_path / "plain", config(DENSE)).read_bytes()
    path.write_bytes(plain + bytes(512 - len(plain) % 512))  # and HDF5 may begin later in a file
    size = 512 * 2 ** int(np.ceil(np.log2(path.stat().st_size / 512)))
    h5_file(tmp_path / "h5", config(DENSE))
    path.write_bytes((tmp_path / "h5").read_bytes().join([plain.ljust(size, b"\0"), plain]))
    assert h5py.is_hdf5(path)
    assert zipfile.is_zipfile(path)
    with pytest.raises(InputError, match=r"poly.keras is a zip archive and an HDF5 file at once"):
        check(path, identify_format(path), allow_code=True)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.keras", b"", "is empty"),
        ("text.keras", b"not a model at all", "not the Keras model its name promises"),
        ("text.h5", b"not a model at all", "not the Keras model its name promises"),
        ("picture.jpg", b"\xff\xd8\xff\xe0", "is no model that can be converted"),
        ("other.zip", b"PK\x03\x04", "cannot be read as a Keras model"),
    ],
)
def test_foreign_files(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        check(path, identify_format(path), allow_code=False)


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        identify_format(tmp_path)
    compiled = tmp_path / "model.mlmodelc"
    compiled.mkdir()
    with pytest.raises(InputError, match="compiled model"):
        identify_format(compiled)
    (tmp_path / "saved_model.pb").touch()
    assert identify_format(tmp_path) == "saved-model"


def test_numpy_archives_are_known_by_their_content(tmp_path: Path) -> None:
    np.savez(tmp_path / "io", input=np.zeros(3), output=np.zeros(3))
    (tmp_path / "io.npz").rename(tmp_path / "io.zip")
    assert identify_format(tmp_path / "io.zip") == "npz"
    check(tmp_path / "io.zip", "npz", allow_code=False)
    assert identify_format(keras_file(tmp_path / "model.npz", config(DENSE))) == "keras"
    for content, sentence in (
        (b"PK\x03\x04 cut", "is a truncated or damaged NumPy archive"),
        (b"text", "its name promises"),
    ):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match=f"bad.npz .*{sentence}"):
            check(tmp_path / "bad.npz", identify_format(tmp_path / "bad.npz"), allow_code=False)


@pytest.mark.long
def test_a_numpy_archive_that_expands_without_measure_is_not_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "io.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("input.npy", bytes(1000))
        archive.getinfo("input.npy").file_size = 1200 << 20  # as above
    with pytest.raises(InputError, match=r"io.npz would expand from .* MB to 1,258 MB; it is not opened"):
        check(tmp_path / "io.npz", identify_format(tmp_path / "io.npz"), allow_code=False)


def test_an_onnx_file_is_known_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09")
    assert identify_format(tmp_path / "model.onnx") == "onnx"


def a_model(kind: str, folder: Path) -> bytes:
    path = folder / f"whole.{kind}"
    if kind == "h5":
        h5_file(path, config(DENSE))
        with h5py.File(path, "a") as file:
            file["weights"] = np.arange(100)
    else:
        keras_file(path, config(DENSE))
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["keras", "h5"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.floats(0, 1), noise=st.binary(max_size=8), cut=st.booleans())
def test_a_damaged_file_gives_one_sentence_or_is_whole(
    tmp_path: Path, kind: str, place: float, noise: bytes, cut: bool
) -> None:
    content = a_model(kind, tmp_path)
    at = int(place * len(content))
    damaged = content[:at] if cut else content[:at] + noise + content[at + len(noise) :]
    path = tmp_path / f"model.{kind}"
    path.write_bytes(damaged)
    if cut and at < 0.5 * len(content):
        with pytest.raises(InputError, match=r"\.$"):
            check(path, identify_format(path), allow_code=False)
    else:
        with suppress(InputError):  # and nothing else
            check(path, identify_format(path), allow_code=False)
