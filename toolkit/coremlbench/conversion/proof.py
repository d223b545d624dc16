"""How far a package is from its original, and what that means: figures, thresholds, verdict. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from coremlbench.system.formatting import format_percent
from coremlbench.types.conversion import Proof, VariantName, Verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

LEAST_IMAGES = 500
"""The images of a whole proof; one with fewer says so."""
NOTHING_LEFT = -200.0
"""The decibels told where nothing is left of the signal, or a value is not a number: the lowest there are."""
FLAT = 0.01
"""The share of the original's variance that must lie between images, for a proof to say much."""
KEPT = 0.5
"""Below this share of the images that keep their class, or of the accuracy above guessing, a package is wrong."""
AT_ONCE = 1 << 22
"""Values compared at once."""
QUIET = 0.25
"""The share of the mean signal that a single value is taken to have at least: what hardly changes matters little."""
APART = 15.0
"""Decibels below all values together at which a single one is lost, and not merely the least of them."""
ENDS = 0.02
"""What outputs between 0 and 1 may differ by beyond what goes into their last activation does: more than the 0.4%
that 8 bits leave of them, and far less than lies between two activations."""
TRIFLE = 1e-6
"""An error below this share of the outputs' range is none, also where a constant output leaves no signal at all."""


@dataclass(frozen=True)
class Thresholds:
    """When a variant is ``proven``, and when it is ``wrong``; ``degraded`` lies between.

    ``proven_snr`` and ``wrong_snr`` are decibels of the original's values over the error: the variance of each value
    from image to image, over all values, to the mean square of the error. (What a network says of every image is no
    signal: a package that ignores its input would have it too.) ``agreement`` is the least share of images with the
    same top class, ``accuracy`` the largest loss of test accuracy still proven.
    """

    proven_snr: float
    wrong_snr: float
    agreement: float
    accuracy: float
    why: str


THRESHOLDS: dict[VariantName, Thresholds] = {
    "fp32": Thresholds(
        70,
        40,
        0.999,
        0.002,
        "two runtimes add the same float32 products in another order: 1e-7 a step, 1e-5 over a deep network",
    ),
    "fp16": Thresholds(
        35,
        15,
        0.98,
        0.01,
        "float16 keeps 11 bits: 66 dB at each op, and a deep network adds up the errors of a hundred",
    ),
    "int8": Thresholds(
        20,
        8,
        0.95,
        0.02,
        "weights of 8 bits, a scale for each channel: 40 to 50 dB at each layer",
    ),
    "palettized-6": Thresholds(
        15,
        5,
        0.95,
        0.02,
        "weights that are one of 64 values: 30 to 35 dB at each layer",
    ),
    "palettized-4": Thresholds(
        12,
        0,
        0.9,
        0.05,
        "weights that are one of 16 values: about 20 dB at each layer",
    ),
    "int8-activations": Thresholds(
        15,
        3,
        0.95,
        0.02,
        "weights and activations of 8 bits, one scale for each activation: 30 to 40 dB at each layer",
    ),
}
"""By the precision of the package; ``as-is`` takes the row of what it turns out to be.

Accuracy is judged apart from errors since float16 may drift far while accuracy stays (coremltools issues 2603 and
2625), and the other way round: images near a boundary between classes go over it for the smallest error."""


