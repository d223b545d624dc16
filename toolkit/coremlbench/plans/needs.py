"""What runs need that is not on this machine yet: images to draw, and downloads."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from coremlbench.system.formatting import format_bytes
from coremlbench_datasets import DATASETS, find
from coremlbench_datasets.array_datasets import ARRAY_DATASETS

DRAWN_IMAGE_BYTES = 42_000
"""The mean size of an image of drawn-food: 10,000 take 420 MB."""
TURICREATE_BYTES = 2 * 10**9


def missing_images(dataset: str, images: int, cache: Path) -> int:
    """Return at least how many images of drawn-food must be drawn; 0 for other datasets."""
    if dataset != "drawn-food":
        return 0
    return max(0, images - find(dataset).summary(cache / "datasets").cached_images)


def dataset_downloads(datasets: Sequence[str], sources: Sequence[str], cache: Path) -> list[str]:
    """Return a sentence for each dataset that would be downloaded; those in ``sources`` have a local copy."""
    sentences = []
    for name in dict.fromkeys(datasets):
        if name in sources:
            continue
        if name in ARRAY_DATASETS:
            if not (cache / "datasets" / "arrays" / name / "about.json").is_file():
                sentences.append(
                    f"{ARRAY_DATASETS[name].title} is downloaded, unless a package on this machine has it."
                )
        elif name in DATASETS:
            summary = find(name).summary(cache / "datasets")
            if summary.download_bytes != 0 and not summary.cached_images:
                size = f" ({format_bytes(summary.download_bytes)})" if summary.download_bytes else ""
                sentences.append(f"{summary.title} is downloaded{size}.")
    return sentences


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk that a folder is on, or would be on."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free
