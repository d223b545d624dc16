"""Wilson's confidence interval for a proportion, such as an accuracy, and its text.

E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from coremlbench.system.formatting import format_percent

ACCURACY_LEVEL = 0.95
"""The level of the intervals that are shown with accuracies."""
MIN_WIDTH_OF_WHOLE_PERCENTS = 0.04
"""Bounds of intervals at least so wide are shown in whole percents, others with one decimal."""


def wilson_interval(correct: int, total: int, level: float = ACCURACY_LEVEL) -> tuple[float, float]:
    """Return Wilson's interval for the proportion of ``correct`` out of ``total``, which must be positive.

    It is written out because ``scipy.stats`` takes a second to import, at the end of each training.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = correct + z * z / 2
    half = z * math.sqrt(correct * (total - correct) / total + z * z / 4)
    low = (middle - half) / (total + z * z) if correct else 0.0
    high = (middle + half) / (total + z * z) if correct < total else 1.0
    return low, high


def accuracy_bounds(accuracy: float | None, images: int) -> tuple[float | None, float | None]:
    """Return the 95% interval of an accuracy of so many images; ``None`` twice if either is unknown."""
    if accuracy is None or not math.isfinite(accuracy) or images < 1 or not 0 <= accuracy <= 1:
        return None, None
    return wilson_interval(round(accuracy * images), images)


def format_bounds(low: float | None, high: float | None) -> str:
    """Return "68 to 76" for an interval from 0.679 to 0.758, in percent; "" without one."""
    if low is None or high is None:
        return ""
    digits = 0 if high - low >= MIN_WIDTH_OF_WHOLE_PERCENTS else 1
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def format_accuracy(accuracy: float | None, images: int, missing: str = "–") -> str:
    """Return "72.0%, 68 to 76, of 500": an accuracy, its 95% interval in percent, and its number of images."""
    if accuracy is None or not math.isfinite(accuracy):
        return missing
    bounds = format_bounds(*accuracy_bounds(accuracy, images))
    return f"{format_percent(accuracy)}, {bounds}, of {images:,}" if bounds else format_percent(accuracy)
