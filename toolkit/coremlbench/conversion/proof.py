"""Compare the outputs of a package with those of its original: error figures, thresholds and verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from coremlbench.conversion.value_statistics import (
    ValueFinding,
    ValueLimits,
    ValueStatistics,
    compare_values,
    decibels,
    power_ratio,
    value_finding,
)
from coremlbench.system.formatting import format_percent, pluralize
from coremlbench.types.conversion import Caveat, Proof, VariantName, Verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

FULL_PROOF_IMAGES = 500
"""Number of images of a full proof; a proof with fewer says so."""
LOW_VARIANCE = 0.01
"""Share of the original's variance between images below which a proof means little."""
MIN_RETAINED = 0.5
"""A package is wrong if it keeps less than this share of the top classes, or of the accuracy above chance."""
MAX_GAP_DB = 15.0
"""Gap in dB between the ratio of all values and that of the worst value from which the worst value is lost."""
ACTIVATION_TOLERANCE = 0.02
"""Allowed difference of outputs between 0 and 1 beyond the difference of their logits: more than the 0.4% of 8-bit
outputs, and far less than the difference between two activation functions."""
WORST_FIRST: tuple[Verdict, ...] = ("wrong", "degraded", "not judged", "proven with caveats", "proven")
"""The verdicts from the worst to the best."""
NEGLIGIBLE = 1e-6
"""Errors below this share of the outputs' range are ignored, also where a constant output has no signal."""
FAINT_SIGNAL_DB = 10.0
"""A right package errs a little more than one rounding of its outputs: from this distance to ``wrong_snr`` on, a signal
is strong enough to be judged whatever the error is."""
GROSS_DB = 15.0
"""Distance in dB below ``wrong_snr`` from which a compressed package is wrong on random inputs too."""
GROSS_CORRELATION = 0.2
"""Correlation with the original's outputs below which it is wrong on them too."""
UNCOMPRESSED: tuple[VariantName, ...] = ("fp32", "fp16")
"""The variants that random inputs can judge: their errors depend little on what the inputs show."""
InputKind = Literal["data", "random pictures", "random numbers"]
"""What a package and its original were compared on."""


@dataclass(frozen=True)
class Thresholds:
    """When a variant is ``proven``, and when it is ``wrong``; between the two it is ``degraded``.

    ``proven_snr`` and ``wrong_snr`` are signal-to-noise ratios in dB: the variance of each of the original's values
    over the images, averaged over the values, to the mean square of the error. (The mean over the images is no
    signal: a package that ignores its input could have it too.) ``agreement`` is the smallest share of images with
    the same top class, ``accuracy`` the largest loss of test accuracy of a proven variant. ``rationale`` is shown.
    ``weights_db`` is how far the error of a right package may be above that of rounding its outputs once: 66 dB of
    float16 less ``proven_snr``. ``activations_db`` and ``constant_db`` are those of ``ValueLimits``.
    """

    proven_snr: float
    wrong_snr: float
    agreement: float
    accuracy: float
    rationale: str
    weights_db: float
    activations_db: float
    constant_db: float = -math.inf


THRESHOLDS: dict[VariantName, Thresholds] = {
    "fp32": Thresholds(
        70,
        40,
        0.999,
        0.002,
        "two runtimes add the same float32 products in another order: 1e-7 a step, 1e-5 over a deep network",
        50,
        50,
    ),
    "fp16": Thresholds(
        35,
        15,
        0.98,
        0.01,
        "float16 keeps 11 bits: 66 dB at each op, and a deep network adds up the errors of a hundred",
        31,
        31,
    ),
    "int8": Thresholds(
        20,
        8,
        0.95,
        0.02,
        "weights of 8 bits, a scale for each channel: 40 to 50 dB at each layer",
        46,
        31,
    ),
    "palettized-6": Thresholds(
        15,
        5,
        0.95,
        0.02,
        "weights that are one of 64 values: 30 to 35 dB at each layer",
        51,
        31,
    ),
    "palettized-4": Thresholds(
        12,
        0,
        0.9,
        0.05,
        "weights that are one of 16 values: about 20 dB at each layer",
        54,
        31,
    ),
    "int8-activations": Thresholds(
        15,
        3,
        0.95,
        0.02,
        "weights and activations of 8 bits, one scale for each activation: 30 to 40 dB at each layer",
        51,
        51,
        6,
    ),
}
"""Thresholds by the precision of the package; ``as-is`` uses the row of the precision found in its program.

Accuracy has its own threshold because float16 may have large errors and the same accuracy (coremltools issues 2603 and
2625), and the reverse: an image near the boundary between two classes changes its class for a tiny error."""


