"""Feature extraction: each core decodes, augments and extracts, all of them side by side, in bounded memory.

A process for each core takes an image, decodes it once, makes its copies in memory and runs the network on them with
one thread; the rows go straight to their place in a memory-mapped file. While one process decodes, another extracts,
and no core waits: a network this small gains little from a second thread (on two cores, two processes with a thread
each extract a third more than one process with two threads). Turi Create's own extraction decodes and resizes a
batch, runs the network on it, and only then begins the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.createml.feature_journal import Written
from coremlbench.system.files import allocate
from coremlbench.types.errors import UnusableData

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

BATCH = 4
"""Images that the network sees at once: few, so that activations stay in the processor's caches (measured)."""


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
        """Return the number of rows, copies included."""
        from coremlbench.createml.augmentation import copies

        return len(self.paths) * copies(self.options)


@dataclass(frozen=True)
class Target:
    """The file that the rows go to, in order: features of an ONNX network, or the pixels themselves.

    ``size`` is the (height, width) that the network sees. Features are float32 (rows, length), pixels are uint8
    (rows, height, width, 3), RGB.
    """

    path: Path
    size: tuple[int, int]
    network: Path | None = None

    def row_bytes(self) -> int:
        """Return the bytes of a row; for features this loads the network."""
        if self.network is None:
            return self.size[0] * self.size[1] * 3
        return 4 * feature_length(self.network)


@dataclass(frozen=True)
class Task:
    """One image: where it is, the row its copies begin at, and what decides them."""

    path: Path
    row: int
    options: tuple[str, ...]
    seed: tuple[int, int]
    target: Target


def write_rows(
    parts: Sequence[Part],
    target: Target,
    report: Callable[[int, int], None],
    *,
    finished: Mapping[int, int] | None = None,
    note: Callable[[Written], None] = lambda _: None,
    processes: int | None = None,
) -> int:
    """Write the rows of every image of the parts to the target, and return how many they are.

    ``report`` is called with the rows done and the rows in all, ``note`` with each image's as they are written.
    ``finished`` maps the first row of the images that are in the target already to their number of rows.
    ``processes`` is one a core unless given.

    Raises:
        UnusableData: an image has vanished since it was examined.
        OSError: there is no room for the file.
    """
    from coremlbench_datasets.parallel import in_processes

    total = sum(part.rows for part in parts)
    finished = finished or {}
    if not finished:
        allocate(target.path, total * target.row_bytes())
    done = sum(finished.values())
    report(done, total)
    tasks = [task for task in _tasks(parts, target) if task.row not in finished]
    for written in in_processes(work, tasks, workers=processes):
        note(written)
        done += written.rows
        report(done, total)
    return done


def _tasks(parts: Sequence[Part], target: Target) -> Iterator[Task]:
    from coremlbench.createml.augmentation import copies

    row = 0
    for part in parts:
        for index, path in enumerate(part.paths):
            yield Task(path, row, part.options, (part.seed, index), target)
            row += copies(part.options)


def work(task: Task) -> Written:
    """Decode, resize, augment and extract one image; return which rows were written."""
    import numpy as np

    pixels = np.stack(prepare(task.path, task.target.size, task.options, task.seed))
    if task.target.network is None:
        _rows(task.target.path, task.target.size, None)[task.row : task.row + len(pixels)] = pixels
        return Written(task.row, len(pixels))
    session = _session(task.target.network)
    features = np.concatenate(
        [session.run(None, {"pixels": pixels[start : start + BATCH]})[0] for start in range(0, len(pixels), BATCH)]
    ).astype(np.float32, copy=False)
    _rows(task.target.path, task.target.size, features.shape[1])[task.row : task.row + len(pixels)] = features
    return Written(task.row, len(pixels), hashlib.sha256(features.tobytes()).hexdigest())


def prepare(path: Path, size: tuple[int, int], options: Sequence[str], seed: Sequence[int]) -> list[Pixels]:
    """Return one image as the network sees it, or its augmented copies: uint8 (H, W, 3) RGB each.

    Raises:
        UnusableData: the image could be read when the data was examined, and no longer can.
    """
    from coremlbench.createml.augmentation import augment, nearest_resize
    from coremlbench_datasets.images import UnreadableImage, decode

    try:
        pixels = nearest_resize(decode(path), size)
    except UnreadableImage as error:
        raise UnusableData(f"{path} cannot be read any more: {error} Put it back, or run this again.") from error
    return augment(pixels, options, seed) if options else [pixels]


@lru_cache(maxsize=1)
def _session(network: Path) -> Any:
    """Return this process's own session; one thread, as every core has a process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def feature_length(network: Path) -> int:
    """Return how many features the network gives an image."""
    import numpy as np

    session = _session(network)
    shape = session.get_inputs()[0].shape
    return int(session.run(None, {"pixels": np.zeros((1, *shape[1:]), np.uint8)})[0].shape[1])


@lru_cache(maxsize=1)
def _rows(path: Path, size: tuple[int, int], length: int | None) -> Any:
    """Return the target's file as rows of features, or of pixels where ``length`` is None."""
    import numpy as np

    if length is None:
        return np.memmap(path, dtype=np.uint8, mode="r+").reshape(-1, *size, 3)
    return np.memmap(path, dtype=np.float32, mode="r+").reshape(-1, length)
