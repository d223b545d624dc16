"""Compare the outputs of a package with those of its original: error figures, thresholds and verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from coremlbench.system.formatting import format_percent
from coremlbench.types.conversion import Caveat, Proof, VariantName, Verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

FULL_PROOF_IMAGES = 500
"""Number of images of a full proof; a proof with fewer says so."""
MIN_SNR_DB = -200.0
"""The signal-to-noise ratio, in dB, recorded where there is no signal, or a value is not a number."""
LOW_VARIANCE = 0.01
"""Share of the original's variance between images below which a proof means little."""
MIN_RETAINED = 0.5
"""A package is wrong if it keeps less than this share of the top classes, or of the accuracy above chance."""
VALUES_PER_BLOCK = 1 << 22
"""Number of values compared at once; float64 copies of large outputs would not fit in memory."""
MIN_SIGNAL_SHARE = 0.25
"""Smallest signal of a single value, as a share of the mean signal; values that hardly vary matter little."""
MAX_GAP_DB = 15.0
"""Gap in dB between the ratio of all values and that of the worst value from which the worst value is lost."""
ACTIVATION_TOLERANCE = 0.02
"""Allowed difference of outputs between 0 and 1 beyond the difference of their logits: more than the 0.4% of 8-bit
outputs, and far less than the difference between two activation functions."""
WORST_FIRST: tuple[Verdict, ...] = ("wrong", "degraded", "not judged", "proven with caveats", "proven")
"""The verdicts from the worst to the best."""
NEGLIGIBLE = 1e-6
"""Errors below this share of the outputs' range are ignored, also where a constant output has no signal."""


@dataclass(frozen=True)
class Thresholds:
    """When a variant is ``proven``, and when it is ``wrong``; between the two it is ``degraded``.

    ``proven_snr`` and ``wrong_snr`` are signal-to-noise ratios in dB: the variance of each of the original's values
    over the images, averaged over the values, to the mean square of the error. (The mean over the images is no
    signal: a package that ignores its input could have it too.) ``agreement`` is the smallest share of images with
    the same top class, ``accuracy`` the largest loss of test accuracy of a proven variant. ``rationale`` is shown.
    """

    proven_snr: float
    wrong_snr: float
    agreement: float
    accuracy: float
    rationale: str


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
"""Thresholds by the precision of the package; ``as-is`` uses the row of the precision found in its program.

Accuracy has its own threshold because float16 may have large errors and the same accuracy (coremltools issues 2603 and
2625), and the reverse: an image near the boundary between two classes changes its class for a tiny error."""


