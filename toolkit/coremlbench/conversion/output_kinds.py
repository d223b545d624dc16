"""Outputs that are not judged by the signal between images: class indices, and arrays that no input changes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coremlbench.conversion.proof import (
    MIN_RETAINED,
    NEGLIGIBLE,
    RANDOM_INPUTS,
    THRESHOLDS,
    UNCOMPRESSED,
    InputKind,
    random_inputs_reason,
    sample_caveats,
    with_caveats,
)
from coremlbench.system.formatting import format_percent
from coremlbench.types.conversion import MIN_SNR_DB, Proof, VariantName, Verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

GROSS_RETAINED = 0.1
"""Share of the equal indices beyond chance below which a compressed package is wrong on random inputs too."""
PROVEN_RETAINED = 0.8
"""Smallest share of the equal indices beyond chance of a proven package."""


def is_constant(expected: Array) -> bool:
    """Return whether an original's values (images, values) are the same for every image."""
    import numpy as np

    return bool(np.array_equal(expected, np.broadcast_to(expected[:1], expected.shape), equal_nan=True))


def _decibels(ratio: float) -> float:
    return max(MIN_SNR_DB, 10 * math.log10(ratio)) if ratio > 0 else MIN_SNR_DB


def judge_indices(
    proof: Proof, expected: Array, actual: Array, precision: VariantName, inputs: InputKind = "data"
) -> Proof:
    """Return the proof of class indices or truth values (images, values), with the share of equal ones as agreement.

    A difference of two indices means nothing, so that errors in decibels do not count. Equal indices beyond chance are
    those beyond the share that a package would have that always gives the most frequent index. ``inputs`` is what was
    compared: random inputs say nothing of compression, unless next to nothing is left.
    """
    import numpy as np

    agreement = THRESHOLDS[precision].agreement
    equal = float((expected == actual).mean()) if expected.size else 1.0
    _, counts = np.unique(expected, return_counts=True)
    chance = float(counts.max(initial=0)) / max(1, expected.size)
    retained = (equal - chance) / (1 - chance) if chance < 1 else float(equal >= agreement)
    verdict: Verdict = "degraded"
    if retained < MIN_RETAINED:
        verdict = "wrong"
    elif equal >= agreement and retained >= PROVEN_RETAINED:
        verdict = "proven"
    reason = (
        f"{format_percent(equal)} of the indices are equal ({format_percent(chance)} have the most frequent one); "
        f"{precision} is proven from {format_percent(agreement)} and {format_percent(PROVEN_RETAINED)} of those beyond "
        f"chance on, and wrong below {format_percent(MIN_RETAINED)} of them."
    )
    if inputs != "data" and precision not in UNCOMPRESSED and retained >= GROSS_RETAINED:
        return replace(proof, verdict="not judged", reason=random_inputs_reason(inputs), agreement=equal)
    judged = replace(proof, verdict=verdict, reason=reason, agreement=equal)
    return with_caveats(judged, [*sample_caveats(judged), *([RANDOM_INPUTS] if inputs != "data" else [])])


def judge_constants(proof: Proof, expected: Array, actual: Array, precision: VariantName) -> Proof:
    """Return the proof of an output (images, values) that is the same for every image.

    Its signal is the mean square of its values, and a few images are as good as many.
    """
    import numpy as np

    row = THRESHOLDS[precision]
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        errors = np.abs(expected.astype(np.float64) - actual)
    errors[~np.isfinite(errors)] = math.inf
    errors[(expected == actual) | (np.isnan(expected) & np.isnan(actual))] = 0.0
    values = expected[:1].astype(np.float64)
    values = values[np.isfinite(values)]
    signal = float(np.mean(values**2)) if values.size else 0.0
    noise = float(np.mean(errors**2)) if errors.size else 0.0
    ratio = None if noise == 0 else _decibels(signal / noise)
    negligible = float(errors.max(initial=0.0)) <= NEGLIGIBLE * float(np.abs(values).max(initial=0.0))
    verdict: Verdict = "proven"
    if ratio is not None and not negligible:
        verdict = "wrong" if ratio < row.wrong_snr else "degraded" if ratio < row.proven_snr else "proven"
    level = "without any error" if ratio is None else f"{ratio:.1f} dB above the error"
    reason = (
        f"the output is the same for every input, and its values stand {level}; {precision} is proven from "
        f"{row.proven_snr:g} dB on, and wrong below {row.wrong_snr:g} dB: {row.rationale}."
    )
    return replace(
        proof, verdict=verdict, reason=reason, signal_to_noise=ratio, worst_value=None, worst_signal_to_noise=None
    )
