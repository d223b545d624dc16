"""Saved runs and their records."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from coremlbench.runs import store
from coremlbench.runs.lookup import find_run
from coremlbench.system.paths import results_folder
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.training_records import TrainingRecord

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class SavedRun:
    """A run: its record, and the folder that holds the record, the models and the logs.

    The record is a ``TrainingRecord``, a ``ConversionRecord`` or a ``TimingRecord``, as its ``kind`` says.
    """

    record: Record
    folder: Path

    @property
    def id(self) -> str:
        """Return the id of the run."""
        return self.record.id

    @property
    def failure(self) -> Failure | None:
        """Return why the run failed, with what to do about it; ``None`` for a run that did not fail."""
        return self.record.outcome if isinstance(self.record.outcome, Failure) else None

    @property
    def packages(self) -> tuple[Path, ...]:
        """Return the paths of the Core ML models that the run made and that are still there."""
        names: list[str] = []
        if isinstance(self.record, ConversionRecord):
            names = [variant.path for variant in self.record.variants if variant.path]
        elif isinstance(self.record, TrainingRecord) and self.record.model is not None:
            names = [self.record.model.path] if self.record.model.format.startswith("ml") else []
        return tuple(path for path in (self.folder / name for name in names) if path.exists())


def open_run(name: PathLike = "", results: PathLike | None = None) -> SavedRun:
    """Return a saved run: the newest, or that whose id begins with ``name``, or that in the folder ``name``.

    ``results`` is the results folder, by default that of the command line: ``COREMLBENCH_RESULTS``, else ``results``.

    Raises:
        InputError: there is no such run, or several.
        CoremlbenchError: its record cannot be read.
    """
    return SavedRun(*find_run(os.fspath(name), _results(results)))


def open_record(path: PathLike) -> Record:
    """Return the record in a file ``run.json``, or in the folder of a run.

    Raises:
        CoremlbenchError: it cannot be read; the message names the file.
    """
    return store.load(Path(path).expanduser())


def list_runs(results: PathLike | None = None) -> list[SavedRun]:
    """Return all runs in a results folder, oldest first. A record that cannot be read is a ``UserWarning``.

    Raises:
        InputError: there is no such folder.
    """
    folder = _results(results)
    if not folder.is_dir():
        raise InputError(f"There is no results folder {folder}; name one that holds runs.")
    records, problems = store.load_all(folder)
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return [SavedRun(record, folder / record.id) for record in records]


def _results(results: PathLike | None) -> Path:
    return results_folder() if results is None else Path(results).expanduser().absolute()