def compare_outputs(expected: Array, actual: Array) -> dict[str, Any]:
    """Return the error figures of ``actual`` against ``expected``, both (images, values), as ``Proof`` has them.

    ``max_error`` and ``mean_error`` are ``None`` where a value is not finite and the original's is. With a single
    image the signal is the variance over its values.
    """
    return compare_values(expected, actual).figures()


def agreement(expected: Array, actual: Array) -> float:
    """Return the share of images with the same top class."""
    return float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean())


def accuracy(outputs: Array, labels: npt.NDArray[np.int64] | None) -> float | None:
    """Return the share of images whose top class is their label, ``None`` without labels."""
    if labels is None or not len(labels):
        return None
    return float((outputs.argmax(axis=1) == labels).mean())


def judge(
    proof: Proof,
    precision: VariantName,
    classes: int | None = None,
    *,
    values: ValueStatistics | None = None,
    output_difference: float | None = None,
    inputs: InputKind = "data",
) -> Proof:
    """Return the proof with its verdict, the reason for it, and the caveats that follow from the samples.

    ``classes`` is the number of classes, if known, and ``values`` are the statistics that the figures came from.
    ``output_difference`` is the largest absolute difference of the outputs where logits were compared.
    """
    if values is not None and not values.has_original:
        return replace(proof, verdict="not judged", reason=_no_number_reason(inputs))
    row = THRESHOLDS[precision]
    limits = _value_limits(row, precision)
    single = None if values is None else value_finding(values, limits)
    offset = _variance_offset_db(proof) if values is None or values.is_explained(limits) else 0.0
    verdict, finding = _verdict(proof, row, classes, single, offset)
    # A softmax or sigmoid does not enlarge an error.
    other_activation = output_difference is not None and not output_difference <= (
        (math.inf if proof.max_error is None else proof.max_error) + ACTIVATION_TOLERANCE
    )
    if other_activation:
        verdict = "wrong"
        finite = math.isfinite(output_difference or 0.0)
        what = f"differ by {output_difference:.2g}: it ends in another activation" if finite else "are not finite"
        finding = f"{finding}, but the outputs {what}"
    elif values is not None and (single is None or not single.lost) and not proof.non_finite_values:
        missing = _missing_evidence(proof, precision, values, verdict, inputs)
        if missing:
            return replace(proof, verdict="not judged", reason=missing)
    loss = f"{row.accuracy * 100:g} {pluralize(row.accuracy * 100, 'point')}"
    thresholds = (
        f"{precision} is proven from {row.proven_snr:g} dB, {format_percent(row.agreement)} agreement and a loss of "
        f"accuracy of at most {loss} on, and wrong below {row.wrong_snr:g} dB: {row.rationale}"
    )
    caveats = [*sample_caveats(proof), *([RANDOM_INPUTS] if inputs != "data" else [])]
    return with_caveats(replace(proof, verdict=verdict, reason=f"{finding}; {thresholds}."), caveats)


RANDOM_INPUTS = Caveat(
    "random-inputs", "The inputs were random, so that nothing is proven for the inputs that the model is made for."
)