def compare(expected: Array, actual: Array) -> dict[str, float | None]:
    """Return the errors of ``actual`` (images, values) against ``expected``, as ``Proof`` has them.

    A value that is not finite where the original's is makes the error infinite. Of a single image the signal is the
    variance of its values.
    """
    import numpy as np

    together, signals, noises = _Sums(), [], []
    columns = max(1, AT_ONCE // max(1, len(expected)))  # float64 copies of a map of classes would fill the memory
    for start in range(0, expected.shape[1], columns):
        wide = expected[:, start : start + columns].astype(np.float64)
        error = _errors(wide, actual[:, start : start + columns].astype(np.float64))
        together.add(wide, error)
        signals.append(_variances(wide))
        noises.append(np.mean(error**2, axis=0))
    signal = np.concatenate(signals) if signals else np.zeros(0)
    noise = np.concatenate(noises) if noises else np.zeros(0)
    total = together.variance
    between = float(np.nanmean(signal)) if len(expected) > 1 and together.count else total
    return {
        "max_error": together.largest,
        "mean_error": together.mean_error,
        "range": together.high - together.low if together.count else 0.0,
        "signal_to_noise": _decibels(between, float(np.mean(noise)) if noise.size else 0.0),
        "between_images": min(1.0, between / total) if total > 0 else 0.0,
        **_worst_value(signal, noise, between),
    }


class _Sums:
    """What is known of the original's finite values and of the errors, gathered block by block."""

    def __init__(self) -> None:
        self.count, self._mean, self._squares = 0, 0.0, 0.0
        self.low, self.high, self.largest = math.inf, -math.inf, 0.0
        self._errors, self._error = 0, 0.0

    def add(self, wide: Array, error: Array) -> None:
        """Take in a block of the original's values and of their errors; the variance is Chan's, exact in parts."""
        import numpy as np

        self._errors, self._error = self._errors + error.size, self._error + float(error.sum())
        self.largest = max(self.largest, float(error.max(initial=0.0)))
        finite = wide[np.isfinite(wide)]
        if not finite.size:
            return
        mean, apart = float(finite.mean()), float(finite.mean()) - self._mean
        count = self.count + finite.size
        self._squares += float(((finite - mean) ** 2).sum()) + apart**2 * self.count * finite.size / count
        self._mean, self.count = self._mean + apart * finite.size / count, count
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))

    @property
    def variance(self) -> float:
        """Return the variance of all finite values of the original."""
        return self._squares / self.count if self.count else 0.0

    @property
    def mean_error(self) -> float:
        """Return the mean of all errors."""
        return self._error / self._errors if self._errors else 0.0


