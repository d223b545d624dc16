"""The datasets that coremlbench trains on, one module each.

``find`` returns the dataset for a name or folder of the command line; its ``prepare`` returns an ``ImageSet``.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from coremlbench.types.errors import InputError
from coremlbench_datasets.interface import Dataset, DatasetRequest, DatasetSummary

__all__ = ["DATASETS", "Dataset", "DatasetRequest", "DatasetSummary", "find", "summaries"]

DATASETS = {
    "drawn-food": "drawn_food",
    "food101-10": "food101_10",
}
"""The modules of the image datasets by name; each has a ``DATASET``. The first one is the default."""


def find(name_or_dir: str) -> Dataset:
    """Return the dataset of that name, or else of that folder.

    Raises:
        InputError: there is neither.
    """
    if name_or_dir in DATASETS:
        named: Dataset = importlib.import_module(f"{__name__}.{DATASETS[name_or_dir]}").DATASET
        return named
    folder = Path(name_or_dir).expanduser()
    if name_or_dir and folder.is_dir():
        from coremlbench_datasets.folder import FolderDataset

        return FolderDataset(folder)
    if name_or_dir and folder.exists():
        raise InputError(f"{name_or_dir} is a file; a dataset is a folder of pictures, or one of {_names()}.")
    close = difflib.get_close_matches(name_or_dir, DATASETS, n=1)
    suggestion = f"; did you mean {close[0]}?" if close else "."
    raise InputError(f"There is no dataset or folder {name_or_dir!r}: give a folder, or one of {_names()}{suggestion}")


def summaries(cache: Path) -> list[DatasetSummary]:
    """Return a row for each named dataset, without preparing it; ``cache`` is the folder of prepared datasets.

    The datasets of small images are those that only ``coremlbench train`` takes.
    """
    from coremlbench_datasets.array_datasets import ARRAY_DATASETS

    rows = [find(name).summary(cache) for name in DATASETS]
    return [*rows, *(dataset.summary(cache) for dataset in ARRAY_DATASETS.values())]


def _names() -> str:
    return ", ".join(DATASETS)
