import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coremlbench.conversion.proof import (
    THRESHOLDS,
    InputKind,
    accuracy,
    agreement,
    compare_outputs,
    judge,
    worst_proof,
)
from coremlbench.conversion.value_statistics import compare_values
from coremlbench.runs import store
from coremlbench.types.conversion import MIN_SNR_DB, ConversionRecord, Proof, Variant, VariantName
from tests.failing_records import CONVERSION

LOGITS = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32)
floats = st.floats(-1e3, 1e3, width=32)


def proof_of(expected: np.ndarray, actual: np.ndarray) -> Proof:
    figures = compare_outputs(expected, actual)
    return Proof(
        verdict="wrong",
        reason="",
        runtime="",
        original="",
        images=len(expected),
        data="",
        agreement=agreement(expected, actual),
        **figures,
    )


def judged(expected: np.ndarray, actual: np.ndarray, precision: VariantName, inputs: InputKind = "data") -> Proof:
    """Return the proof as the worker has it judged, with the statistics of the single values."""
    values = compare_values(expected, actual)
    return judge(proof_of(expected, actual), precision, values=values, inputs=inputs)


@given(arrays.arrays(np.float32, (7, 3), elements=floats), arrays.arrays(np.float32, (7, 3), elements=floats))
def test_the_errors_are_numpys(expected: np.ndarray, actual: np.ndarray) -> None:
    figures = compare_outputs(expected, actual)
    difference = actual.astype(np.float64) - expected
    assert figures["max_error"] == pytest.approx(np.abs(difference).max())
    assert figures["mean_error"] == pytest.approx(np.abs(difference).mean())
    assert figures["range"] == pytest.approx(np.ptp(expected.astype(np.float64)))
    noise = (difference**2).mean()
    signal = expected.astype(np.float64).var(axis=0).mean()
    if noise == 0:
        assert figures["signal_to_noise"] is None
    elif signal > 0:
        assert figures["signal_to_noise"] == pytest.approx(max(MIN_SNR_DB, 10 * math.log10(signal / noise)))
    else:
        assert figures["signal_to_noise"] == MIN_SNR_DB


