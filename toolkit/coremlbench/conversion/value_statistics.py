"""Statistics of a package's output values against its original's, and single values that the package lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coremlbench.types.conversion import MIN_SNR_DB

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]
    Flags = npt.NDArray[np.bool_]

VALUES_PER_BLOCK = 1 << 22
"""Number of values compared at once; float64 copies of large outputs would not fit in memory."""
MIN_SIGNAL_SHARE = 0.25
"""Smallest signal of the worst value in a record, as a share of the mean signal; values that hardly vary matter little
there."""
MIN_CHANGING_SHARE = 0.1
"""Smallest share of the samples in which the original's value must differ from its median to count as changing."""
MIN_CONSTANT_SAMPLES = 8
"""Number of samples from which a value that the package never changes is found to be constant."""
MIN_CORRELATED_SAMPLES = 20
"""Number of samples from which the correlation of a single value is used."""
OUTLIER_DB = 15.0
"""Distance in dB of a value's noise from the typical noise of all values, from which the value is an outlier."""
LOST_CORRELATION, KEPT_CORRELATION = 0.3, 0.7
"""A value whose correlation with the original's is below the first, while the median of all values reaches the second,
holds something else."""
MAX_FLOAT16 = 65504.0
FLOAT16_STEP, FLOAT32_STEP = 2.0**-11, 2.0**-24
"""The largest relative error of rounding a normal number once."""


@dataclass(frozen=True)
class ValueStatistics:
    """One number for each output value, over all samples, and sums over all of them.

    Attributes:
        signal: The variance of the original's value; NaN where it is never finite.
        noise: The mean square of the error; infinite where the package is not finite and the original is.
        rounding: The mean square of the error that rounding the original's value to float16 gives. Numbers beyond
            float16's range are rounded as if it had no end.
        magnitude: The mean square of the original's value.
        package_signal: The variance of the package's value.
        covariance: The covariance of both.
        constant: Whether the package never changes a value that the original changes.
        clipped: Whether such a constant may be the bound of a clipping activation, such as 0 for ReLU.
        samples: The number of samples.
        mean_signal: The mean of ``signal``; of a single sample, the variance over its values.
        total_signal: The variance of all numbers of the original.
        non_finite: Numbers of the package that are not finite where the original's are, or the reverse.
    """

    signal: Array
    noise: Array
    rounding: Array
    magnitude: Array
    package_signal: Array
    covariance: Array
    constant: Flags
    clipped: Flags
    samples: int
    mean_signal: float
    total_signal: float
    max_error: float
    mean_error: float
    low: float
    high: float
    non_finite: int

    @property
    def has_original(self) -> bool:
        """Return whether the original gives any finite number."""
        return math.isfinite(self.low)

    @property
    def mean_noise(self) -> float:
        """Return the mean of ``noise``."""
        return float(self.noise.mean()) if self.noise.size else 0.0

    @property
    def changing_noise(self) -> Array:
        """Return the variance of each value's error over the samples; ``noise`` includes its mean too."""
        import numpy as np

        changing = np.nan_to_num(self.signal + self.package_signal - 2 * self.covariance)
        return np.clip(changing, 0, self.noise)

    def is_explained(self, limits: ValueLimits) -> bool:
        """Return whether rounding explains the mean noise, also that part which changes from sample to sample."""
        if not self.has_original or self.non_finite:
            return False
        rounding = self.mean_rounding(float32=limits.float32)
        return self.mean_noise <= rounding * power_ratio(limits.weights_db) and float(
            self.changing_noise.mean()
        ) <= rounding * power_ratio(limits.activations_db)

    @property
    def correlation(self) -> float:
        """Return the correlation of the package's values with the original's, each around its own mean."""
        import numpy as np

        product = float(np.nansum(self.signal)) * float(np.nansum(self.package_signal))
        return float(np.nansum(self.covariance)) / math.sqrt(product) if product > 0 else 0.0

    def rounding_of(self, *, float32: bool) -> Array:
        """Return the mean square of the error of rounding each value of the original once, to float32 or float16."""
        return self.magnitude * (FLOAT32_STEP**2 / 3) if float32 else self.rounding

    def mean_rounding(self, *, float32: bool) -> float:
        """Return the mean of ``rounding_of`` over the values."""
        import numpy as np

        rounding = self.rounding_of(float32=float32)
        return float(np.nanmean(rounding)) if self.has_original else 0.0

    def figures(self) -> dict[str, Any]:
        """Return the error figures as ``Proof`` has them."""
        return {
            "max_error": self.max_error if math.isfinite(self.max_error) else None,
            "mean_error": self.mean_error if math.isfinite(self.mean_error) else None,
            "non_finite_values": self.non_finite,
            "range": self.high - self.low if self.has_original else 0.0,
            "signal_to_noise": decibels(self.mean_signal, self.mean_noise),
            "between_images": min(1.0, self.mean_signal / self.total_signal) if self.total_signal > 0 else 0.0,
            **_worst_value(self.signal, self.noise, self.mean_signal),
        }


