"""Feature vectors of test images that a run keeps, with the classes predicted from them.

Another machine can then test the classifier of a run whose extractor only a Mac can run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from coremlbench.createml.classifier import Head

HEAD_SAMPLES = "head-samples.npz"
"""The file in the run's folder."""

MAX_SAMPLES = 500
"""Feature vectors that are kept: as many as a full proof takes, 4 MB of 2,048 features each."""


@dataclass(frozen=True)
class HeadSamples:
    """Features (samples, length) of test images, and the index of the class that the training predicted for each."""

    features: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.int64]


@dataclass(frozen=True)
class HeadComparison:
    """How a classifier compares with the trained one on the samples.

    ``equal`` counts samples with the class that was predicted after the training. ``difference`` is the largest
    difference of two logits, as a share of the range of the trained classifier's; those of the first class are 0.
    """

    samples: int
    equal: int
    difference: float


def save_head_samples(path: Path, features: npt.NDArray[np.float32], predicted: Sequence[int]) -> None:
    """Save at most ``MAX_SAMPLES`` of the feature vectors, evenly spaced."""
    import numpy as np

    rows = np.unique(np.linspace(0, len(features) - 1, min(MAX_SAMPLES, len(features))).round().astype(np.int64))
    np.savez_compressed(path, features=features[rows], predicted=np.asarray(predicted, np.int64)[rows])


def read_head_samples(folder: Path) -> HeadSamples | None:
    """Return the samples of the run in a folder, None if it has none.

    Raises:
        InputError: the file is damaged.
    """
    import numpy as np

    path = folder / HEAD_SAMPLES
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return HeadSamples(file["features"], file["predicted"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); copy the run's folder again, whole.") from error


def compare_heads(trained: Head, saved: Head, samples: HeadSamples) -> HeadComparison:
    """Return how the saved classifier compares with the trained one on the samples.

    Raises:
        InputError: it has other classes, or takes features of another length.
    """
    import numpy as np

    if saved.classes != trained.classes or saved.weights.shape != trained.weights.shape:
        raise InputError(
            f"The model has {len(saved.classes)} classes and takes {saved.weights.shape[1]} features, and what was "
            f"trained has {len(trained.classes)} and {trained.weights.shape[1]}, or the names of classes differ."
        )
    features = samples.features.astype(np.float64)
    logits, expected = (head.logits(features) for head in (saved, trained))
    equal = int((logits.argmax(axis=1) == samples.predicted).sum())
    logits, expected = (values - values[:, :1] for values in (logits, expected))
    difference = float(np.abs(logits - expected).max(initial=0.0))
    extent = float(np.ptp(expected)) if expected.size else 0.0
    return HeadComparison(len(features), equal, difference / extent if extent else difference)
