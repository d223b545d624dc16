"""Small datasets that a network can learn, in the formats of the real ones: each class is a pattern, with noise."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CIFAR_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def pictures(count: int, shape: tuple[int, ...], seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures of ten kinds (n, *shape), and their labels in turn."""
    patterns = np.random.default_rng(7).random((10, *shape))
    labels = np.arange(count) % 10
    noise = np.random.default_rng(seed).random((count, *shape))
    return (255 * (0.6 * patterns[labels] + 0.4 * noise)).astype(np.uint8), labels


def mnist_file(path: Path, train: int, test: int) -> Path:
    """Write an archive as Keras has MNIST."""
    x_train, y_train = pictures(train, (28, 28), 1)
    x_test, y_test = pictures(test, (28, 28), 2)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def fashion_folder(path: Path, train: int, test: int) -> Path:
    """Write the four idx files of Fashion-MNIST."""
    path.mkdir()
    for prefix, count, seed in (("train", train, 3), ("t10k", test, 4)):
        images, labels = pictures(count, (28, 28), seed)
        (path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return path


def idx(array: NDArray[Any]) -> bytes:
    """Return an array of bytes as an idx file."""
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype("u1").tobytes()


def cifar_batch(seed: int, rows: int = 20) -> dict[bytes, Any]:
    """Return a batch as CIFAR-10's archive holds it: planes of colour."""
    images, labels = pictures(rows, (32, 32, 3), seed)
    return {
        b"data": images.transpose(0, 3, 1, 2).reshape(rows, 3072),
        b"labels": labels.tolist(),
        b"batch_label": b"one of several",
    }


def cifar_archive(path: Path, *, rows: int = 20, replace: dict[str, bytes] | None = None, leave_out: str = "") -> Path:
    """Write an archive in CIFAR-10's format, ``rows`` in each of its six batches."""
    with tarfile.open(path, "w:gz") as archive:
        for seed, name in enumerate(CIFAR_BATCHES):
            if name == leave_out:
                continue
            content = (replace or {}).get(name) or pickle.dumps(cifar_batch(seed, rows), protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def picture_folder(path: Path, train: int, test: int, *, side: int = 48, classes: int = 10) -> Path:
    """Write a folder of JPEGs, split and sorted by class, ``train`` and ``test`` of each."""
    from PIL import Image

    for split, count, seed in (("train", train, 5), ("test", test, 6)):
        images, labels = pictures(10 * count, (8, 8, 3), seed)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            if label < classes:
                file = path / split / f"kind {label}" / f"{number}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).resize((side + label, side), Image.Resampling.NEAREST).save(file, quality=90)
    return path
