"""Datasets of small images: four ``.npy`` files, the sources they are read from, and safe readers.

A dataset has a list of sources in order of preference. The first one that is available is read, checked and saved as
``.npy`` files, whose paths are passed to the workers.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import os
import pickle
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.system.connections import open_url
from coremlbench.system.downloads import download, ignore_progress
from coremlbench.system.formatting import format_count
from coremlbench.types.data import ArraySet, Provenance
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.archives import ARCHIVE_ERRORS
from coremlbench_datasets.interface import DatasetSummary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = ("train_images", "train_labels", "test_images", "test_labels")
REACH_SECONDS = 4.0
"""Seconds to wait for a server's first answer; short, so that a machine without a network fails soon."""


_UNREADABLE: tuple[type[Exception], ...] = (
    *(CoremlbenchError, OSError, KeyError, TypeError, ValueError, pickle.UnpicklingError),
    *ARCHIVE_ERRORS,
)
"""The exceptions of reading a source that is missing or has another content than expected."""


class UnavailableError(CoremlbenchError):
    """A source of a dataset is not available; the message is shown only if all other sources fail too."""


@dataclass(frozen=True)
class Splits:
    """A dataset as read: uint8 images (n, height, width) or (n, height, width, channels), int64 labels (n,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    provenance: Provenance


@dataclass(frozen=True)
class ArrayDataset:
    """A dataset of small images with a fixed test set.

    Each of ``sources`` reads it from one place, given a folder for downloads and a function for progress. ``read``
    reads it from a file or folder of the user's. ``missing`` is the message if no source is available: what to
    download, where to put it.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train: int
    test: int
    sources: tuple[Callable[[Path, ReportProgress], Splits], ...]
    read: Callable[[Path], Splits]
    missing: str

    def prepare(
        self,
        cache: Path,
        report: ReportProgress | None = None,
        *,
        train: int | None = None,
        test: int | None = None,
        source: Path | None = None,
    ) -> ArraySet:
        """Return the dataset as files under ``cache``, of which the first ``train`` and ``test`` rows are used.

        ``None`` means all rows. A smaller subset is always a part of a larger one.

        Raises:
            InputError: no source is available, ``source`` is not this dataset, or it has fewer rows than requested.
        """
        folder = cache / "arrays" / (self.name if source is None else f"{self.name}-{_fingerprint(source)}")
        if not (folder / "about.json").is_file():
            _save(self._read_first(source, cache, report or ignore_progress), folder)
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        counts = {"train": about["train"] if train is None else train, "test": about["test"] if test is None else test}
        for split, count in counts.items():
            if not 0 < count <= about[split]:
                raise InputError(
                    f"{self.title} has {format_count(about[split], f'{split} image')}, and {count:,} were asked for."
                )
        return ArraySet(
            name=self.name,
            classes=self.classes,
            train_images=folder / "train_images.npy",
            train_labels=folder / "train_labels.npy",
            test_images=folder / "test_images.npy",
            test_labels=folder / "test_labels.npy",
            train=counts["train"],
            test=counts["test"],
            provenance=Provenance(**about["provenance"]),
        )

    def summary(self, cache: Path) -> DatasetSummary:
        """Return the row of the dataset in a list, without reading it."""
        images = self.train + self.test
        cached = images if (cache / "arrays" / self.name / "about.json").is_file() else 0
        description = f"For coremlbench train: {self.train:,} training and {self.test:,} test pictures, downloaded."
        return DatasetSummary(self.name, self.title, description, images, len(self.classes), None, cached)

    def _read_first(self, source: Path | None, cache: Path, report: ReportProgress) -> Splits:
        """Return the dataset from the user's source, or else from the first one that is available."""
        if source is not None:
            try:
                return self._checked(self.read(source))
            except _UNREADABLE as error:
                raise InputError(f"{source} cannot be read as {self.title}: {error} {self.missing}") from error
        reasons = []
        for read in self.sources:
            try:
                return self._checked(read(cache / "downloads", report))
            except _UNREADABLE as error:  # noqa: PERF203 - three sources at most
                reasons.append(str(error) or type(error).__name__)
        raise InputError(f"{self.title} cannot be had here: {' '.join(reasons)} {self.missing}")

    def _checked(self, splits: Splits) -> Splits:
        """Return the splits; raises ``UnavailableError`` if images, labels and classes do not match."""
        for images, labels in (
            (splits.train_images, splits.train_labels),
            (splits.test_images, splits.test_labels),
        ):
            if len(images) != len(labels) or not len(images):
                raise UnavailableError(
                    f"it has {format_count(len(images), 'image')} and {format_count(len(labels), 'label')}."
                )
            if labels.min() < 0 or labels.max() >= len(self.classes):
                raise UnavailableError(f"it has labels from {labels.min()} to {labels.max()}.")
        return splits


