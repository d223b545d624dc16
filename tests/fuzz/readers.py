"""The readers of untrusted files: what each does with the bytes of one input, and its first inputs.

An input is the content of one file. Where a reader takes a folder, or an archive, its first byte chooses the file that
the rest replaces in a whole one. A reader may raise what tells a user what is wrong (``CoremlbenchError``), and nothing
else. Nothing at the top of this module imports TensorFlow.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.conversion.sources import source_of_file
from coremlbench.model_files.formats import needed_objects
from coremlbench.runs import store
from coremlbench.types.errors import CoremlbenchError

ONE_PAGE_IN = 16
"""A page of a report takes longer than all else together, so only a share of the records has one."""
SEEDS = Path(__file__).with_name("seeds")
Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Reader:
    """A reader. ``prepare`` makes its folder ready and returns its first inputs and what reads one.

    ``is_json`` tells that inputs are JSON, after ``prefix`` bytes that choose a file.
    """

    name: str
    prepare: Callable[[Path], tuple[list[bytes], Read]]
    is_json: bool = False
    prefix: int = 0

    def known_inputs(self) -> list[bytes]:
        """Return the inputs that broke the reader in an earlier run."""
        folder = SEEDS / self.name
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def read_one(read: Read, data: bytes) -> str:
    """Read one input; return the message with which it was refused, "" when it was not.

    Raises:
        Exception: whatever the reader raised that is no ``CoremlbenchError``, which is a defect of the reader.
    """
    try:
        read(data)
    except CoremlbenchError as error:
        return str(error)
    return ""


# --- Core ML ------------------------------------------------------------------------------------------------


def core_ml_package(folder: Path) -> tuple[list[bytes], Read]:
    """Prepare the manifest, the specification and the weights of a small program, and a model file of its own."""
    from coremlbench.mil_onnx import load_program, to_onnx
    from coremlbench.mil_onnx.program import read_description
    from tests.mil_programs import Builder, package_of

    package, model = folder / "small.mlpackage", folder / "small.mlmodel"
    weight = np.linspace(-1, 1, 4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3)
    picture = np.zeros((1, 3, 8, 8), np.float32)
    package_of(package, lambda x: Builder.relu(x=Builder.conv(x=x, weight=weight)), {"x": picture})
    inside = package / "Data" / "com.apple.CoreML"
    files = [package / "Manifest.json", inside / "model.mlmodel", inside / "weights" / "weight.bin", model]
    model.write_bytes(files[1].read_bytes())
    whole = [file.read_bytes() for file in files]

    def read(data: bytes) -> None:
        if not data:
            return
        chosen = data[0] % len(files)
        path = model if files[chosen] == model else package
        files[chosen].write_bytes(data[1:])
        try:
            source_of_file(path)
            read_description(path)
            to_onnx(load_program(path))
        finally:
            files[chosen].write_bytes(whole[chosen])

    return [bytes([number]) + content for number, content in enumerate(whole)], read


# --- Keras --------------------------------------------------------------------------------------------------


def _layer(kind: str, **settings: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": settings, "registered_name": None}


KERAS_CONFIGS: tuple[Any, ...] = (
    {
        "module": "keras",
        "class_name": "Sequential",
        "registered_name": None,
        "config": {"name": "m", "layers": [_layer("InputLayer", batch_shape=[None, 4]), _layer("Dense", units=3)]},
        "compile_config": {"loss": "mse"},
    },
    {"class_name": "Functional", "config": {"layers": [{**_layer("Lambda", name="f"), "module": "builtins"}]}},
    {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"activation": "tf.nn.relu"}}]},
    {"class_name": "Sequential", "config": {"layers": [_layer("StringLookup", vocabulary="words.txt")]}},
)


def keras_archive(folder: Path) -> tuple[list[bytes], Read]:
    """Prepare the configuration, the weights and the whole of a ``.keras`` file."""
    path = folder / "small.keras"
    weights = _h5({})

    def archive(config: bytes, content: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
            made.writestr("config.json", config)
            made.writestr("model.weights.h5", content)
        return file.getvalue()

    configs = [json.dumps(config).encode() for config in KERAS_CONFIGS]
    makers: tuple[Callable[[bytes], bytes], ...] = (
        lambda data: archive(data, weights),
        lambda data: archive(configs[0], data),
        bytes,
    )

    def read(data: bytes) -> None:
        if data:
            path.write_bytes(makers[data[0] % len(makers)](data[1:]))
            source_of_file(path)
            needed_objects(path)

    first = [b"\0" + config for config in configs]
    return [*first, b"\1" + weights, b"\2" + archive(configs[0], weights)], read


def keras_h5(folder: Path) -> tuple[list[bytes], Read]:
    """Prepare the configuration and the whole of an ``.h5`` file."""
    path = folder / "small.h5"
    configs = [json.dumps(config).encode() for config in KERAS_CONFIGS]

    def read(data: bytes) -> None:
        if data:
            path.write_bytes(data[1:] if data[0] % 2 else _h5({"model_config": np.bytes_(data[1:])}))
            source_of_file(path)
            needed_objects(path)

    whole = _h5({"model_config": configs[0].decode(), "keras_version": "2.9.0"})
    return [*(b"\0" + config for config in configs), b"\1" + whole], read


def _h5(attributes: dict[str, Any]) -> bytes:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made.attrs.update(attributes)
        made["dense/kernel"] = np.ones((4, 3), np.float32)
    return file.getvalue()


# --- TensorFlow ---------------------------------------------------------------------------------------------


def saved_model(folder: Path) -> tuple[list[bytes], Read]:
    """Prepare the graph of a SavedModel, checked as it is before TensorFlow loads it."""
    from coremlbench.conversion.originals.saved_model import read_checked

    def read(data: bytes) -> None:
        (folder / "saved_model.pb").write_bytes(data)
        source_of_file(folder)
        read_checked(folder, allow_code=False)

    return [_graph("Placeholder", "Relu"), _graph("ReadFile"), _graph("SaveV2", "RestoreV2")], read


def _graph(*ops: str) -> bytes:
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    meta = saved.meta_graphs.add()
    for number, op in enumerate(ops):
        meta.graph_def.node.add(name=f"n{number}", op=op, input=[f"n{number - 1}:0"] if number else [])
    function = meta.graph_def.library.function.add()
    function.signature.name = "f"
    function.node_def.add(name="call", op="StatefulPartitionedCall").attr["f"].func.name = "f"
    meta.saver_def.restore_op_name = f"n{len(ops) - 1}"
    meta.saver_def.save_tensor_name = "call"
    return bytes(saved.SerializeToString())


# --- the project's own --------------------------------------------------------------------------------------


def kit(folder: Path) -> tuple[list[bytes], Read]:
    """Prepare the manifest of a kit of two packages."""
    from coremlbench.timing.kit import MANIFEST, read_kit, write_kit
    from coremlbench.timing.plan import FULL, TimingInput
    from tests.timed_packages import plain_package, timing_input_of

    packed, inputs = folder / "kit", folder / "inputs.npz"
    np.savez(inputs, x=np.zeros((2, 3)))
    made = timing_input_of([plain_package(folder / "made", name) for name in ("one", "two")])
    packages = tuple(replace(package, inputs=inputs) for package in made.packages)
    write_kit(TimingInput(made.models, packages), FULL, packed)
    manifest = packed / MANIFEST
    whole = manifest.read_bytes()

    def read(data: bytes) -> None:
        manifest.write_bytes(data)
        read_kit(packed)

    return [whole], read


def record(folder: Path) -> tuple[list[bytes], Read]:
    """Prepare records of every kind, read for a report and written in it."""
    from coremlbench.report.files import read_report
    from coremlbench.report.render import render_files
    from tests.record_samples import few

    run = folder / "results" / "20260101-000000-tinyvgg-abcd"
    run.mkdir(parents=True)
    kinds = {type(sample).__name__: sample for sample in few()}
    (run / store.RECORD_FILE).write_bytes(store.to_bytes(few()[0]))
    render_files(read_report([run.parent], folder / "report"), ("html",))  # Matplotlib asks a program for fonts, once

    def read(data: bytes) -> None:
        (run / store.RECORD_FILE).write_bytes(data)
        store.load_trainings(run.parent)
        page = ("html",) if zlib.crc32(data) % ONE_PAGE_IN == 0 else ()
        render_files(read_report([run.parent], folder / "report"), (*page, "md", "json"))

    return [store.to_bytes(sample) for sample in kinds.values()], read


READERS = {
    reader.name: reader
    for reader in (
        Reader("mlpackage", core_ml_package),
        Reader("keras", keras_archive, is_json=True, prefix=1),
        Reader("h5", keras_h5, is_json=True, prefix=1),
        Reader("saved-model", saved_model),
        Reader("kit", kit, is_json=True),
        Reader("record", record, is_json=True),
    )
}
