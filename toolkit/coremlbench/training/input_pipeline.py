"""The input pipeline of a TensorFlow training: images are decoded once and cached, in an order set by the seed alone.

Images are addressed by row number. An epoch is a permutation of the rows that depends on the seed and the epoch's
number; a batch of row numbers is turned into a batch of pixels in one step. So the order does not depend on the number
of decoding threads, the first epoch trains while it decodes, and from the second epoch on a batch is one copy from
memory.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.system.files import allocate
from coremlbench.types.errors import InputError, UnusableDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEMORY_SHARE = 0.4
"""The share of the available memory that decoded images may take; more than that goes to a file."""


@dataclass(frozen=True)
class Rows:
    """A split of a dataset: labels, int64 (n,), and pixels, uint8 (n, height, width, channels).

    ``pixels`` is an array if the data is in memory from the start, and else a ``Pictures``, which decodes image files.
    """

    labels: NDArray[np.int64]
    pixels: NDArray[np.uint8] | Pictures

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)


class Pictures:
    """Image files as rows of uint8 pixels; an image is decoded when it is first needed, and then cached.

    ``file`` is a file for the pixels, used instead of memory; with ``keep=False`` nothing is cached. ``error`` is the
    first error on reading an image: TensorFlow replaces the exception by one of its own, so the caller finds it here.

    Raises:
        OSError: the disk has no room for ``file``.
    """

    def __init__(
        self, paths: Sequence[Path], shape: tuple[int, int, int], *, file: Path | None = None, keep: bool = True
    ) -> None:
        import numpy as np

        self.paths = paths
        self.shape = shape
        self.keep = keep
        self.error: UnusableDataError | None = None
        self._decoded = np.zeros(len(paths), bool)
        size = (len(paths) if keep else 0, *shape)
        if file is not None:
            allocate(file, math.prod(size))
        self._pixels: NDArray[np.uint8] = (
            np.empty(size, np.uint8) if file is None else np.memmap(file, np.uint8, "r+", shape=size)
        )
        self._threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="decode")

    def batch(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the pixels of some rows, uint8 (n, height, width, channels). Thread-safe.

        Raises:
            UnusableDataError: an image cannot be read any more, although it could when the dataset was examined.
        """
        import numpy as np

        try:
            if not self.keep:
                return np.stack(list(self._threads.map(self._load, rows.tolist())))
            missing = rows[~self._decoded[rows]]
            if len(missing):
                for row, pixels in zip(missing, self._threads.map(self._load, missing.tolist()), strict=True):
                    self._pixels[row] = pixels
                    self._decoded[row] = True
            return self._pixels[rows]
        except UnusableDataError as error:
            self.error = self.error or error
            raise

    def _load(self, row: int) -> NDArray[np.uint8]:
        from coremlbench_datasets.images import UnreadableImageError

        try:
            return load_picture(self.paths[row], self.shape)
        except UnreadableImageError as error:
            raise UnusableDataError(f"{self.paths[row]} cannot be read any more. {error}") from error


