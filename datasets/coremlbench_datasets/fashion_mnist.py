"""Fashion-MNIST: pictures of clothes, 60,000 to train and 10,000 to test, 28x28 grey."""

from __future__ import annotations

from pathlib import Path

from coremlbench.types.data import Provenance
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.arrays import (
    ArrayDataset,
    Splits,
    UnavailableError,
    data_folders,
    keras_copy,
    keras_folder,
    read_idx_folder,
)

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_LICENCE = "MIT (Zalando SE)"
# Of the uncompressed files, as Keras's and Debian's are compressed differently.
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def _from_keras_folder(_downloads: Path, _report: ReportProgress) -> Splits:
    provenance = Provenance("fashion-mnist", "Keras's copy", licence=_LICENCE)
    return read_idx_folder(keras_folder() / "fashion-mnist", provenance, _SHA256)


def _from_system(_downloads: Path, _report: ReportProgress) -> Splits:
    provenance = Provenance("fashion-mnist", "Debian's package dataset-fashion-mnist", licence=_LICENCE)
    for folder in data_folders("fashion-mnist"):
        if folder.is_dir():
            return read_idx_folder(folder, provenance, _SHA256)
    raise UnavailableError("Debian's package dataset-fashion-mnist is not installed.")


def _from_keras(downloads: Path, report: ReportProgress) -> Splits:
    folder = downloads / "fashion-mnist"
    for name in _SHA256:
        keras_copy(f"{_URL}{name}.gz", folder / f"{name}.gz", folder, report)
    return read_idx_folder(folder, Provenance("fashion-mnist", "Keras's copy", licence=_LICENCE), _SHA256)


def _read(source: Path) -> Splits:
    folder = source if source.is_dir() else source.parent
    return read_idx_folder(folder, Provenance("fashion-mnist", "a folder of the user's", licence=_LICENCE))


FASHION_MNIST = ArrayDataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    train=60_000,
    test=10_000,
    # Local sources come before downloads.
    sources=(_from_keras_folder, _from_system, _from_keras),
    read=_read,
    missing=(
        "Install Debian's package dataset-fashion-mnist, or fetch the four idx files, "
        "and give their folder with --source."
    ),
)
