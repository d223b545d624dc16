"""What a dataset is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coremlbench.types.data import ImageSet
from coremlbench.types.process import ReportProgress


@dataclass(frozen=True)
class DatasetRequest:
    """What is asked of a dataset.

    ``cache`` is the folder where datasets keep what they make or fetch. ``train`` and ``test`` count images over all
    classes; ``None`` is the protocol's 7500 and 2500 for the named datasets, all there is for a folder. ``source`` is
    a local file or folder that stands in for a download.
    """

    cache: Path
    train: int | None = None
    test: int | None = None
    seed: int = 0
    source: Path | None = None


@dataclass(frozen=True)
class DatasetSummary:
    """What a listing says of a dataset. ``download_bytes`` is 0 when nothing is downloaded, ``None`` if unknown."""

    name: str
    title: str
    description: str
    images: int
    classes: int
    download_bytes: int | None
    cached_images: int


class Dataset(Protocol):
    """A source of labelled pictures."""

    @property
    def name(self) -> str:
        """Return the name on the command line and in records."""

    @property
    def title(self) -> str:
        """Return a title of a few words."""

    @property
    def description(self) -> str:
        """Return one sentence on what it holds and where it comes from."""

    def prepare(self, request: DatasetRequest, report: ReportProgress) -> ImageSet:
        """Return the pictures, on disk and ready, split into training and test.

        Raises:
            InputError: the request cannot be met; the text says what can be.
            UnusableDataError: too much of it is unreadable.
            DownloadError: it cannot be fetched.
        """

    def summary(self, cache: Path) -> DatasetSummary:
        """Return what a listing says of it, in milliseconds."""
