"""CIFAR-10: small photographs, 50,000 to train and 10,000 to test, 32x32 RGB."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

from coremlbench.types.data import Provenance
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.archives import ARCHIVE_ERRORS, read_to_end
from coremlbench_datasets.arrays import ArrayDataset, Splits, UnavailableError, keras_copy, keras_folder, unpickle

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_LARGEST = 64 * 1024**2
"""The most bytes of an archive's member, twice the size of a batch of CIFAR-10."""


def _from_keras(downloads: Path, report: ReportProgress) -> Splits:
    for name in ("cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py"):
        folder = keras_folder() / name
        if (folder / _TEST).is_file():
            return read_folder(folder, "Keras's copy")
    existing = keras_folder() / "cifar-10-batches-py-target.tar.gz"
    return read_archive(keras_copy(_URL, existing, downloads, report, _SHA256), "Keras's copy")


def read_archive(path: Path, source: str) -> Splits:
    """Return the splits of an archive in CIFAR-10's Python format, without unpacking it to disk.

    Raises:
        UnavailableError: a batch is missing or too large, or the archive cannot be read.
        pickle.UnpicklingError: a batch contains other objects than arrays.
    """
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    batches: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if member.isfile() and name in {*_TRAIN, _TEST} and name not in batches:
                    content = archive.extractfile(member) if member.size <= _LARGEST else None
                    if content is None:
                        raise UnavailableError(f"{name} is {member.size:,} bytes, too large for a batch of CIFAR-10.")
                    batches[name] = content.read()
            read_to_end(archive)
    except ARCHIVE_ERRORS as error:
        raise UnavailableError(f"{path} is no archive: {error}.") from error
    note = "" if sha256 == _SHA256 else "not the published archive"
    return _splits(batches.get, Provenance("cifar10", source, sha256=sha256, note=note))


def read_folder(folder: Path, source: str) -> Splits:
    """Return the splits of a folder that holds the batches of CIFAR-10's archive.

    Raises:
        UnavailableError: a batch is missing.
        pickle.UnpicklingError: a batch contains other objects than arrays.
    """
    contents = {name: (folder / name).read_bytes() for name in (*_TRAIN, _TEST) if (folder / name).is_file()}
    sha256 = hashlib.sha256(b"".join(contents.values())).hexdigest()
    return _splits(contents.get, Provenance("cifar10", source, sha256=sha256))


def _splits(content: Callable[[str], bytes | None], provenance: Provenance) -> Splits:
    import numpy as np

    images, labels = [], []
    for name in (*_TRAIN, _TEST):
        packed = content(name)
        if packed is None:
            raise UnavailableError(f"there is no {name} in it.")
        batch = unpickle(packed, encoding="bytes")
        rows = np.asarray(batch[b"data"], np.uint8)
        if rows.ndim != 2 or rows.shape[1] != 3 * 32 * 32:
            raise UnavailableError(f"{name} holds data of shape {rows.shape}, not rows of 3072.")
        images.append(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))  # from channels first to channels last
        labels.append(np.asarray(batch[b"labels"], np.int64))
    return Splits(
        np.ascontiguousarray(np.concatenate(images[:-1])),
        np.concatenate(labels[:-1]),
        np.ascontiguousarray(images[-1]),
        labels[-1],
        provenance,
    )


def _read(source: Path) -> Splits:
    origin = "a file of the user's"
    return read_folder(source, origin) if source.is_dir() else read_archive(source, origin)


CIFAR10 = ArrayDataset(
    name="cifar10",
    title="CIFAR-10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    train=50_000,
    test=10_000,
    sources=(_from_keras,),
    read=_read,
    missing="Fetch cifar-10-python.tar.gz from its authors' page and give the file with --source.",
)
