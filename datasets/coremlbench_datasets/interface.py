"""The interface of image datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coremlbench.types.data import ImageSet
from coremlbench.types.process import ReportProgress


@dataclass(frozen=True)
class DatasetRequest:
    """The arguments of ``Dataset.prepare``.

    ``cache`` is the folder for downloaded and generated files. ``train`` and ``test`` are the numbers of images of all
    classes; ``None`` means the protocol's 7500 and 2500 for the named datasets, all images for a folder. ``source`` is
    a local file or folder that replaces a download.

    ``needed`` are the numbers of training and test images that will be read, evenly spaced over the whole; ``None``
    means all. A dataset that draws its images draws and returns only those, the same ones whatever is in the cache.
    Others return all images.
    """

    cache: Path
    train: int | None = None
    test: int | None = None
    seed: int = 0
    source: Path | None = None
    needed: tuple[int, int] | None = None


@dataclass(frozen=True)
class DatasetSummary:
    """A row of the list of datasets. ``download_bytes`` is 0 without a download, ``None`` if unknown."""

    name: str
    title: str
    description: str
    images: int
    classes: int
    download_bytes: int | None
    cached_images: int


class Dataset(Protocol):
    """A dataset of labelled images."""

    @property
    def name(self) -> str:
        """Return the name on the command line and in records."""

    @property
    def title(self) -> str:
        """Return a title of a few words."""

    @property
    def description(self) -> str:
        """Return one sentence on its content and origin."""

    def prepare(self, request: DatasetRequest, report: ReportProgress) -> ImageSet:
        """Return the image files, split into training and test.

        Raises:
            InputError: the request cannot be met; the message says what is possible.
            UnusableDataError: too many files are unreadable.
            DownloadError: it cannot be downloaded.
        """

    def summary(self, cache: Path) -> DatasetSummary:
        """Return its row in a list of datasets, within milliseconds."""