def with_caveats(proof: Proof, caveats: Sequence[Caveat]) -> Proof:
    """Return the proof with more caveats; a verdict of ``proven`` becomes ``proven with caveats``."""
    together = tuple(dict.fromkeys([*proof.caveats, *caveats]))
    verdict: Verdict = "proven with caveats" if together and proof.verdict == "proven" else proof.verdict
    return replace(proof, caveats=together, verdict=verdict)


def with_finding(proof: Proof, verdict: Verdict, finding: str) -> Proof:
    """Return the proof with a finding before those on its values, and with ``verdict`` unless its own is worse."""
    verdict = min(verdict, proof.verdict, key=WORST_FIRST.index)
    return replace(proof, verdict=verdict, reason=f"{finding}; {proof.reason}")


def worst_proof(proofs: Sequence[Proof], outputs: Sequence[str] = ()) -> Proof:
    """Return the proof with the worst verdict; of several, the one with the lowest signal-to-noise ratio.

    ``outputs`` names the output of each proof. One without a signal does not decide where others can be judged: the
    proof of the worst of those has a caveat that names it.
    """
    ranks: tuple[Verdict, ...] = ("wrong", "degraded", "proven with caveats", "proven", "not judged")

    def rank(proof: Proof) -> tuple[int, float]:
        return ranks.index(proof.verdict), _or_infinity(proof.signal_to_noise)

    worst = min(proofs, key=rank)
    silent = [name for name, proof in zip(outputs, proofs, strict=False) if proof.verdict == "not judged"]
    if worst.verdict == "not judged" or not silent:
        return worst
    text = f"The original gives nearly the same for every sample in {', '.join(silent)}, which proves nothing of it."
    return with_caveats(worst, [Caveat("low-variance", text)])


def _or_infinity(decibels: float | None) -> float:
    return math.inf if decibels is None else decibels


def _verdict(
    proof: Proof, row: Thresholds, classes: int | None, single: ValueFinding | None, offset: float
) -> tuple[Verdict, str]:
    """Return the verdict and the findings that led to it.

    ``single`` is the finding of the worst single value, ``offset`` that of ``_variance_offset_db`` where it applies.
    """
    ratio, worst_ratio = _or_infinity(proof.signal_to_noise), _or_infinity(proof.worst_signal_to_noise)
    level = "no error at all" if ratio == math.inf else f"{ratio:.1f} dB"
    summary = f"the signal stands {level} above the error"
    noisy = proof.relative_error is None or proof.relative_error > NEGLIGIBLE
    if proof.non_finite_values:
        count = proof.non_finite_values
        subject = "1 number is" if count == 1 else f"{count:,} numbers are"
        summary = f"{subject} not finite where the original's are, or the reverse"
        return "wrong", summary
    if noisy and ratio + offset < row.wrong_snr:
        return "wrong", summary
    findings = [summary] if noisy and ratio < row.proven_snr else []
    if noisy and single is not None:
        findings.append(single.text)
        if single.lost:
            return "wrong", _join(summary, *findings)
    if noisy and worst_ratio < row.wrong_snr and not offset:
        findings.append(
            f"the signal of the value {proof.worst_value} alone stands {worst_ratio:.1f} dB above its own error"
        )
        if ratio - worst_ratio > MAX_GAP_DB:
            return "wrong", _join(summary, *findings)
    if proof.agreement is not None and proof.agreement < row.agreement:
        findings.append(f"{format_percent(proof.agreement)} of the samples keep their class")
    before, after = proof.accuracy_before, proof.accuracy_after
    if before is not None and after is not None and before - after > row.accuracy:
        findings.append(f"the accuracy falls from {format_percent(before)} to {format_percent(after)}")
    if _predictions_lost(proof, row, classes):
        return "wrong", _join(*findings)
    return ("degraded", _join(*findings)) if findings else ("proven", summary)