@dataclass(frozen=True)
class ValueLimits:
    """The limits of one precision for single values, in dB, and what its rounding explains.

    ``weights_db`` is how far the noise of a right package may be above one rounding of its outputs. ``activations_db``
    is that for the part of the noise that changes from sample to sample: what is done to weights changes little there.
    ``constant_db`` is how far a signal must be above the typical noise for a constant value to be lost: outputs of 8
    bits are constant where they vary by less than a step.
    """

    proven_snr: float
    wrong_snr: float
    weights_db: float
    activations_db: float
    constant_db: float = -math.inf
    float32: bool = False


@dataclass(frozen=True)
class ValueFinding:
    """What is wrong with one output value, as a clause for a sentence; ``lost`` if it makes the package wrong."""

    value: int
    text: str
    lost: bool


def compare_values(expected: Array, actual: Array) -> ValueStatistics:
    """Return the statistics of ``actual`` against ``expected``, both (samples, values).

    A number that is not finite where the original's is finite has an infinite error.
    """
    import numpy as np

    totals, blocks = _Totals(), []
    bounds = (_reduce(np.fmin, expected), _reduce(np.fmax, expected))
    columns = max(1, VALUES_PER_BLOCK // max(1, len(expected)))
    for start in range(0, expected.shape[1], columns):
        block = expected[:, start : start + columns].astype(np.float64)
        package = actual[:, start : start + columns].astype(np.float64)
        error = _errors(block, package)
        totals.add(block, error)
        blocks.append(_block_statistics(block, package, error, bounds))
    names = ("signal", "noise", "rounding", "magnitude", "package_signal", "covariance", "constant", "clipped")
    values: dict[str, Any] = {
        name: np.concatenate([block[name] for block in blocks]) if blocks else np.zeros(0) for name in names
    }
    several = len(expected) > 1 and totals.count > 0
    return ValueStatistics(
        **values,
        samples=len(expected),
        mean_signal=float(np.nanmean(values["signal"])) if several else totals.variance,
        total_signal=totals.variance,
        max_error=totals.max_error,
        mean_error=totals.mean_error,
        low=totals.low,
        high=totals.high,
        non_finite=totals.non_finite,
    )


def value_finding(statistics: ValueStatistics, limits: ValueLimits) -> ValueFinding | None:
    """Return the worst single value that is lost or spoiled in the package, ``None`` if there is none.

    A value counts as lost if the package never changes it, if it has no correlation with the original's, or if its
    error is an outlier among those of all values and hides its signal. Errors that rounding explains do not count.
    """
    import numpy as np

    if statistics.noise.size < 2 or statistics.samples < 2:
        return None
    signal, noise = np.nan_to_num(statistics.signal), statistics.noise
    rounding = np.nan_to_num(statistics.rounding_of(float32=limits.float32))
    unexplained = noise > rounding * power_ratio(limits.weights_db)
    unexplained |= statistics.changing_noise > rounding * power_ratio(limits.activations_db)
    typical = float(np.quantile(noise, 0.5, method="lower"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * np.log10(np.where(noise > 0, signal / noise, np.inf))
    constant = statistics.constant & (signal > 4 * rounding) & (~statistics.clipped | (signal > typical))
    dead = constant & (signal > typical * power_ratio(limits.constant_db))
    foreign = unexplained & (signal > 2 * typical) & _uncorrelated(statistics)
    outlier = unexplained & (noise > typical * power_ratio(OUTLIER_DB))
    for flags, lost, text in (
        (dead, True, _CONSTANT),
        (foreign, True, "the value {value} has nothing to do with the original's"),
        (outlier & (ratio < limits.wrong_snr), True, _OWN_RATIO),
        (constant, False, _CONSTANT),
        (outlier & (ratio < limits.proven_snr), False, _OWN_RATIO),
    ):
        if flags.any():
            value = int(np.argmin(np.where(flags, ratio, np.inf)))
            return ValueFinding(value, text.format(value=value, ratio=max(MIN_SNR_DB, float(ratio[value]))), lost)
    return None


_CONSTANT = "the package never changes the value {value}, which varies in the original"
_OWN_RATIO = "the signal of the value {value} alone stands {ratio:.1f} dB above its own error"


def decibels(signal: float, noise: float) -> float | None:
    """Return the signal-to-noise ratio in dB, ``MIN_SNR_DB`` at least; ``None`` where there is no noise."""
    if noise <= 0:
        return None
    ratio = signal / noise if math.isfinite(noise) else 0.0
    return max(MIN_SNR_DB, 10 * math.log10(ratio)) if ratio > 0 else MIN_SNR_DB


def power_ratio(level: float) -> float:
    """Return the ratio of powers that a level in dB means."""
    return float(10 ** (level / 10))


def _uncorrelated(statistics: ValueStatistics) -> Flags:
    """Return which values have no correlation with the original's, where nearly all others have."""
    import numpy as np

    none: Flags = np.zeros(statistics.noise.size, bool)
    if statistics.samples < MIN_CORRELATED_SAMPLES:
        return none
    product = np.nan_to_num(statistics.signal) * np.nan_to_num(statistics.package_signal)
    correlation = np.nan_to_num(statistics.covariance) / np.sqrt(np.where(product > 0, product, np.inf))
    mostly_correlated = float(np.quantile(correlation, 0.5, method="higher")) >= KEPT_CORRELATION
    return correlation < LOST_CORRELATION if mostly_correlated else none


class _Totals:
    """Range and variance of the original's finite numbers, and errors, accumulated block by block."""

    def __init__(self) -> None:
        self.count, self._mean, self._squares = 0, 0.0, 0.0
        self.low, self.high, self.max_error = math.inf, -math.inf, 0.0
        self._errors, self._error_sum, self.non_finite = 0, 0.0, 0

    def add(self, block: Array, error: Array) -> None:
        """Add a block of the original's numbers and their errors; the variance is updated with Chan's formula."""
        import numpy as np

        self._errors, self._error_sum = self._errors + error.size, self._error_sum + float(error.sum())
        self.max_error = max(self.max_error, float(error.max(initial=0.0)))
        self.non_finite += int(np.isinf(error).sum())
        finite = block[np.isfinite(block)]
        if not finite.size:
            return
        mean, delta = float(finite.mean()), float(finite.mean()) - self._mean
        count = self.count + finite.size
        self._squares += float(((finite - mean) ** 2).sum()) + delta**2 * self.count * finite.size / count
        self._mean, self.count = self._mean + delta * finite.size / count, count
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))

    @property
    def variance(self) -> float:
        """Return the variance of all finite numbers of the original."""
        return self._squares / self.count if self.count else 0.0

    @property
    def mean_error(self) -> float:
        """Return the mean absolute error."""
        return self._error_sum / self._errors if self._errors else 0.0


def _block_statistics(block: Array, package: Array, error: Array, bounds: tuple[float, float]) -> dict[str, Any]:
    """Return the statistics of a block of values by the names of ``ValueStatistics``' fields.

    ``bounds`` are the lowest and the highest number of the original over all values.
    """
    import numpy as np

    both = np.isfinite(block) & np.isfinite(package)
    original, other = np.where(both, block, np.nan), np.where(both, package, np.nan)
    constant = _constant_values(block, package)
    return {
        "signal": _column_means(_centred(np.where(np.isfinite(block), block, np.nan)) ** 2),
        "noise": np.mean(error**2, axis=0),
        "rounding": _column_means(_float16_errors(block) ** 2),
        "magnitude": _column_means(np.where(np.isfinite(block), block, np.nan) ** 2),
        "package_signal": _column_means(_centred(other) ** 2),
        "covariance": _column_means(_centred(original) * _centred(other)),
        "constant": constant,
        "clipped": constant & np.isin(package[0], bounds) if len(package) else constant,
    }


def _reduce(smaller_or_larger: Any, values: Array) -> float:
    """Return the lowest or highest number without NaN; NaN if there is none."""
    return float(smaller_or_larger.reduce(values, axis=None, dtype="float64", initial=math.nan))


def _constant_values(block: Array, package: Array) -> Flags:
    """Return which values the package never changes though the original changes them in a share of the samples."""
    import numpy as np

    constant: Flags = (package == package[:1]).all(axis=0)
    if len(block) < MIN_CONSTANT_SAMPLES:
        return np.zeros_like(constant)
    candidates = np.flatnonzero(constant)
    median = np.median(block[:, candidates], axis=0)
    constant[candidates] = (block[:, candidates] != median).mean(axis=0) >= MIN_CHANGING_SHARE
    return constant


def _float16_errors(block: Array) -> Array:
    """Return the errors of rounding to float16; NaN for numbers that are not finite."""
    import numpy as np

    inside = np.abs(block) <= MAX_FLOAT16
    rounded = np.where(inside, block, 0.0).astype(np.float16).astype(np.float64)
    errors: Array = np.where(inside, rounded - block, np.abs(block) * FLOAT16_STEP / 2)
    errors[~np.isfinite(block)] = np.nan
    return errors


def _errors(expected: Array, actual: Array) -> Array:
    """Return the absolute errors of a block; equal infinities and two NaN are no error."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # infinity minus infinity
        error: Array = np.abs(actual - expected)
    error[~np.isfinite(error)] = math.inf
    error[(expected == actual) | (np.isnan(expected) & np.isnan(actual))] = 0.0
    return error


def _centred(block: Array) -> Array:
    """Return the differences of each column's numbers from their mean; NaN stay."""
    return block - _column_means(block)


def _column_means(block: Array) -> Array:
    """Return the mean of each column without its NaN; NaN for a column of nothing else."""
    import numpy as np

    known = ~np.isnan(block)
    count = known.sum(axis=0)
    sums = np.where(known, block, 0.0).sum(axis=0)
    means: Array = np.divide(sums, count, out=np.full(block.shape[1], np.nan), where=count > 0)
    return means


def _worst_value(signal: Array, noise: Array, mean_signal: float) -> dict[str, float | None]:
    """Return the index of the value with the lowest signal-to-noise ratio, and that ratio in dB.

    The signal of a value counts as ``MIN_SIGNAL_SHARE`` of the mean signal at least. Both are ``None`` where no value
    has an error.
    """
    import numpy as np

    if not noise.any():
        return {"worst_value": None, "worst_signal_to_noise": None}
    signal = np.fmax(signal, MIN_SIGNAL_SHARE * mean_signal)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(noise > 0, signal / noise, math.inf)
    ratio[~np.isfinite(noise)] = 0.0
    worst = int(np.argmin(ratio))
    return {"worst_value": worst, "worst_signal_to_noise": decibels(float(signal[worst]), float(noise[worst]))}
