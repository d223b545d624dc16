"""Single values that a package lost, and comparisons that allow no verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.conversion.proof import THRESHOLDS, InputKind, agreement, compare_outputs, judge, worst_proof
from coremlbench.conversion.value_statistics import compare_values
from coremlbench.types.conversion import Proof, VariantName

NOISE_DB: dict[VariantName, float] = {
    "fp32": 110,
    "fp16": 50,
    "int8": 30,
    "palettized-6": 22,
    "palettized-4": 14,
    "int8-activations": 22,
}
"""The noise of a right package of each variant, in dB below the signal."""
COMPRESSED: tuple[VariantName, ...] = ("int8", "palettized-6", "palettized-4", "int8-activations")


def judged(expected: np.ndarray, actual: np.ndarray, precision: VariantName, inputs: InputKind = "data") -> Proof:
    """Return the proof as the worker has it judged; the agreement is left out, as it depends on near ties."""
    values = compare_values(expected, actual)
    proof = Proof("wrong", "", "", "", len(expected), "", **values.figures())
    return judge(proof, precision, values=values, inputs=inputs)


def outputs(classes: int, images: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(images, classes)).astype(np.float32)


def with_noise(values: np.ndarray, precision: VariantName, signal: float = 1.0) -> np.ndarray:
    """Return the values as a right package of this variant gives them; values that never change stay constant."""
    noise = np.random.default_rng(9).normal(size=values.shape)
    noise *= math.sqrt(signal) * 10 ** (-NOISE_DB[precision] / 20) * (np.ptp(values, axis=0) > 0)
    return (values + noise).astype(np.float32)


@pytest.mark.parametrize("precision", THRESHOLDS)
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_a_class_that_is_dead_is_wrong(classes: int, precision: VariantName) -> None:
    expected = outputs(classes)
    assert judged(expected, with_noise(expected, precision), precision).verdict == "proven"
    for constant in (0.0, float(expected[:, 1].mean()), -3.0):
        dead = expected.copy()
        dead[:, 1] = constant
        assert judged(expected, with_noise(dead, precision), precision).verdict == "wrong", constant


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "palettized-6", "palettized-4"])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_a_class_of_little_variance_that_is_dead_is_wrong(classes: int, precision: VariantName) -> None:
    expected = outputs(classes)
    expected[:, 1] *= 0.03
    assert judged(expected, with_noise(expected, precision, 0.5), precision).verdict == "proven"
    dead = expected.copy()
    dead[:, 1] = 0.0
    proof = judged(expected, with_noise(dead, precision, 0.5), precision)
    assert proof.verdict == "wrong"
    if precision != "fp32":  # where the noise of all values is below 40 dB
        assert "the package never changes the value 1" in proof.reason


@pytest.mark.parametrize("precision", THRESHOLDS)
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_values_that_hold_something_else_are_wrong(classes: int, precision: VariantName) -> None:
    expected = outputs(classes)
    exchanged, turned = expected.copy(), expected.copy()
    exchanged[:, [0, 1]] = exchanged[:, [1, 0]]
    turned[:, 0] *= -1
    for actual in (exchanged, turned):
        assert judged(expected, with_noise(actual, precision), precision).verdict == "wrong"


@given(
    st.sampled_from([*THRESHOLDS]),
    st.sampled_from([2, 3, 10, 100]),
    st.sampled_from(["bias", "scale"]),
    st.floats(0.001, 3),
    st.integers(0, 5),
)
def test_a_class_whose_bias_or_scale_is_changed_is_not_proven_between_the_limits(
    precision: VariantName, classes: int, kind: str, size: float, seed: int
) -> None:
    expected = outputs(classes, 200, seed)
    actual = expected.copy()
    actual[:, 0] = expected[:, 0] + size if kind == "bias" else expected[:, 0] * np.float32(1 + size)
    ratio = compare_outputs(expected, actual)["signal_to_noise"]
    verdict = judged(expected, actual, precision).verdict
    row = THRESHOLDS[precision]
    if ratio is not None and ratio < row.wrong_snr:
        assert verdict == "wrong"
    elif ratio is not None and ratio < row.proven_snr:
        assert verdict in {"degraded", "wrong"}
    own = -20 * math.log10(size)  # of this class alone, as its variance is about 1
    if own < row.wrong_snr - 2:
        assert verdict in {"degraded", "wrong"}


def test_a_bias_on_one_of_a_thousand_classes_shows() -> None:
    expected = outputs(1000)
    verdicts = []
    for bias in (0.3, 0.06, 0.003):
        actual = with_noise(expected, "fp16")
        actual[:, 7] += np.float32(bias)
        proof = judged(expected, actual, "fp16")
        assert proof.signal_to_noise is not None
        assert proof.signal_to_noise > THRESHOLDS["fp16"].proven_snr, "all values together hide it"
        verdicts.append(proof.verdict)
    assert verdicts == ["wrong", "degraded", "proven"]


def test_a_unit_that_is_cut_off_by_its_activation_is_not_dead() -> None:
    expected = np.maximum(outputs(20), 0)
    expected[:, 4] = np.maximum(outputs(1, seed=3)[:, 0] * np.float32(0.01), 0)  # below the noise of palettized-4
    actual = np.maximum(with_noise(expected, "palettized-4"), 0)
    actual[:, 4] = 0
    assert judged(expected, actual, "palettized-4").verdict != "wrong"
    actual[:, 5] = 0
    assert judged(expected, actual, "palettized-4").verdict == "wrong"


# --- no signal ----------------------------------------------------------------------------------------------


def half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param(outputs(10) * np.float32(1e-11), id="below the smallest number"),
        pytest.param(outputs(10) * np.float32(1e-4) + np.float32(100), id="below the step at its mean"),
        pytest.param(outputs(10) * np.float32(1e-5) + np.arange(10, dtype=np.float32), id="classes far apart"),
    ],
)
def test_a_signal_that_float16_cannot_hold_is_not_judged_in_float16(expected: np.ndarray) -> None:
    proof = judged(expected, half(expected), "fp16")
    assert proof.verdict == "not judged"
    assert proof.reason.endswith("train the model first, or convert it with `--variants fp32`.")
    assert judged(expected, half(expected), "int8").verdict == "not judged"
    assert judged(expected, expected, "fp32").verdict in {"proven", "proven with caveats"}
    assert judged(expected, expected, "fp16").verdict in {"proven", "proven with caveats"}, "it holds it all the same"


def test_what_rounding_does_not_explain_is_wrong_also_without_a_signal() -> None:
    tiny = outputs(10) * np.float32(1e-11)
    offset = outputs(10) * np.float32(1e-5) + np.arange(10, dtype=np.float32)
    for expected in (tiny, offset):
        one_class, all_classes = half(expected), half(expected) + np.float32(5)
        one_class[:, 3] += np.float32(0.5)
        assert judged(expected, one_class, "fp16").verdict == "wrong"
        assert judged(expected, all_classes, "fp16").verdict == "wrong"
        broken = half(expected)
        broken[3, 3] = np.nan
        assert judged(expected, broken, "fp16").verdict == "wrong"


def test_a_faint_signal_is_judged_where_float16_holds_it() -> None:
    expected = outputs(10) * np.float32(0.01) + np.float32(1)  # one rounding stands about 37 dB below it
    assert judged(expected, half(expected), "fp16").verdict in {"proven", "degraded", "proven with caveats"}
    mixed = half(expected[::-1])
    assert judged(expected, mixed, "fp16").verdict == "wrong"


def test_overflow_is_wrong_and_no_lack_of_a_signal() -> None:
    expected = outputs(10) * np.float32(1e6)
    assert judged(expected, np.clip(expected, -65504, 65504), "fp16").verdict == "wrong"
    with np.errstate(over="ignore"):
        assert judged(expected, half(expected), "fp16").verdict == "wrong"


def test_an_original_that_always_gives_the_same_is_not_judged() -> None:
    constant = np.full((50, 4), 0.1, np.float32)
    proof = judged(constant, constant, "fp32", "random pictures")
    assert proof.verdict == "not judged"
    assert "the same outputs for every sample" in proof.reason
    assert "`--data drawn-food`" in proof.reason
    assert judged(constant, half(constant), "fp16").verdict == "not judged"
    assert judged(constant, constant + np.float32(0.1), "fp32").verdict == "wrong"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_original_without_a_finite_number_is_not_judged(value: float) -> None:
    nothing = np.full((5, 3), value, np.float32)
    proof = judged(nothing, np.zeros((5, 3), np.float32), "fp16")
    assert proof.verdict == "not judged"
    assert proof.reason.startswith("The original gives no finite number for any sample")


# --- random inputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", COMPRESSED)
def test_random_inputs_do_not_judge_compression_unless_it_is_gross(precision: VariantName) -> None:
    expected = outputs(10)
    good = with_noise(expected, precision)
    poor = expected + outputs(10, seed=5) * np.float32(10 ** (-(THRESHOLDS[precision].wrong_snr - 2) / 20))
    assert judged(expected, poor, precision).verdict == "wrong"
    for actual in (good, poor):
        proof = judged(expected, actual, precision, "random pictures")
        assert proof.verdict == "not judged"
        assert proof.reason.startswith("Random inputs say nothing of compression: give --data")
    assert "--variants fp16" in judged(expected, good, precision, "random numbers").reason
    dead = good.copy()
    dead[:, 3] = 0
    no_number = good.copy()
    no_number[0, 0] = np.inf
    for gross in (outputs(10, seed=6), np.zeros_like(expected), -expected, dead, no_number):
        assert judged(expected, gross, precision, "random pictures").verdict == "wrong"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_random_inputs_judge_what_is_not_compressed_with_a_caveat(precision: VariantName) -> None:
    expected = outputs(10)
    proof = judged(expected, with_noise(expected, precision), precision, "random numbers")
    assert proof.verdict == "proven with caveats"
    assert [caveat.code for caveat in proof.caveats] == ["random-inputs"]
    assert judged(expected, outputs(10, seed=6), precision, "random numbers").verdict == "wrong"


# --- several outputs ----------------------------------------------------------------------------------------


def test_an_output_without_a_signal_does_not_decide_about_the_others() -> None:
    anchors = np.repeat(np.linspace(0, 1, 8, dtype=np.float32)[np.newaxis], 500, axis=0)
    scores = outputs(4)
    silent, right, wrong = (
        judged(anchors, anchors, "fp32"),
        judged(scores, scores, "fp32"),
        judged(scores, -scores, "fp32"),
    )
    proof = worst_proof([silent, right], ["anchors", "scores"])
    assert proof.verdict == "proven with caveats"
    assert "in anchors" in proof.caveats[0].text
    assert worst_proof([silent, wrong], ["anchors", "scores"]).verdict == "wrong"
    assert worst_proof([silent, silent], ["anchors", "more"]).verdict == "not judged"
    assert worst_proof([judged(anchors, anchors + np.float32(1), "fp32"), right]).verdict == "wrong"


def test_the_figures_that_a_record_holds_are_finite_or_none() -> None:
    expected = outputs(3, 20)
    for broken in (np.nan, np.inf, -np.inf, np.float32(3e38)):
        for where in (np.s_[:], np.s_[0, 0]):
            actual = expected.copy()
            actual[where] = broken
            figures = compare_outputs(expected, actual)
            assert all(value is None or math.isfinite(value) for value in figures.values()), figures
            assert (figures["max_error"] is None) == (figures["non_finite_values"] > 0)
    assert agreement(expected, expected) == 1