@given(arrays.arrays(np.float32, (7, 40), elements=floats), arrays.arrays(np.float32, (7, 40), elements=floats))
def test_in_blocks_it_is_the_same(expected: np.ndarray, actual: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole = compare_outputs(expected, actual)
        patch.setattr("coremlbench.conversion.value_statistics.VALUES_PER_BLOCK", 21)
        blocks = compare_outputs(expected, actual)
    assert blocks["worst_value"] == whole["worst_value"] or blocks["worst_signal_to_noise"] == pytest.approx(
        whole["worst_signal_to_noise"]
    )
    for name in ("max_error", "mean_error", "range", "signal_to_noise", "between_images"):
        assert blocks[name] == pytest.approx(whole[name])


def test_one_value_that_is_lost_among_many() -> None:
    expected = np.random.default_rng(1).normal(size=(500, 1000)).astype(np.float32)
    actual = expected + np.float32(0.01) * np.random.default_rng(2).normal(size=expected.shape).astype(np.float32)
    actual[:, 7] = expected[:, 7].mean()
    figures = compare_outputs(expected, actual)
    assert figures["worst_value"] == 7
    assert figures["worst_signal_to_noise"] == pytest.approx(0, abs=0.5)
    for precision in ("int8", "int8-activations"):
        proof = judge(proof_of(expected, actual), precision)
        assert proof.verdict == "wrong"
        assert "the signal of the value 7 alone stands" in proof.reason
    assert judge(proof_of(expected, expected * np.float32(0.999)), "int8").verdict == "proven"


def test_a_value_that_hardly_changes_is_judged_by_the_others() -> None:
    expected = LOGITS.copy()
    expected[:, 2] = 0.001 * LOGITS[:, 2]
    noise = np.random.default_rng(3).normal(0, 0.03, LOGITS.shape).astype(np.float32)
    proof = judge(proof_of(expected, expected + noise), "int8")
    assert proof.verdict == "proven"
    assert proof.worst_signal_to_noise is not None
    assert proof.worst_signal_to_noise > 20


@pytest.mark.parametrize(("classes", "before", "after"), [(2, 0.45, 0.435), (10, 0.05, 0.035)])
def test_an_original_that_only_guesses_has_nothing_to_lose(classes: int, before: float, after: float) -> None:
    proof = replace(proof_of(LOGITS, LOGITS * np.float32(1.001)), accuracy_before=before, accuracy_after=after)
    assert judge(proof, "fp16", classes).verdict == "degraded"


def test_the_worst_of_several_outputs() -> None:
    right = judge(proof_of(LOGITS, LOGITS), "fp32")
    noisy = judge(proof_of(LOGITS, LOGITS * np.float32(1.00001)), "fp32")
    wrong = judge(proof_of(LOGITS, -LOGITS), "fp32")
    assert worst_proof([right, noisy, wrong]) is wrong
    assert worst_proof([right, noisy]) is noisy


def test_no_error_is_proven() -> None:
    for precision in THRESHOLDS:
        proof = judge(proof_of(LOGITS, LOGITS), precision)
        assert proof.verdict == "proven"
        assert proof.reason.startswith("the signal stands no error at all above the error")


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_wrong(broken: float) -> None:
    actual = LOGITS.copy()
    actual[3, 4] = broken
    proof = judge(proof_of(LOGITS, actual), "palettized-4")
    assert proof.verdict == "wrong"
    assert proof.max_error is None
    assert proof.mean_error is None
    assert proof.relative_error is None
    assert proof.non_finite_values == 1
    assert proof.reason.startswith("1 number is not finite")
    both = compare_outputs(actual, actual)
    assert both["max_error"] == 0
    assert both["signal_to_noise"] is None


def test_a_record_keeps_that_nothing_was_a_number(tmp_path: Path) -> None:
    actual = LOGITS.copy()
    actual[:] = math.nan
    proof = judge(proof_of(LOGITS, actual), "fp16")
    variant = Variant("fp16", 1, path="x.mlpackage", proof=proof)
    store.save(replace(CONVERSION, variants=(variant,)), tmp_path)
    loaded = store.load(tmp_path)
    assert isinstance(loaded, ConversionRecord)
    assert loaded.variants[0].proof is not None
    assert loaded.variants[0].proof.signal_to_noise == MIN_SNR_DB, "None would say: no noise at all"
    assert loaded.variants[0].proof == proof
    assert proof.non_finite_values == actual.size


@pytest.mark.parametrize("precision", THRESHOLDS)
def test_a_package_that_says_the_same_of_every_image_is_not_proven(precision: VariantName) -> None:
    apart = (
        LOGITS + np.arange(10, dtype=np.float32) * 100
    )  # most of the variance is between classes, none of it is signal
    constant = np.repeat(apart.mean(axis=0, keepdims=True), len(apart), axis=0)
    assert judge(proof_of(apart, constant), precision).verdict != "proven"
    mean = LOGITS.mean(axis=0, keepdims=True).repeat(len(LOGITS), axis=0)
    assert judge(proof_of(LOGITS, mean), precision).verdict == "wrong"


def test_an_original_that_says_nearly_the_same_of_every_image_proves_little() -> None:
    flat = LOGITS * np.float32(1e-3) + np.arange(10, dtype=np.float32)
    rounded = judge(proof_of(flat, flat.astype(np.float16).astype(np.float32)), "fp16")
    assert rounded.between_images is not None
    assert rounded.between_images < 1e-4
    assert rounded.verdict == "degraded", "not wrong: what is left over is lost in the rounding of the rest"
    assert [caveat.code for caveat in rounded.caveats] == ["low-variance"]
    assert "gives nearly the same outputs for every sample" in rounded.caveats[0].text
    assert judge(proof_of(LOGITS, LOGITS), "fp16").caveats == ()
    assert judge(proof_of(flat, -flat), "fp16").verdict == "wrong"


def test_the_same_error_is_judged_by_precision() -> None:
    noise = np.random.default_rng(1).normal(size=LOGITS.shape).astype(np.float32)
    verdicts = {
        share: [judge(proof_of(LOGITS, LOGITS + share * noise), name).verdict for name in ("fp32", "fp16", "int8")]
        for share in (1e-6, 1e-3, 3e-2, 1)
    }
    assert verdicts[1e-6] == ["proven", "proven", "proven"]
    assert verdicts[1e-3] == ["degraded", "proven", "proven"]
    assert verdicts[3e-2] == ["wrong", "degraded", "proven"]
    assert verdicts[1] == ["wrong", "wrong", "wrong"]


def test_classes_and_accuracy_count_beside_the_errors() -> None:
    proof = proof_of(LOGITS, LOGITS + np.float32(1e-4))
    assert judge(proof, "fp16").verdict == "proven"
    fewer = judge(replace(proof, agreement=0.9), "fp16")
    assert fewer.verdict == "degraded"
    assert "90.0% of the samples keep their class" in fewer.reason
    assert "a loss of accuracy of at most 1 point on, and wrong below 15 dB" in fewer.reason
    lost = judge(replace(proof, accuracy_before=0.8, accuracy_after=0.7), "fp16")
    assert lost.verdict == "degraded"
    assert "the accuracy falls from 80.0% to 70.0%" in lost.reason
    assert judge(replace(proof, accuracy_before=0.7, accuracy_after=0.8), "fp16").verdict == "proven"


def test_what_lost_its_classes_is_wrong() -> None:
    proof = replace(proof_of(LOGITS, LOGITS + np.float32(1e-4)), accuracy_before=0.9, accuracy_after=0.48)
    assert judge(proof, "palettized-4", 10).verdict == "wrong", "half of what stands above guessing is 0.5"
    assert judge(replace(proof, accuracy_after=0.52), "palettized-4", 10).verdict == "degraded"
    assert judge(replace(proof, accuracy_after=0.48), "palettized-4").verdict == "degraded", "guessing is not known"
    foreign = replace(proof, accuracy_before=None, accuracy_after=None, agreement=0.3, signal_to_noise=5.0)
    assert judge(foreign, "palettized-4").verdict == "wrong"
    assert judge(replace(foreign, signal_to_noise=30.0), "palettized-4").verdict == "degraded", "near-ties, no error"


def test_few_images_are_told() -> None:
    few = judge(proof_of(LOGITS[:50], LOGITS[:50]), "fp32")
    assert few.verdict == "proven with caveats"
    (caveat,) = few.caveats
    assert (caveat.code, caveat.text) == ("few-images", "A full proof takes 500 samples, and this one has 50.")
    assert judge(proof_of(LOGITS, LOGITS), "fp32").caveats == ()


def test_thresholds_only_loosen_with_the_precision() -> None:
    rows = [THRESHOLDS[name] for name in ("fp32", "fp16", "int8", "palettized-6", "palettized-4")]
    for finer, coarser in pairwise(rows):
        assert finer.proven_snr >= coarser.proven_snr > coarser.wrong_snr
        assert finer.agreement >= coarser.agreement
        assert finer.accuracy <= coarser.accuracy


def test_accuracy_counts_the_largest_value() -> None:
    outputs = np.array([[1, 2, 3], [3, 2, 1]], np.float32)
    assert accuracy(outputs, np.array([2, 1])) == 0.5
    assert accuracy(outputs, None) is None
    assert agreement(outputs, outputs[:, ::-1]) == 0.0
