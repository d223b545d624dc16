"""Rows of a features file, read in blocks as float64, so that memory does not depend on their number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
        threads = max(1, min(self.threads, MAX_THREADS, len(starts)))
        with ExitStack() as files, ThreadPoolExecutor(threads) as pool:
            readers = threading.local()

            def work(start: int) -> T:
                if not hasattr(readers, "read"):
                    readers.read = self._reader(files)
                last = min(start + self.block_rows, self.last)
                return function(readers.read(start, last), self.labels[start - self.first : last - self.first])

            yield from map(work, starts) if threads == 1 else pool.map(work, starts)

    def _reader(self, files: ExitStack) -> Callable[[int, int], Array]:
        """Return a function that reads the rows [start, last) of the file into its own buffer."""
        file = files.enter_context(self.path.open("rb", buffering=0))
        shape = (min(self.block_rows, len(self)), self.length)
        raw, rows = np.empty(shape, np.float32), np.empty(shape, np.float64)

        def read(start: int, last: int) -> Array:
            block = raw[: last - start]
            file.seek(start * self.length * raw.itemsize)
            if file.readinto(block.data.cast("B")) != block.nbytes:
                raise OSError(f"{self.path} ends before row {last}")
            np.copyto(rows[: len(block)], block)
            return rows[: len(block)]

        return read