def _errors(wide: Array, other: Array) -> Array:
    """Return the errors of a block of values."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # infinity less infinity
        error: Array = np.abs(other - wide)
    error[~np.isfinite(error)] = math.inf
    error[(wide == other) | (np.isnan(wide) & np.isnan(other))] = 0.0  # the same infinity, or both undefined
    return error


def _variances(wide: Array) -> Array:
    """Return the variance over the images of each value; one that is no number for any image has none."""
    import numpy as np

    known = np.isfinite(wide)
    some = known.any(axis=0)
    variances: Array = np.full(wide.shape[1], np.nan)
    variances[some] = np.nanvar(np.where(known, wide, np.nan)[:, some], axis=0)
    return variances


def _decibels(signal: float, noise: float) -> float | None:
    """Return how far a signal stands above a noise, ``None`` where there is no noise."""
    if noise <= 0:
        return None
    kept = signal / noise if math.isfinite(noise) else 0.0
    return max(NOTHING_LEFT, 10 * math.log10(kept)) if kept > 0 else NOTHING_LEFT


def _worst_value(signal: Array, noise: Array, mean: float) -> dict[str, float | None]:
    """Return which value's own signal stands least above its own error, and by how many decibels.

    A value that hardly changes from image to image has next to no signal of its own, and counts for QUIET of the
    ``mean`` signal at least. ``None`` where there is no error in any value.
    """
    import numpy as np

    if not noise.any():
        return {"worst_value": None, "worst_signal_to_noise": None}
    loud = np.fmax(signal, QUIET * mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(noise > 0, loud / noise, math.inf)
    share[~np.isfinite(noise)] = 0.0
    worst = int(np.argmin(share))
    return {"worst_value": worst, "worst_signal_to_noise": _decibels(float(loud[worst]), float(noise[worst]))}


def agreement(expected: Array, actual: Array) -> float:
    """Return the share of images with the same largest value."""
    return float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean())


def accuracy(outputs: Array, labels: npt.NDArray[np.int64] | None) -> float | None:
    """Return the share of images whose largest value is that of their label."""
    if labels is None or not len(labels):
        return None
    return float((outputs.argmax(axis=1) == labels).mean())


def judge(
    proof: Proof, precision: VariantName, classes: int | None = None, *, outputs_apart: float | None = None
) -> Proof:
    """Return the proof with its verdict and the reason for it; ``classes`` is their number, where it is known.

    ``outputs_apart`` is the largest difference of the outputs where what goes into their last activation was compared.
    """
    row = THRESHOLDS[precision]
    limits = (
        f"{precision} is proven from {row.proven_snr:g} dB, {format_percent(row.agreement)} agreement and a loss of "
        f"accuracy of at most {row.accuracy * 100:g} points on, and wrong below {row.wrong_snr:g} dB: {row.why}"
    )
    verdict, found = _verdict(proof, row, classes)
    if outputs_apart is not None and outputs_apart > proof.max_error + ENDS:  # no softmax or sigmoid enlarges an error
        verdict, found = (
            "wrong",
            f"{found}, but the outputs differ by {outputs_apart:.2g}: it ends in another activation",
        )
    return replace(proof, verdict=verdict, reason=". ".join([f"{found}; {limits}", *reserves(proof)]) + ".")


def worst_of(proofs: Sequence[Proof]) -> Proof:
    """Return the proof of the output that is farthest from its original: the worst verdict, then the least signal."""
    ranks = ("wrong", "degraded", "proven")

    def rank(proof: Proof) -> tuple[int, float]:
        return ranks.index(proof.verdict), math.inf if proof.signal_to_noise is None else proof.signal_to_noise

    return min(proofs, key=rank)


def _verdict(proof: Proof, row: Thresholds, classes: int | None) -> tuple[Verdict, str]:
    ratio = math.inf if proof.signal_to_noise is None else proof.signal_to_noise
    said = "no error at all" if ratio == math.inf else f"{ratio:.1f} dB"
    said = f"the signal stands {said} above the error"
    noisy = proof.relative_error > TRIFLE
    if noisy and ratio + _offsets(proof) < row.wrong_snr:
        return "wrong", said
    doubts = [said] if noisy and ratio < row.proven_snr else []
    worst = math.inf if proof.worst_signal_to_noise is None else proof.worst_signal_to_noise
    if noisy and worst < row.wrong_snr and not _offsets(proof):
        doubts.append(f"that of the value {proof.worst_value} alone stands {worst:.1f} dB above its own error")
        if ratio - worst > APART:
            return "wrong", ", and ".join(dict.fromkeys([said, *doubts]))
    if proof.agreement is not None and proof.agreement < row.agreement:
        doubts.append(f"{format_percent(proof.agreement)} of the images keep their class")
    before, after = proof.accuracy_before, proof.accuracy_after
    if before is not None and after is not None and before - after > row.accuracy:
        doubts.append(f"the accuracy falls from {format_percent(before)} to {format_percent(after)}")
    if _is_lost(proof, row, classes):
        return "wrong", ", and ".join(doubts)
    if doubts:
        return "degraded", ", and ".join(doubts)
    return "proven", said


def _offsets(proof: Proof) -> float:
    """Return the decibels by which all of the original's variance exceeds what is told as signal, where that is flat.

    What a network that says nearly the same of every image says beside that is lost in the rounding of the rest: such
    a package is not wrong for it, and not proven.
    """
    share = proof.between_images
    return -10 * math.log10(max(share, 1e-20)) if share is not None and share < FLAT else 0.0


def _is_lost(proof: Proof, row: Thresholds, classes: int | None) -> bool:
    """Return whether too few images keep their class, or too little of the accuracy above guessing is left."""
    before, after = proof.accuracy_before, proof.accuracy_after
    if before is not None and after is not None:
        guessing = 1 / classes if classes else 0.0  # an original that only guesses has nothing to lose
        return before > guessing and before - after > row.accuracy and after - guessing < KEPT * (before - guessing)
    few = proof.agreement is not None and proof.agreement < KEPT
    return few and proof.signal_to_noise is not None and proof.signal_to_noise < row.proven_snr


def reserves(proof: Proof) -> list[str]:
    """Return what a reader must hold against the proof itself."""
    found = []
    if proof.between_images is not None and proof.between_images < FLAT:
        found.append(
            f"The original says nearly the same of every image (only {proof.between_images * 100:.2g}% of its values' "
            "variance lies between images), so that this proof says little"
        )
    if proof.images < LEAST_IMAGES:
        found.append(f"A whole proof takes {LEAST_IMAGES} images, and this one has {proof.images:,}")
    return found