def _join(*findings: str) -> str:
    """Return findings as one clause, each once."""
    return ", and ".join(dict.fromkeys(findings))


def _value_limits(row: Thresholds, precision: VariantName) -> ValueLimits:
    return ValueLimits(
        proven_snr=row.proven_snr,
        wrong_snr=row.wrong_snr,
        weights_db=row.weights_db,
        activations_db=row.activations_db,
        constant_db=row.constant_db,
        float32=precision == "fp32",
    )


def _missing_evidence(
    proof: Proof, precision: VariantName, values: ValueStatistics, verdict: Verdict, inputs: InputKind
) -> str:
    """Return why the samples or the original allow no verdict, with what to do; empty where they allow one."""
    row, signal, noise = THRESHOLDS[precision], values.mean_signal, values.mean_noise
    ratio, rounding = _or_infinity(proof.signal_to_noise), values.mean_rounding(float32=precision == "fp32")
    resolution = -math.inf if signal <= 0 else _or_infinity(decibels(signal, rounding))
    explained = values.is_explained(_value_limits(row, precision)) or (proof.relative_error or 0.0) <= NEGLIGIBLE
    silent = resolution < row.wrong_snr and explained and not (signal > 0 and ratio >= row.proven_snr)
    faint = resolution < row.wrong_snr + FAINT_SIGNAL_DB and noise <= rounding * power_ratio(FAINT_SIGNAL_DB)
    if silent or (faint and verdict == "wrong"):
        return _no_signal_reason(precision, math.sqrt(signal), inputs)
    if inputs == "data" or precision in UNCOMPRESSED:
        return ""
    far_below = ratio < row.wrong_snr - GROSS_DB
    if verdict == "wrong" and not explained and (far_below or values.correlation < GROSS_CORRELATION):
        return ""
    return random_inputs_reason(inputs)


def _no_number_reason(inputs: InputKind) -> str:
    return (
        "The original gives no finite number for any sample, so that there is nothing to compare: "
        f"{_other_samples(inputs)}, or train the model anew."
    )


def _no_signal_reason(precision: VariantName, deviation: float, inputs: InputKind) -> str:
    if precision == "fp32" or deviation == 0:
        return (
            "The original gives the same outputs for every sample, so that there is nothing to compare: "
            f"{_other_samples(inputs)}, or train the model first."
        )
    return (
        f"From sample to sample the original's outputs vary by {deviation:.1g}, less than float16 keeps of them, so "
        "that there is nothing to compare: train the model first, or convert it with `--variants fp32`."
    )


def random_inputs_reason(inputs: InputKind) -> str:
    """Return why a compressed package is not judged on random inputs, and what to do."""
    if inputs == "random pictures":
        return (
            "Random inputs say nothing of compression: give --data, with pictures like those of the training "
            "(`--data DIR`) or, for a first look, with drawn ones (`--data drawn-food`)."
        )
    return (
        "Random inputs say nothing of compression, and --data gives pictures, which this model does not take: random "
        "inputs can judge it with `--variants fp16`."
    )


def _other_samples(inputs: InputKind) -> str:
    if inputs == "random pictures":
        return "give other inputs (`--data drawn-food`)"
    return "give other inputs"


def _variance_offset_db(proof: Proof) -> float:
    """Return the ratio in dB of the original's total variance to that between images if the latter is low, else 0.

    An original with nearly the same output for every image loses the small differences to rounding. Where rounding
    explains the error, such a package is not wrong with this offset; it is not proven either.
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
            "The original gives nearly the same outputs for every sample (only "
            f"{proof.between_images * 100:.2g}% of its values' variance lies between samples), so that this proof "
            "means little."
        )
        caveats.append(Caveat("low-variance", text))
    if proof.images < FULL_PROOF_IMAGES:
        text = f"A full proof takes {FULL_PROOF_IMAGES} samples, and this one has {proof.images:,}."
        caveats.append(Caveat("few-images", text))
    return caveats