def load_picture(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the pixels of an image, uint8, resized to ``shape`` = (height, width, channels).

    The aspect ratio is not preserved, as in Keras's loader. One channel gives a greyscale image. The filter is Pillow's
    bilinear one, which averages when it shrinks an image.
    """
    import numpy as np
    from PIL import Image

    from coremlbench_datasets.images import decode

    height, width, channels = shape
    image = Image.fromarray(decode(path)).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image if channels == 3 else image.convert("L"), np.uint8).reshape(height, width, channels)


def open_splits(
    data: dict[str, Any], shape: tuple[int, int, int], cache: dict[str, Any]
) -> tuple[Rows, Rows, tuple[str, ...]]:
    """Return the training rows, the test rows, and notes on how their pixels are cached.

    ``data`` is ``{"kind": "arrays", "train_images": path, ..., "train": n, "test": n}`` or
    ``{"kind": "images", "train": [[path, label], ...], "test": [...]}``. ``cache`` is ``{"folder": path,
    "memory_bytes": n or None}``: images that need more than that are cached in files in the folder.

    Raises:
        InputError: the arrays do not have the network's input shape.
    """
    if data["kind"] == "arrays":
        return _open_arrays(data, "train", shape), _open_arrays(data, "test", shape), ()
    return _open_pictures(data, shape, cache)


def _open_arrays(data: dict[str, Any], split: str, shape: tuple[int, int, int]) -> Rows:
    import numpy as np

    count = int(data[split])
    pixels = np.load(data[f"{split}_images"], mmap_mode="r")[:count]
    labels = np.load(data[f"{split}_labels"])[:count].astype(np.int64)
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    if pixels.shape[1:] != shape or len(pixels) != count or len(labels) != count or pixels.dtype != np.uint8:
        raise InputError(
            f"The {split} images are {pixels.dtype} {pixels.shape} with {len(labels)} labels, and {count} of uint8 "
            f"{shape} are needed; prepare the dataset again."
        )
    return Rows(labels, np.ascontiguousarray(pixels))


def _open_pictures(
    data: dict[str, Any], shape: tuple[int, int, int], cache: dict[str, Any]
) -> tuple[Rows, Rows, tuple[str, ...]]:
    import numpy as np
    import psutil

    needed = (len(data["train"]) + len(data["test"])) * shape[0] * shape[1] * shape[2]
    available = int(psutil.virtual_memory().available * MEMORY_SHARE)
    budget = min(available, cache["memory_bytes"]) if cache.get("memory_bytes") is not None else available
    folder: Path | None = None
    keep = True
    notes: tuple[str, ...] = ()
    if needed > budget:
        folder = Path(cache["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        keep = shutil.disk_usage(folder).free > needed * 1.2
        place = "cached in a file" if keep else "not cached, for lack of disk space: every epoch decodes them again"
        notes = (f"The decoded images take {needed / 1e6:,.0f} MB, more than the memory for them; {place}.",)
    splits = []
    for split in ("train", "test"):
        paths = [Path(path) for path, _ in data[split]]
        file = folder / f"{split}.pixels" if folder is not None and keep else None
        labels = np.array([label for _, label in data[split]], np.int64)
        splits.append(Rows(labels, Pictures(paths, shape, file=file, keep=keep)))
    return splits[0], splits[1], notes


def training_batches(rows: Rows, *, batch: int, seed: int, scale: float, first_epoch: int, last_epoch: int) -> Any:
    """Return a ``tf.data.Dataset`` of (pixels, labels) for the epochs from ``first_epoch`` to ``last_epoch``.

    Pixels are float32, multiplied by ``scale``. Each epoch has every row once, in an order that depends on the seed and
    the epoch's number (from 1) alone; its last batch may be smaller.
    """
    import tensorflow as tf

    def order(epoch: Any) -> Any:
        rows_in_order = tf.random.experimental.stateless_shuffle(
            tf.range(len(rows), dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        return tf.data.Dataset.from_tensor_slices(rows_in_order).batch(batch)

    epochs = tf.data.Dataset.range(first_epoch, last_epoch + 1)
    steps = math.ceil(len(rows) / batch) * (last_epoch - first_epoch + 1)
    counted = epochs.flat_map(order).apply(tf.data.experimental.assert_cardinality(steps))
    return _with_pixels(counted, rows, scale)


def evaluation_batches(rows: Rows, *, batch: int, scale: float) -> Any:
    """Return a ``tf.data.Dataset`` of (pixels, labels) with each row once, in order."""
    import tensorflow as tf

    return _with_pixels(tf.data.Dataset.range(len(rows)).batch(batch), rows, scale)


def _with_pixels(batches: Any, rows: Rows, scale: float) -> Any:
    """Map a dataset of batches of row numbers to one of (float32 pixels, labels)."""
    import tensorflow as tf

    labels = tf.constant(rows.labels)
    if isinstance(rows.pixels, Pictures):
        pictures = rows.pixels

        def pixels_of(numbers: Any) -> Any:
            batch = tf.numpy_function(pictures.batch, [numbers], tf.uint8, stateful=False)
            return tf.ensure_shape(batch, (None, *pictures.shape))
    else:
        pixels = tf.constant(rows.pixels)

        def pixels_of(numbers: Any) -> Any:
            return tf.gather(pixels, numbers)

    def fetch(numbers: Any) -> tuple[Any, Any]:
        return tf.cast(pixels_of(numbers), tf.float32) * scale, tf.gather(labels, numbers)

    fetched = batches.map(fetch, num_parallel_calls=os.cpu_count() or 1, deterministic=True).prefetch(2)
    return fetched.with_options(_without_autotuning())


def _without_autotuning() -> Any:
    """Return options that turn tf.data's autotuning off, because its thread delays the end of an iterator.

    The thread sleeps for periods that start at 10 ms and double, and an iterator is not deleted before it wakes: up to
    2.6, 5.1 or 10.2 seconds after the start, as long as a short epoch with its validation.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options
