"""Pipelined feature extraction: one process per core decodes, augments and extracts, with bounded memory.

Each process takes an image, decodes it once, makes its augmented copies in memory, runs the network on them with one
thread, and writes the rows to their place in a memory-mapped file. While one process decodes, another runs the
network, so no core waits. More processes are better than more threads for such a small network: on two cores, two
processes with one thread each extract a third more than one process with two threads. Turi Create's own extraction
alternates instead: it decodes and resizes a batch, runs the network on it, and then starts the next batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.createml.feature_journal import JournalEntry
from coremlbench.system.files import allocate
from coremlbench.types.errors import UnusableDataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

BATCH = 4
"""Images per call of the network: few, so that the activations stay in the processor's caches (measured)."""


@dataclass(frozen=True)
class Part:
    """A part of the dataset ("train", "validation" or "test") and the augmentation ``options`` for its images.

    ``seed`` and an image's index determine its random copies.
    """

    name: str
    paths: tuple[Path, ...]
    options: tuple[str, ...] = ()
    seed: int = 0

    @property
    def rows(self) -> int:
        """Return the number of rows: images times copies of each."""
        from coremlbench.createml.augmentation import copies_per_image

        return len(self.paths) * copies_per_image(self.options)


@dataclass(frozen=True)
class Target:
    """The output file: the features of an ONNX network, or without a network the prepared pixels.

    Features are float32 (rows, length), pixels are uint8 RGB (rows, height, width, 3); ``size`` is the (height, width)
    of the network's input. ``length`` is given for the features of an extractor other than an ONNX network.
    """

    path: Path
    size: tuple[int, int]
    network: Path | None = None
    length: int | None = None

    def row_bytes(self) -> int:
        """Return the size of a row in bytes; for features of an ONNX network this loads it."""
        if self.length is not None:
            return 4 * self.length
        if self.network is None:
            return self.size[0] * self.size[1] * 3
        return 4 * feature_length(self.network)


@dataclass(frozen=True)
class Task:
    """The work on one image: its path, its first row in the target, and its augmentation."""

    path: Path
    row: int
    options: tuple[str, ...]
    seed: tuple[int, int]
    target: Target


Extract = Callable[[Sequence[Task]], Iterator[JournalEntry]]
"""Writes the rows of images to their targets, and yields what was written, in any order."""


def write_rows(
    parts: Sequence[Part],
    target: Target,
    report: Callable[[int, int], None],
    *,
    finished: Mapping[int, int] | None = None,
    on_written: Callable[[JournalEntry], None] = lambda _: None,
    processes: int | None = None,
    extract: Extract | None = None,
) -> int:
    """Write the rows of all images of the parts to the target; return their number.

    ``report`` is called with the number of rows done and in all, ``on_written`` after the rows of each image are
    written. ``finished`` is {first row: number of rows} of the images that the target already holds. ``processes`` is
    one per core unless given. ``extract`` writes the rows of images in place of ``extract_image``.

    Raises:
        UnusableDataError: an image cannot be read any more.
        OSError: the disk has no room for the file.
    """
    from coremlbench_datasets.parallel import in_processes

    total = sum(part.rows for part in parts)
    finished = finished or {}
    if not finished:
        allocate(target.path, total * target.row_bytes())
    done = sum(finished.values())
    report(done, total)
    tasks = [task for task in _tasks(parts, target) if task.row not in finished]
    for written in extract(tasks) if extract else in_processes(extract_image, tasks, workers=processes):
        on_written(written)
        done += written.rows
        report(done, total)
    return done


def _tasks(parts: Sequence[Part], target: Target) -> Iterator[Task]:
    from coremlbench.createml.augmentation import copies_per_image

    row = 0
    for part in parts:
        for index, path in enumerate(part.paths):
            yield Task(path, row, part.options, (part.seed, index), target)
            row += copies_per_image(part.options)


def extract_image(task: Task) -> JournalEntry:
    """Decode, resize and augment one image, extract its features, and write them; return what was written."""
    import numpy as np

    pixels = np.stack(prepare_image(task.path, task.target.size, task.options, task.seed))
    if task.target.network is None:
        open_rows(task.target.path, task.target.size, None)[task.row : task.row + len(pixels)] = pixels
        return JournalEntry(task.row, len(pixels))
    session = _session(task.target.network)
    features = np.concatenate(
        [session.run(None, {"pixels": pixels[start : start + BATCH]})[0] for start in range(0, len(pixels), BATCH)]
    ).astype(np.float32, copy=False)
    open_rows(task.target.path, task.target.size, features.shape[1])[task.row : task.row + len(pixels)] = features
    return JournalEntry(task.row, len(pixels), hashlib.sha256(features.tobytes()).hexdigest())


def prepare_image(path: Path, size: tuple[int, int], options: Sequence[str], seed: Sequence[int]) -> list[Pixels]:
    """Return the image resized for the network, or its augmented copies: uint8 RGB arrays (height, width, 3).

    Raises:
        UnusableDataError: the image cannot be read any more, although it could when the dataset was examined.
    """
    from coremlbench.createml.augmentation import augment, nearest_resize
    from coremlbench_datasets.images import UnreadableImageError, decode

    try:
        pixels = nearest_resize(decode(path), size)
    except UnreadableImageError as error:
        raise UnusableDataError(f"{path} cannot be read any more: {error} Put it back, or run this again.") from error
    return augment(pixels, options, seed) if options else [pixels]


@lru_cache(maxsize=1)
def _session(network: Path) -> Any:
    """Return this process's ONNX Runtime session of the network, with one thread as every core has a process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def feature_length(network: Path) -> int:
    """Return the length of the network's feature vector, found by running it on a black image."""
    import numpy as np

    session = _session(network)
    shape = session.get_inputs()[0].shape
    return int(session.run(None, {"pixels": np.zeros((1, *shape[1:]), np.uint8)})[0].shape[1])


@lru_cache(maxsize=1)
def open_rows(path: Path, size: tuple[int, int], length: int | None) -> Any:
    """Return the target's file, mapped into memory, as rows of ``length`` features, or of pixels if that is None."""
    import numpy as np

    if length is None:
        return np.memmap(path, dtype=np.uint8, mode="r+").reshape(-1, *size, 3)
    return np.memmap(path, dtype=np.float32, mode="r+").reshape(-1, length)
