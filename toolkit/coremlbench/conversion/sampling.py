"""How samples of a model's input are made where it has no data of its own: pixels, measurements, or indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Booleans = npt.NDArray[np.bool_]

OTHER_RANGE_SHARE = 5
"""One more sample is made in another range of values for so many samples: an overflow shows in few."""


@dataclass(frozen=True)
class IndexRanges:
    """The smallest and largest index for each number of an input, int64 arrays of its shape.

    ``is_index`` is a boolean array of that shape; the other numbers are measurements.
    """

    low: Integers
    high: Integers
    is_index: Booleans


@dataclass(frozen=True)
class Sampling:
    """What is known about the values that a model takes.

    Attributes:
        range_known: Whether samples have the range of values that the model is used with.
        other_scales: More factors for pixels from 0 to 255, where the right one is not known.
        indices: Which numbers of the input are indices.
    """

    range_known: bool = True
    other_scales: tuple[float, ...] = ()
    indices: IndexRanges | None = None


KNOWN_RANGE = Sampling()


def random_inputs(original: Any, *, seed: int, count: int) -> Any:
    """Return random inputs of an ``Original``, (count, *shape), uint8 for images, else float32.

    An original with several inputs makes its own.
    """
    from coremlbench.training.random_weights import random_samples

    if hasattr(original, "random_samples"):
        return original.random_samples(seed=seed, count=count)
    samples = random_samples(original.shape, pixels=original.pixels, seed=seed, count=count)
    indices = original.sampling.indices
    return samples if indices is None else with_indices(samples, indices, seed)


def with_indices(samples: Any, indices: IndexRanges, seed: int) -> Any:
    """Return samples with random indices, evenly distributed, where the input takes some.

    The first two samples have the smallest and the largest indices in turn. (A sample of the smallest alone may be
    nothing but padding.)
    """
    import numpy as np

    random = np.random.default_rng([seed, 1])
    numbers = random.integers(indices.low, indices.high, samples.shape, endpoint=True)
    even = np.arange(indices.low.size).reshape(indices.low.shape) % 2 == 0
    for row in range(min(2, len(samples))):
        numbers[row] = np.where(even == (row == 0), indices.low, indices.high)
    return np.where(indices.is_index, numbers, samples).astype(np.float32)


def index_note(indices: IndexRanges) -> str:
    """Return a note on the numbers of an input that are indices."""
    import numpy as np

    count, total = int(np.count_nonzero(indices.is_index)), indices.is_index.size
    numbers = (
        "The numbers of the input are" if count == total else f"{count:,} of the {total:,} numbers of the input are"
    )
    low, high = int(indices.low[indices.is_index].min()), int(indices.high[indices.is_index].max())
    return (
        f"{numbers} indices, whole numbers from {low:,} to {high:,}; packages take them as float32, as float16 has no "
        "odd integers above 2,048."
    )


def other_range_count(count: int) -> int:
    """Return the number of samples of another range beside ``count`` samples."""
    return -(-count // OTHER_RANGE_SHARE)
