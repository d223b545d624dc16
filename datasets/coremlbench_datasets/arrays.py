"""What the datasets of small images share: four ``.npy`` files, the sources they come from, and safe readers.

A dataset lists its sources in order of preference; the first that can be had is read, checked and saved. The files
cross the process boundary, so that a worker needs nothing but their paths.
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
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.system.downloads import download, ignore_progress
from coremlbench.types.data import ArraySet, Provenance
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.process import ReportProgress
from coremlbench_datasets.archives import ARCHIVE_ERRORS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = ("train_images", "train_labels", "test_images", "test_labels")
REACH_SECONDS = 4.0
"""How long a server may take to answer at all: a machine without a network must not wait."""


_UNREADABLE: tuple[type[Exception], ...] = (
    *(CoremlbenchError, OSError, KeyError, TypeError, ValueError, pickle.UnpicklingError),
    *ARCHIVE_ERRORS,
)
"""What reading a source may raise when it is not there, or not what it should be."""


class UnavailableError(CoremlbenchError):
    """A source of a dataset that cannot be used here; its text says why and is shown only if all others fail."""


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

    ``sources`` read it from where it may be found, given a folder to download to and whom to tell of that; ``read``
    reads it from a file or folder that the user names. ``missing`` is the sentence for when nothing can be had: what
    to fetch, where to put it.
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
        """Return the dataset as files under ``cache``, of which the first ``train`` and ``test`` rows count.

        ``None`` takes all rows. The first rows are in every subset, so that a smaller run sees a part of the same.

        Raises:
            InputError: No source can be reached, ``source`` is not this dataset, or there are fewer rows than asked.
        """
        folder = cache / "arrays" / (self.name if source is None else f"{self.name}-{_fingerprint(source)}")
        if not (folder / "about.json").is_file():
            _save(self._from(source, cache, report or ignore_progress), folder)
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        counts = {"train": about["train"] if train is None else train, "test": about["test"] if test is None else test}
        for split, wanted in counts.items():
            if not 0 < wanted <= about[split]:
                raise InputError(f"{self.title} has {about[split]:,} {split} images, {wanted:,} were asked for.")
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

    def _from(self, source: Path | None, cache: Path, report: ReportProgress) -> Splits:
        """Return the dataset from the source the user named, or else from the first that can be had."""
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
        """Return the splits if images, labels and classes fit together."""
        for images, labels in (
            (splits.train_images, splits.train_labels),
            (splits.test_images, splits.test_labels),
        ):
            if len(images) != len(labels) or not len(images):
                raise UnavailableError(f"it has {len(images)} images and {len(labels)} labels.")
            if labels.min() < 0 or labels.max() >= len(self.classes):
                raise UnavailableError(f"it has labels from {labels.min()} to {labels.max()}.")
        return splits


def _save(splits: Splits, folder: Path) -> None:
    """Write the four files and ``about.json`` as one folder that appears whole or not at all."""
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
            if not (folder / "about.json").is_file():  # otherwise another process was first: same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fingerprint(source: Path) -> str:
    """Return a short name for what the user's file or folder holds now.

    Raises:
        InputError: There is no such file or folder.
    """
    if not source.exists():
        raise InputError(f"There is no file or folder {source}; --source names the dataset's archive.")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    known = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]


def keras_folder() -> Path:
    """Return where Keras keeps the datasets that it has downloaded."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def keras_copy(url: str, kept: Path, cache: Path, report: ReportProgress, sha256: str | None = None) -> Path:
    """Return Keras's copy of a file: the one it has downloaded already, or a new download into ``cache``.

    Raises:
        UnavailableError: It is not there, or not what it should be, and its server does not answer.
    """
    if kept.is_file() and (sha256 is None or file_sha256(kept) == sha256):
        return kept
    try:
        urllib.request.urlopen(url, timeout=REACH_SECONDS).close()  # noqa: S310 - the addresses are literals
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

    ``sha256`` are the hashes of the uncompressed files, so that the same content compressed anew is still known.

    Raises:
        UnavailableError: A file is missing, or its content is not what it should be.
    """
    found, hashes = [], []
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
        found.append(read_idx(content))
    together = hashlib.sha256("".join(hashes).encode()).hexdigest()
    images, labels, test_images, test_labels = found
    return Splits(
        images, labels.astype("int64"), test_images, test_labels.astype("int64"), replace(provenance, sha256=together)
    )


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """Return the array of an idx file: two zero bytes, the type (8: unsigned bytes), the rank, sizes, data.

    Raises:
        UnavailableError: It is no such file, or it ends too early.
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


_PICKLED = {
    "_codecs": {"encode"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct"},
    "numpy._core.multiarray": {"_reconstruct"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
}
"""All that a pickle of plain containers and numpy arrays needs: nothing in it can run a command."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _PICKLED.get(module, ()):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data do not need; it is not read.")
        # Older names of the module lead to a warning in newer numpy, and the other way round.
        return super().find_class(_module_here(module), name)


def _module_here(module: str) -> str:
    """Return the name that this numpy has for one of its modules in a pickle."""
    import numpy as np

    if not module.startswith(("numpy.core", "numpy._core")):
        return module
    new = int(np.__version__.partition(".")[0]) >= 2
    return module.replace("numpy.core", "numpy._core") if new else module.replace("numpy._core", "numpy.core")


def unpickle(content: bytes, *, encoding: str = "ASCII") -> Any:
    """Return the object of a pickle that holds plain containers, strings, numbers and numpy arrays only.

    Raises:
        pickle.UnpicklingError: It asks for anything else; nothing of it was run.
    """
    return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()


def data_folders(name: str) -> Iterable[Path]:
    """Return where a system's package may have put a dataset of this name (the XDG data folders)."""
    for folder in (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
        yield Path(folder) / "datasets" / name