def compare_outputs(expected: Array, actual: Array) -> dict[str, float | None]:
    """Return the error figures of ``actual`` against ``expected``, both (images, values), as ``Proof`` has them.

    A value that is not finite where the original's is finite has an infinite error. With a single image the signal is
    the variance over its values.
    """
    import numpy as np

    statistics, signals, noises = _RunningStatistics(), [], []
    columns = max(1, VALUES_PER_BLOCK // max(1, len(expected)))
    for start in range(0, expected.shape[1], columns):
        block = expected[:, start : start + columns].astype(np.float64)
        error = _errors(block, actual[:, start : start + columns].astype(np.float64))
        statistics.add(block, error)
        signals.append(_variances(block))
        noises.append(np.mean(error**2, axis=0))
    signal = np.concatenate(signals) if signals else np.zeros(0)
    noise = np.concatenate(noises) if noises else np.zeros(0)
    total = statistics.variance
    between = float(np.nanmean(signal)) if len(expected) > 1 and statistics.count else total
    return {
        "max_error": statistics.max_error,
        "mean_error": statistics.mean_error,
        "range": statistics.high - statistics.low if statistics.count else 0.0,
        "signal_to_noise": _decibels(between, float(np.mean(noise)) if noise.size else 0.0),
        "between_images": min(1.0, between / total) if total > 0 else 0.0,
        **_worst_value(signal, noise, between),
    }


class _RunningStatistics:
    """Range and variance of the original's finite values, and errors, accumulated block by block."""

    def __init__(self) -> None:
        self.count, self._mean, self._squares = 0, 0.0, 0.0
        self.low, self.high, self.max_error = math.inf, -math.inf, 0.0
        self._errors, self._error_sum = 0, 0.0

    def add(self, block: Array, error: Array) -> None:
        """Add a block of the original's values and their errors; the variance is updated with Chan's formula."""
        import numpy as np

        self._errors, self._error_sum = self._errors + error.size, self._error_sum + float(error.sum())
        self.max_error = max(self.max_error, float(error.max(initial=0.0)))
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
        """Return the variance of all finite values of the original."""
        return self._squares / self.count if self.count else 0.0

    @property
    def mean_error(self) -> float:
        """Return the mean absolute error."""
        return self._error_sum / self._errors if self._errors else 0.0


def _errors(expected: Array, actual: Array) -> Array:
    """Return the absolute errors of a block; equal infinities and two NaN are no error."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # infinity minus infinity
        error: Array = np.abs(actual - expected)
    error[~np.isfinite(error)] = math.inf
    error[(expected == actual) | (np.isnan(expected) & np.isnan(actual))] = 0.0
    return error


def _variances(block: Array) -> Array:
    """Return the variance of each value over the images, NaN for a value that is not finite for any image."""
    import numpy as np

    finite = np.isfinite(block)
    known = finite.any(axis=0)
    variances: Array = np.full(block.shape[1], np.nan)
    variances[known] = np.nanvar(np.where(finite, block, np.nan)[:, known], axis=0)
    return variances


def _decibels(signal: float, noise: float) -> float | None:
    """Return the signal-to-noise ratio in dB, ``MIN_SNR_DB`` at least; ``None`` where there is no noise."""
    if noise <= 0:
        return None
    ratio = signal / noise if math.isfinite(noise) else 0.0
    return max(MIN_SNR_DB, 10 * math.log10(ratio)) if ratio > 0 else MIN_SNR_DB


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
    return {"worst_value": worst, "worst_signal_to_noise": _decibels(float(signal[worst]), float(noise[worst]))}


def agreement(expected: Array, actual: Array) -> float:
    """Return the share of images with the same top class."""
    return float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean())


def accuracy(outputs: Array, labels: npt.NDArray[np.int64] | None) -> float | None:
    """Return the share of images whose top class is their label, ``None`` without labels."""
    if labels is None or not len(labels):
        return None
    return float((outputs.argmax(axis=1) == labels).mean())


def judge(
    proof: Proof, precision: VariantName, classes: int | None = None, *, output_difference: float | None = None
) -> Proof:
    """Return the proof with its verdict and the reason for it; ``classes`` is the number of classes, if known.

    ``output_difference`` is the largest absolute difference of the outputs where logits were compared.
    """
    row = THRESHOLDS[precision]
    limits = (
        f"{precision} is proven from {row.proven_snr:g} dB, {format_percent(row.agreement)} agreement and a loss of "
        f"accuracy of at most {row.accuracy * 100:g} points on, and wrong below {row.wrong_snr:g} dB: {row.rationale}"
    )
    verdict, finding = _verdict(proof, row, classes)
    # A softmax or sigmoid does not enlarge an error.
    if output_difference is not None and output_difference > proof.max_error + ACTIVATION_TOLERANCE:
        verdict = "wrong"
        finding = f"{finding}, but the outputs differ by {output_difference:.2g}: it ends in another activation"
    return with_caveats(replace(proof, verdict=verdict, reason=f"{finding}; {limits}."), sample_caveats(proof))


def with_caveats(proof: Proof, caveats: Sequence[Caveat]) -> Proof:
    """Return the proof with more caveats; a verdict of ``proven`` becomes ``proven with caveats``."""
    together = tuple(dict.fromkeys([*proof.caveats, *caveats]))
    verdict: Verdict = "proven with caveats" if together and proof.verdict == "proven" else proof.verdict
    return replace(proof, caveats=together, verdict=verdict)


def with_finding(proof: Proof, verdict: Verdict, finding: str) -> Proof:
    """Return the proof with a finding before those on its values, and with ``verdict`` unless its own is worse."""
    verdict = min(verdict, proof.verdict, key=WORST_FIRST.index)
    return replace(proof, verdict=verdict, reason=f"{finding}; {proof.reason}")


def is_proven(proof: Proof) -> bool:
    """Return whether the verdict is ``proven``, with or without caveats."""
    return proof.verdict in {"proven", "proven with caveats"}


def worst_proof(proofs: Sequence[Proof]) -> Proof:
    """Return the proof with the worst verdict; of several, the one with the lowest signal-to-noise ratio."""

    def rank(proof: Proof) -> tuple[int, float]:
        return WORST_FIRST.index(proof.verdict), _or_infinity(proof.signal_to_noise)

    return min(proofs, key=rank)


def _or_infinity(decibels: float | None) -> float:
    return math.inf if decibels is None else decibels


def _verdict(proof: Proof, row: Thresholds, classes: int | None) -> tuple[Verdict, str]:
    """Return the verdict and the findings that led to it."""
    ratio, worst_ratio = _or_infinity(proof.signal_to_noise), _or_infinity(proof.worst_signal_to_noise)
    level = "no error at all" if ratio == math.inf else f"{ratio:.1f} dB"
    summary = f"the signal stands {level} above the error"
    noisy = proof.relative_error > NEGLIGIBLE
    offset = _variance_offset_db(proof)
    if noisy and ratio + offset < row.wrong_snr:
        return "wrong", summary
    findings = [summary] if noisy and ratio < row.proven_snr else []
    if noisy and worst_ratio < row.wrong_snr and not offset:
        findings.append(f"that of the value {proof.worst_value} alone stands {worst_ratio:.1f} dB above its own error")
        if ratio - worst_ratio > MAX_GAP_DB:
            return "wrong", ", and ".join(dict.fromkeys([summary, *findings]))
    if proof.agreement is not None and proof.agreement < row.agreement:
        findings.append(f"{format_percent(proof.agreement)} of the images keep their class")
    before, after = proof.accuracy_before, proof.accuracy_after
    if before is not None and after is not None and before - after > row.accuracy:
        findings.append(f"the accuracy falls from {format_percent(before)} to {format_percent(after)}")
    if _predictions_lost(proof, row, classes):
        return "wrong", ", and ".join(findings)
    return ("degraded", ", and ".join(findings)) if findings else ("proven", summary)


def _variance_offset_db(proof: Proof) -> float:
    """Return the ratio in dB of the original's total variance to that between images if the latter is low, else 0.

    An original with nearly the same output for every image loses the small differences to rounding. With this offset
    such a package is not wrong because of it; it is not proven either.
    """
    share = proof.between_images
    return -10 * math.log10(max(share, 1e-20)) if share is not None and share < LOW_VARIANCE else 0.0


def _predictions_lost(proof: Proof, row: Thresholds, classes: int | None) -> bool:
    """Return whether too few images keep their top class, or too little of the accuracy above chance is left."""
    before, after = proof.accuracy_before, proof.accuracy_after
    if before is not None and after is not None:
        chance = 1 / classes if classes else 0.0
        significant = before > chance and before - after > row.accuracy
        return significant and after - chance < MIN_RETAINED * (before - chance)
    few = proof.agreement is not None and proof.agreement < MIN_RETAINED
    return few and proof.signal_to_noise is not None and proof.signal_to_noise < row.proven_snr


def sample_caveats(proof: Proof) -> list[Caveat]:
    """Return the caveats that follow from the samples: outputs that hardly vary, and few images."""
    caveats = []
    if proof.between_images is not None and proof.between_images < LOW_VARIANCE:
        text = (
            "The original gives nearly the same outputs for every image (only "
            f"{proof.between_images * 100:.2g}% of its values' variance lies between images), so that this proof "
            "means little."
        )
        caveats.append(Caveat("low-variance", text))
    if proof.images < FULL_PROOF_IMAGES:
        text = f"A full proof takes {FULL_PROOF_IMAGES} images, and this one has {proof.images:,}."
        caveats.append(Caveat("few-images", text))
    return caveats
