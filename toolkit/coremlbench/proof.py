"""How far a package is from its original, and what that means: figures, thresholds, verdict. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from coremlbench.coreml_types import Proof, VariantName, Verdict
from coremlbench.units import format_percent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

LEAST_IMAGES = 500


@dataclass(frozen=True)
class Thresholds:
    """When a variant is ``proven``, and when it is ``wrong``; ``degraded`` lies between.

    ``proven_snr`` and ``wrong_snr`` are decibels of the original's values over the error: the variance of all of them,
    over images and classes, to the mean square of the error. (What all values share is no signal.) ``agreement`` is
    the least share of images with the same top class, ``accuracy`` the largest loss of test accuracy still proven.
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

    A value that is not finite where the original's is makes the error infinite.
    """
    import numpy as np

    wide, other = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        error = np.abs(other - wide)
    error[~np.isfinite(error)] = math.inf
    error[(wide == other) | (np.isnan(wide) & np.isnan(other))] = 0.0  # the same infinity, or both undefined
    finite = wide[np.isfinite(wide)]
    noise = float(np.mean(error**2))
    signal = float(np.var(finite)) if finite.size else 0.0
    ratio: float | None = None
    if noise > 0:
        ratio = 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf
    return {
        "max_error": float(error.max(initial=0.0)),
        "mean_error": float(error.mean()) if error.size else 0.0,
        "range": float(np.ptp(finite)) if finite.size else 0.0,
        "signal_to_noise": ratio,
    }


def agreement(expected: Array, actual: Array) -> float:
    """Return the share of images with the same largest value."""
    return float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean())


def accuracy(outputs: Array, labels: npt.NDArray[np.int64] | None) -> float | None:
    """Return the share of images whose largest value is that of their label."""
    if labels is None or not len(labels):
        return None
    return float((outputs.argmax(axis=1) == labels).mean())


def judge(proof: Proof, precision: VariantName) -> Proof:
    """Return the proof with its verdict and the reason for it."""
    row = THRESHOLDS[precision]
    limits = (
        f"{precision} is proven from {row.proven_snr:g} dB, {format_percent(row.agreement)} agreement and a loss of "
        f"accuracy of at most {row.accuracy * 100:g} points on, and wrong below {row.wrong_snr:g} dB: {row.why}"
    )
    verdict, found = _verdict(proof, row)
    return replace(proof, verdict=verdict, reason=f"{found}; {limits}.")


def _verdict(proof: Proof, row: Thresholds) -> tuple[Verdict, str]:
    ratio = math.inf if proof.signal_to_noise is None else proof.signal_to_noise
    said = "no error at all" if ratio == math.inf else f"{ratio:.1f} dB"
    if ratio < row.wrong_snr and proof.relative_error > TRIFLE:
        return "wrong", f"the signal stands {said} above the error"
    doubts = []
    if ratio < row.proven_snr and proof.relative_error > TRIFLE:
        doubts.append(f"the signal stands {said} above the error")
    if proof.agreement is not None and proof.agreement < row.agreement:
        doubts.append(f"{format_percent(proof.agreement)} of the images keep their class")
    before, after = proof.accuracy_before, proof.accuracy_after
    if before is not None and after is not None and before - after > row.accuracy:
        doubts.append(f"the accuracy falls from {format_percent(before)} to {format_percent(after)}")
    if doubts:
        return "degraded", ", and ".join(doubts)
    return "proven", f"the signal stands {said} above the error"


TRIFLE = 1e-6
"""An error below this share of the outputs' range is none, also where a constant output leaves no signal at all."""