def _save(splits: Splits, folder: Path) -> None:
    """Write the four files and ``about.json`` to a temporary folder and rename it."""
    import numpy as np

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name in FILES:
            np.save(temporary / f"{name}.npy", getattr(splits, name))
        about = {
            "train": len(splits.train_labels),
            "test": len(splits.test_labels),
            "provenance": asdict(splits.provenance),
        }
        (temporary / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "about.json").is_file():  # otherwise another process has written the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fingerprint(source: Path) -> str:
    """Return a short hash of the paths, sizes and modification times of a file or folder.

    Raises:
        InputError: there is no such file or folder.
    """
    if not source.exists():
        raise InputError(f"There is no file or folder {source}; --source names the dataset's archive.")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    stamps = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:12]


def keras_folder() -> Path:
    """Return the folder of the datasets that Keras has downloaded."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def keras_copy(url: str, existing: Path, cache: Path, report: ReportProgress, sha256: str | None = None) -> Path:
    """Return the path of a file that Keras uses: ``existing`` if Keras has downloaded it, or a download in ``cache``.

    Raises:
        UnavailableError: Keras has not downloaded it, or another version, and its server does not answer.
    """
    if existing.is_file() and (sha256 is None or file_sha256(existing) == sha256):
        return existing
    try:
        open_url(url, REACH_SECONDS).close()
    except OSError as error:  # URLError is one
        raise UnavailableError(f"{url} does not answer ({getattr(error, 'reason', error)}).") from error
    return download(url, cache / url.rpartition("/")[2], sha256=sha256, report=report)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_npz(path: Path, provenance: Provenance) -> Splits:
    """Return the splits of a ``.npz`` file in Keras's naming: x_train, y_train, x_test, y_test."""
    import numpy as np

    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return Splits(
            file["x_train"],
            file["y_train"].astype(np.int64),
            file["x_test"],
            file["y_test"].astype(np.int64),
            replace(provenance, sha256=file_sha256(path)),
        )


def read_idx_folder(folder: Path, provenance: Provenance, sha256: dict[str, str] | None = None) -> Splits:
    """Return the splits of a folder that holds MNIST's four idx files, compressed or not.

    ``sha256`` are the hashes of the uncompressed files by name, which do not depend on the compression.

    Raises:
        UnavailableError: a file is missing or has another hash.
    """
    arrays, hashes = [], []
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        packed, plain = folder / f"{name}.gz", folder / name
        if packed.is_file():
            content = gzip.decompress(packed.read_bytes())
        elif plain.is_file():
            content = plain.read_bytes()
        else:
            raise UnavailableError(f"{folder} holds no {name}.gz.")
        hashes.append(hashlib.sha256(content).hexdigest())
        if sha256 is not None and hashes[-1] != sha256[name]:
            raise UnavailableError(f"{folder / name} is not the published file (sha256 {hashes[-1]}).")
        arrays.append(read_idx(content))
    combined = hashlib.sha256("".join(hashes).encode()).hexdigest()
    images, labels, test_images, test_labels = arrays
    return Splits(
        images, labels.astype("int64"), test_images, test_labels.astype("int64"), replace(provenance, sha256=combined)
    )


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """Return the array of an idx file: two zero bytes, the type (8: unsigned bytes), the rank, sizes, data.

    Raises:
        UnavailableError: it is not an idx file of bytes, or it is truncated.
    """
    import numpy as np

    rank = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * rank
    if not 1 <= rank <= 4 or len(content) < start:
        raise UnavailableError("it is no idx file of unsigned bytes.")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    if len(content) - start != math.prod(shape) or not all(shape):
        raise UnavailableError(f"its header promises {shape} bytes and it holds {len(content) - start:,}.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


_ALLOWED_IN_PICKLES = {
    "_codecs": {"encode"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct"},
    "numpy._core.multiarray": {"_reconstruct"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
}
"""The only functions and classes that pickles may use, by module: enough for containers and NumPy arrays."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _ALLOWED_IN_PICKLES.get(module, ()):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data do not need; it is not read.")
        # NumPy warns about the module names of other versions.
        return super().find_class(_installed_module(module), name)


def _installed_module(module: str) -> str:
    """Return the name in the installed NumPy of a NumPy module in a pickle."""
    import numpy as np

    if not module.startswith(("numpy.core", "numpy._core")):
        return module
    new = int(np.__version__.partition(".")[0]) >= 2
    return module.replace("numpy.core", "numpy._core") if new else module.replace("numpy._core", "numpy.core")


def unpickle(content: bytes, *, encoding: str = "ASCII") -> Any:
    """Return the object of a pickle of containers, strings, numbers and NumPy arrays.

    Raises:
        pickle.UnpicklingError: it uses anything else, which was not run.
    """
    return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()


def data_folders(name: str) -> Iterable[Path]:
    """Return the folders in which a package of the system may have installed a dataset (XDG data folders)."""
    for folder in (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
        yield Path(folder) / "datasets" / name
