"""The steps that every engine takes: start a worker, ask for data, note what came of it in the record."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from coremlbench.types.data import ArraySet, ImageSet
from coremlbench.types.process import Exit
from coremlbench.types.training_records import DatasetRecord, Phase, TrainingRecord

RECORDED_SKIPS = 100
"""Skipped images named in a record; all of them are counted."""


def worker(name: str) -> list[str]:
    """Return the command of one of our workers, in this Python, isolated from the user's settings."""
    return [sys.executable, "-I", "-m", f"coremlbench.workers.{name}"]


class DataOptions(Protocol):
    """The settings of any run that say which pictures or arrays it takes."""

    @property
    def dataset(self) -> str:
        """Return a dataset's name or folder."""

    @property
    def source(self) -> str | None:
        """Return a local copy of its archive."""

    @property
    def train(self) -> int | None:
        """Return the number of training images, None for the protocol's or all that a folder has."""

    @property
    def test(self) -> int | None:
        """Return the number of test images, None likewise."""

    @property
    def seed(self) -> int:
        """Return the seed that chooses among them."""


def data_request(options: DataOptions, cache: Path) -> dict[str, Any]:
    """Return what the data worker is asked."""
    return {
        "dataset": options.dataset,
        "source": options.source,
        "cache": str(cache / "datasets"),
        "train": options.train,
        "test": options.test,
        "seed": options.seed,
    }


def result_of(ended: Exit) -> dict[str, Any]:
    """Return a stage's result; a stage without one has failed."""
    assert ended.result is not None
    return ended.result


def with_phase(
    record: TrainingRecord, ended: Exit, name: str, items: int, seconds: float | None = None
) -> TrainingRecord:
    """Return the record with one more phase: a whole child's time, unless ``seconds`` says which part of it."""
    phase = Phase(name, ended.seconds if seconds is None else seconds, items, ended.peak_bytes)
    return replace(record, phases=(*record.phases, phase), peak_bytes=max(record.peak_bytes, ended.peak_bytes))


def dataset_record(data: ImageSet | ArraySet, validation: int = 0) -> DatasetRecord:
    """Return the data of a run as recorded; ``validation`` of the training images are held back."""
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
