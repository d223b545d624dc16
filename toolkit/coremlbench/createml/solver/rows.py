"""Rows of a features file, read in blocks as float64, so that memory does not depend on their number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
T = TypeVar("T")

BLOCK_ROWS = 1024
"""Rows of a block. Sums over rows are made block by block, so another size gives another rounding."""
MAX_THREADS = 8
"""Each thread has a block of its own, 12 bytes a number."""


@dataclass(frozen=True)
class FeatureRows:
    """The rows [first, last) of a file of float32 rows of ``length`` numbers, with the label of each row.

    The file is read, not mapped: the pages of a mapping count as the process's memory. Blocks are worked on side by
    side by ``threads`` threads, and their results come in the order of the blocks, so the number of threads does not
    change a sum over them.
    """

    path: Path
    length: int
    first: int
    last: int
    labels: Labels
    block_rows: int = BLOCK_ROWS
    threads: int = 1
    _buffers: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.labels) != len(self):
            raise ValueError(f"{len(self.labels)} labels for {len(self)} rows")

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.last - self.first

    def map_blocks(self, function: Callable[[Array, Labels], T]) -> Iterator[T]:
        """Yield ``function(rows, labels)`` of each block, in the order of the blocks.

        ``rows`` is float64 (rows, ``length``), and is overwritten after the call.

        Raises:
            OSError: the file cannot be read, or is too short.
        """
        starts = range(self.first, self.last, self.block_rows)

        def work(start: int) -> T:
            last = min(start + self.block_rows, self.last)
            return function(self._read(start, last), self.labels[start - self.first : last - self.first])

        if min(self.threads, MAX_THREADS, len(starts)) <= 1:
            yield from map(work, starts)
            return
        with ThreadPoolExecutor(min(self.threads, MAX_THREADS)) as pool:
            yield from pool.map(work, starts)

    def _read(self, start: int, last: int) -> Array:
        """Return the rows [start, last) of the file in this thread's buffer."""
        file, raw, rows = self._thread_buffers()
        count = last - start
        file.seek(start * self.length * raw.itemsize)
        if file.readinto(raw[:count].data.cast("B")) != raw[:count].nbytes:  # type: ignore[attr-defined]
            raise OSError(f"{self.path} ends before row {last}")
        np.copyto(rows[:count], raw[:count])
        return rows[:count]

    def _thread_buffers(self) -> tuple[IO[bytes], npt.NDArray[np.float32], Array]:
        if not hasattr(self._buffers, "file"):
            shape = (min(self.block_rows, len(self)), self.length)
            self._buffers.file = self.path.open("rb", buffering=0)
            self._buffers.raw = np.empty(shape, np.float32)
            self._buffers.rows = np.empty(shape, np.float64)
        return self._buffers.file, self._buffers.raw, self._buffers.rows
