"""Helpers that all engines share: a worker's command line, the request for data, and parts of the record."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from coremlbench.types.data import ArraySet, ImageSet
from coremlbench.types.process import Exit
from coremlbench.types.training_records import DatasetRecord, Phase, TrainingRecord

RECORDED_SKIPS = 100
"""The most skipped images that a record names; all are counted."""


def worker(name: str) -> list[str]:
    """Return the command line of a module of ``coremlbench.workers``, in this Python, isolated (``-I``)."""
    return [sys.executable, "-I", "-m", f"coremlbench.workers.{name}"]


class DataOptions(Protocol):
    """The settings that select a run's dataset."""

    @property
    def dataset(self) -> str:
        """Return the name of a dataset, or the path of a folder of images."""

    @property
    def source(self) -> str | None:
        """Return the path of a local copy of the dataset's archive, None to download it."""

    @property
    def train(self) -> int | None:
        """Return the number of training images, None for all that a folder has."""

    @property
    def test(self) -> int | None:
        """Return the number of test images, None for all that a folder has."""

    @property
    def seed(self) -> int:
        """Return the seed that selects the images."""


def data_request(options: DataOptions, cache: Path) -> dict[str, Any]:
    """Return the request to the worker ``data``; ``cache`` is the folder of all caches."""
    return {
        "dataset": options.dataset,
        "source": options.source,
        "cache": str(cache / "datasets"),
        "train": options.train,
        "test": options.test,
        "seed": options.seed,
    }


def result_of(ended: Exit) -> dict[str, Any]:
    """Return the result of a stage that ended well."""
    assert ended.result is not None  # a stage without a result has raised StageFailedError
    return ended.result


def with_phase(
    record: TrainingRecord, ended: Exit, name: str, items: int, seconds: float | None = None
) -> TrainingRecord:
    """Return the record with one more phase of ``items`` items; its time is the whole stage's unless given."""
    phase = Phase(name, ended.seconds if seconds is None else seconds, items, ended.peak_bytes)
    return replace(record, phases=(*record.phases, phase), peak_bytes=max(record.peak_bytes, ended.peak_bytes))


def dataset_record(data: ImageSet | ArraySet, validation: int = 0) -> DatasetRecord:
    """Return a dataset as recorded; ``validation`` is how many training images were split off for validation."""
    if isinstance(data, ArraySet):
        return DatasetRecord(
            name=data.name,
            provenance=data.provenance,
            classes=data.classes,
            train=data.train - validation,
            validation=validation,
            test=data.test,
            examined=data.train + data.test,
        )
    return DatasetRecord(
        name=data.name,
        provenance=data.provenance,
        classes=data.classes,
        train=len(data.train) - validation,
        validation=validation,
        test=len(data.test),
        examined=data.examined,
        skipped=data.skipped[:RECORDED_SKIPS],
        skipped_count=len(data.skipped),
        warnings=data.warnings,
    )
