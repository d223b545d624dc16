"""The raw samples of a timing matrix: the duration of every timed call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coremlbench.api.runs import SavedRun
from coremlbench.system.files import hash_file
from coremlbench.timing.rounds import load_samples
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Measurement, Round, TimingRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CallSamples:
    """The calls of one round of one cell, in order.

    ``seconds`` are their durations by the wall clock, a float64 array of shape (calls,). ``runtime_seconds`` are those
    that Core ML reports, of the same shape, or ``None``. ``measurement`` is the cell (model, variant, batch, runtime,
    unit), ``round`` its round.
    """

    measurement: Measurement
    round: Round
    seconds: NDArray[np.float64]
    runtime_seconds: NDArray[np.float64] | None = None


def read_samples(run: SavedRun) -> list[CallSamples]:
    """Return the raw samples of all rounds of a timing run, cell by cell. Failed rounds have none.

    Raises:
        InputError: the run is no timing, or a file of samples is missing (``coremlbench results --prune`` removes old
            ones) or is not the one that was saved.
    """
    record = run.record
    if not isinstance(record, TimingRecord):
        raise InputError(f"{run.id} is a run of the kind {record.kind}; only timings have samples.")
    return list(_samples(run, record))


def _samples(run: SavedRun, record: TimingRecord) -> Iterator[CallSamples]:
    for measurement in record.measurements:
        for row in measurement.rounds:
            if not row.samples:
                continue
            path = run.folder / row.samples
            if not path.resolve().is_relative_to(run.folder.resolve()):
                raise InputError(f"The record of {run.id} names samples outside of its folder: {row.samples}.")
            if not path.is_file():
                raise InputError(
                    f"The samples {path} are gone, as `coremlbench results --prune` removes those of old runs; the "
                    "record has the quantiles of each round."
                )
            if row.samples_sha256 and hash_file(path) != row.samples_sha256:
                raise InputError(f"The samples {path} are not those that were saved with the record.")
            yield CallSamples(measurement, row, *load_samples(path))
