import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coremlbench.coreml_types import Proof
from coremlbench.proof import THRESHOLDS, accuracy, agreement, compare, judge

LOGITS = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32)
floats = st.floats(-1e3, 1e3, width=32)


def proof_of(expected: np.ndarray, actual: np.ndarray) -> Proof:
    figures = compare(expected, actual)
    return Proof(
        verdict="wrong",
        reason="",
        runtime="",
        original="",
        images=len(expected),
        data="",
        agreement=agreement(expected, actual),
        **figures,  # type: ignore[arg-type]
    )


@given(arrays.arrays(np.float32, (7, 3), elements=floats), arrays.arrays(np.float32, (7, 3), elements=floats))
def test_the_errors_are_numpys(expected: np.ndarray, actual: np.ndarray) -> None:
    found = compare(expected, actual)
    difference = actual.astype(np.float64) - expected
    assert found["max_error"] == pytest.approx(np.abs(difference).max())
    assert found["mean_error"] == pytest.approx(np.abs(difference).mean())
    assert found["range"] == pytest.approx(np.ptp(expected.astype(np.float64)))
    noise = (difference**2).mean()
    signal = expected.astype(np.float64).var()
    if noise == 0:
        assert found["signal_to_noise"] is None
    elif signal > 0:
        assert found["signal_to_noise"] == pytest.approx(10 * math.log10(signal / noise))
    else:
        assert found["signal_to_noise"] == -math.inf


def test_no_error_is_proven() -> None:
    for precision in THRESHOLDS:
        if precision != "as-is":
            proof = judge(proof_of(LOGITS, LOGITS), precision)
            assert proof.verdict == "proven"
            assert proof.reason.startswith("the signal stands no error at all above the error")


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_wrong(broken: float) -> None:
    actual = LOGITS.copy()
    actual[3, 4] = broken
    proof = judge(proof_of(LOGITS, actual), "palettized-4")
    assert proof.verdict == "wrong"
    assert proof.max_error == math.inf
    both = compare(actual, actual)
    assert both["max_error"] == 0
    assert both["signal_to_noise"] is None


def test_the_same_error_is_judged_by_precision() -> None:
    noise = np.random.default_rng(1).normal(size=LOGITS.shape).astype(np.float32)
    verdicts = {
        share: [judge(proof_of(LOGITS, LOGITS + share * noise), name).verdict for name in ("fp32", "fp16", "int8")]
        for share in (1e-6, 1e-3, 3e-2, 1)
    }
    assert verdicts[1e-6] == ["proven", "proven", "proven"]
    assert verdicts[1e-3] == ["degraded", "proven", "proven"]
    assert verdicts[3e-2] == ["wrong", "degraded", "proven"] or verdicts[3e-2][0] == "wrong"
    assert verdicts[1] == ["wrong", "wrong", "wrong"]


def test_classes_and_accuracy_count_beside_the_errors() -> None:
    proof = proof_of(LOGITS, LOGITS + np.float32(1e-4))
    assert judge(proof, "fp16").verdict == "proven"
    fewer = judge(replace(proof, agreement=0.9), "fp16")
    assert fewer.verdict == "degraded"
    assert "90.0% of the images keep their class" in fewer.reason
    lost = judge(replace(proof, accuracy_before=0.8, accuracy_after=0.7), "fp16")
    assert lost.verdict == "degraded"
    assert "the accuracy falls from 80.0% to 70.0%" in lost.reason
    assert judge(replace(proof, accuracy_before=0.7, accuracy_after=0.8), "fp16").verdict == "proven"


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
