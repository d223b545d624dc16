"""Pipelined feature extraction: decode, augment and run the network side by side, in bounded memory.

Each image is decoded once. Producer processes decode, resize and augment into the slots of a small ring, a
memory-mapped file; this process runs the network on full slots and writes the features in order. Turi Create's
own extraction decodes, resizes and runs one after the other, on one batch at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.types import UnusableData

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

BATCH = 6
"""Images that the network sees at once: few, so that activations stay in the processor's caches (measured)."""

PLAIN_IMAGES_PER_SLOT = 12
"""Images without copies that share a slot, so that slots are of like size whatever the part."""


@dataclass(frozen=True)
class Part:
    """A stretch of images treated alike: the training images with their copies, or plain ones.

    ``seed`` and the image's position decide its copies.
    """

    name: str
    paths: tuple[Path, ...]
    options: tuple[str, ...] = ()
    seed: int = 0

    @property
    def rows(self) -> int:
        """Return the number of feature vectors, copies included."""
        from coremlbench.augmentation import copies

        return len(self.paths) * copies(self.options)


@dataclass(frozen=True)
class Task:
    """What one producer does at a time: fill a slot with the copies of a few images."""

    slot: int
    paths: tuple[Path, ...]
    first: int
    options: tuple[str, ...]
    seed: int


class Sink(Protocol):
    """Takes prepared pixels (rows, H, W, 3) in order."""

    def __call__(self, pixels: Pixels) -> None:
        """Consume the pixels before returning; the memory is used again."""
        ...


def produce(parts: Sequence[Part], size: tuple[int, int], ring: Path, sink: Sink, *, processes: int) -> None:
    """Feed every prepared image of the parts to ``sink``, in order, at (height, width) = ``size``.

    Memory is bounded by the ring: a few slots for each producer, whatever the number of images.

    Raises:
        UnusableData: an image has vanished.
        OSError: there is no room for the ring.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from coremlbench.augmentation import copies

    rows = max([PLAIN_IMAGES_PER_SLOT, *(copies(part.options) for part in parts)])
    slots = 2 * processes + 2
    shape = (slots, rows, *size, 3)
    allocate(ring, slots * rows * size[0] * size[1] * 3)
    pixels = _open_ring(ring, shape)
    free = deque(range(slots))
    waiting: deque[tuple[int, Future[int]]] = deque()
    with ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_producer,
        initargs=(ring, shape),
    ) as pool:
        for task in _tasks(parts):
            if not free:
                _hand_over(waiting, free, pixels, sink)
            slot = free.popleft()
            waiting.append((slot, pool.submit(_fill, Task(slot, *task))))
        while waiting:
            _hand_over(waiting, free, pixels, sink)
    ring.unlink()


def _hand_over(waiting: deque[tuple[int, Future[int]]], free: deque[int], pixels: Any, sink: Sink) -> None:
    slot, filled = waiting.popleft()
    sink(pixels[slot, : filled.result()])
    free.append(slot)


def _tasks(parts: Sequence[Part]) -> Iterator[tuple[tuple[Path, ...], int, tuple[str, ...], int]]:
    for part in parts:
        step = 1 if part.options else PLAIN_IMAGES_PER_SLOT
        for first in range(0, len(part.paths), step):
            yield part.paths[first : first + step], first, part.options, part.seed


_ring: Any = None


def _open_ring(ring: Path, shape: tuple[int, ...]) -> Any:
    import numpy as np

    return np.memmap(ring, dtype=np.uint8, mode="r+", shape=shape)


def _start_producer(ring: Path, shape: tuple[int, ...]) -> None:
    global _ring  # noqa: PLW0603  a pool's processes keep what their initializer opened
    _ring = _open_ring(ring, shape)


def _fill(task: Task) -> int:
    """Decode, resize and augment the images of a task into its slot; return the rows filled."""
    row = 0
    size = (_ring.shape[2], _ring.shape[3])
    for offset, path in enumerate(task.paths):
        for copy in prepare(path, size, task.options, (task.seed, task.first + offset)):
            _ring[task.slot, row] = copy
            row += 1
    return row


def prepare(path: Path, size: tuple[int, int], options: Sequence[str], seed: Sequence[int]) -> list[Pixels]:
    """Return one image as the network sees it, or its augmented copies: uint8 (H, W, 3) RGB each.

    Raises:
        UnusableData: the image could be read when the data was examined, and no longer can.
    """
    from coremlbench.augmentation import augment, nearest_resize
    from coremlbench_datasets.images import UnreadableImage, decode

    try:
        pixels = nearest_resize(decode(path), size)
    except UnreadableImage as error:
        raise UnusableData(f"{path} cannot be read any more: {error} Put it back, or run this again.") from error
    return augment(pixels, options, seed) if options else [pixels]


class Extractor:
    """Runs an ONNX network and writes its features, float32, row after row, to a memory-mapped file."""

    def __init__(
        self, network: Path, features: Path, rows: int, *, threads: int, report: Callable[[int, int], None]
    ) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        self._rows, self._done, self._report = rows, 0, report
        probe = np.zeros((1, *self._session.get_inputs()[0].shape[1:]), np.uint8)
        self.length = int(self._session.run(None, {"pixels": probe})[0].shape[1])
        allocate(features, rows * self.length * 4)
        self._features = np.memmap(features, dtype=np.float32, mode="r+", shape=(rows, self.length))

    def __call__(self, pixels: Pixels) -> None:
        """Extract the features of some rows."""
        for start in range(0, len(pixels), BATCH):
            batch = pixels[start : start + BATCH]
            self._features[self._done : self._done + len(batch)] = self._session.run(None, {"pixels": batch})[0]
            self._done += len(batch)
            self._report(self._done, self._rows)

    def close(self) -> None:
        """Bring the features to disk."""
        self._features.flush()


def allocate(path: Path, size: int) -> None:
    """Create a file of ``size`` bytes that really has its room on the disk.

    A memory-mapped file with holes in it would end the process with SIGBUS on a full disk; this raises OSError.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
            return
        block = bytes(1 << 20)  # macOS has no posix_fallocate
        for start in range(0, size, len(block)):
            file.write(block[: min(len(block), size - start)])


def producers(cores: int) -> int:
    """Return how many producer processes keep the network busy on so many cores.

    The network takes about six times the processor time of decoding and augmenting (SqueezeNet, twelve copies).
    """
    return max(1, round(cores / 5))
