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
"""The images of a whole proof; one with fewer says so."""
NOTHING_LEFT = -200.0
"""The decibels told where nothing is left of the signal, or a value is not a number: the lowest there are."""
FLAT = 0.01
"""The share of the original's variance that must lie between images, for a proof to say much."""
KEPT = 0.5
"""Below this share of the images that keep their class, or of the accuracy above guessing, a package is wrong."""
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

    wide, other = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        error = np.abs(other - wide)
    error[~np.isfinite(error)] = math.inf
    error[(wide == other) | (np.isnan(wide) & np.isnan(other))] = 0.0  # the same infinity, or both undefined
    known = np.isfinite(wide)
    finite = wide[known]
    noise = float(np.mean(error**2))
    total = float(np.var(finite)) if finite.size else 0.0
    between = float(np.mean(_variances(wide, known))) if len(wide) > 1 and finite.size else total
    ratio: float | None = None
    if noise > 0:
        kept = between / noise if math.isfinite(noise) else 0.0
        ratio = max(NOTHING_LEFT, 10 * math.log10(kept)) if kept > 0 else NOTHING_LEFT
    return {
        "max_error": float(error.max(initial=0.0)),
        "mean_error": float(error.mean()) if error.size else 0.0,
        "range": float(np.ptp(finite)) if finite.size else 0.0,
        "signal_to_noise": ratio,
        "between_images": min(1.0, between / total) if total > 0 else 0.0,
    }


def _variances(wide: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Return the variance over the images of each value that is a number for any."""
    import numpy as np

    some = known.any(axis=0)
    variances: Array = np.nanvar(np.where(known, wide, np.nan)[:, some], axis=0)
    return variances


def agreement(expected: Array, actual: Array) -> float:
    """Return the share of images with the same largest value."""
    return float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean())


def accuracy(outputs: Array, labels: npt.NDArray[np.int64] | None) -> float | None:
    """Return the share of images whose largest value is that of their label."""
    if labels is None or not len(labels):
        return None
    return float((outputs.argmax(axis=1) == labels).mean())


def judge(proof: Proof, precision: VariantName, classes: int | None = None) -> Proof:
    """Return the proof with its verdict and the reason for it; ``classes`` is their number, where it is known."""
    row = THRESHOLDS[precision]
    limits = (
        f"{precision} is proven from {row.proven_snr:g} dB, {format_percent(row.agreement)} agreement and a loss of "
        f"accuracy of at most {row.accuracy * 100:g} points on, and wrong below {row.wrong_snr:g} dB: {row.why}"
    )
    verdict, found = _verdict(proof, row, classes)
    return replace(proof, verdict=verdict, reason=". ".join([f"{found}; {limits}", *_reserves(proof)]) + ".")


def _verdict(proof: Proof, row: Thresholds, classes: int | None) -> tuple[Verdict, str]:
    ratio = math.inf if proof.signal_to_noise is None else proof.signal_to_noise
    said = "no error at all" if ratio == math.inf else f"{ratio:.1f} dB"
    said = f"the signal stands {said} above the error"
    noisy = proof.relative_error > TRIFLE
    if noisy and ratio + _offsets(proof) < row.wrong_snr:
        return "wrong", said
    doubts = []
    if noisy and ratio < row.proven_snr:
        doubts.append(said)
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
        guessing = 1 / classes if classes else 0.0
        return before - after > row.accuracy and after - guessing < KEPT * (before - guessing)
    few = proof.agreement is not None and proof.agreement < KEPT
    return few and proof.signal_to_noise is not None and proof.signal_to_noise < row.proven_snr


def _reserves(proof: Proof) -> list[str]:
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
