"""Verdicts on class indices, and on outputs that are the same for every input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.output_kinds import is_constant, judge_constants, judge_indices
from coremlbench.types.conversion import Proof, VariantName

RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.choice(4, (600, 100), p=[0.7, 0.1, 0.1, 0.1]).astype(np.float32)
RARE = (RANDOM.random((600, 100)) > 0.99).astype(np.float32)
ANCHORS = np.tile(RANDOM.random((1, 50)).astype(np.float32) * 300, (600, 1))


def unjudged(images: int = 600) -> Proof:
    return Proof(
        verdict="wrong",
        reason="",
        runtime="",
        original="",
        images=images,
        data="",
        max_error=1.0,
        mean_error=0.1,
        range=3.0,
        signal_to_noise=-3.0,
        between_images=0.9,
        worst_value=4,
        worst_signal_to_noise=-5.0,
    )


def changed(indices: Any, share: float) -> Any:
    """Return indices of which a share is another one."""
    chosen = np.random.default_rng(1).random(indices.shape) < share
    return np.where(chosen, (indices + 1) % 4, indices)


@pytest.mark.parametrize(
    ("share", "precision", "verdict"),
    [
        (0.0, "fp32", "proven"),
        (0.01, "fp32", "degraded"),
        (0.01, "fp16", "proven"),
        (0.04, "fp16", "degraded"),
        (0.04, "int8", "proven"),
        (0.4, "palettized-4", "wrong"),
    ],
)
def test_indices_are_judged_by_the_share_of_equal_ones(share: float, precision: VariantName, verdict: str) -> None:
    proof = judge_indices(unjudged(), CLASSES, changed(CLASSES, share), precision)
    assert proof.verdict == verdict
    assert proof.agreement == pytest.approx(1 - share, abs=0.005)
    assert "of the indices are equal (69.9% have the most frequent one)" in proof.reason


def test_a_package_that_always_gives_the_most_frequent_index_is_wrong() -> None:
    proof = judge_indices(unjudged(), RARE, np.zeros_like(RARE), "fp16")
    assert proof.agreement is not None
    assert proof.agreement > 0.98
    assert proof.verdict == "wrong"


def test_a_package_that_loses_some_rare_indices_is_degraded() -> None:
    kept = RARE * (np.random.default_rng(2).random(RARE.shape) < 0.7)
    assert judge_indices(unjudged(), RARE, kept, "fp16").verdict == "degraded"


def test_one_index_everywhere_is_compared_as_it_is() -> None:
    ones = np.ones((600, 4), np.float32)
    assert judge_indices(unjudged(), ones, ones, "fp16").verdict == "proven"
    assert judge_indices(unjudged(), ones, 2 * ones, "fp16").verdict == "wrong"


def test_few_images_and_random_inputs_are_caveats_of_indices() -> None:
    proof = judge_indices(unjudged(24), CLASSES[:24], CLASSES[:24], "fp16", "random pictures")
    assert proof.verdict == "proven with caveats"
    assert [caveat.code for caveat in proof.caveats] == ["few-images", "random-inputs"]


def test_random_inputs_do_not_judge_the_indices_of_a_compressed_package() -> None:
    proof = judge_indices(unjudged(), CLASSES, changed(CLASSES, 0.2), "palettized-4", "random pictures")
    assert proof.verdict == "not judged"
    assert "say nothing of compression: give --data" in proof.reason
    assert judge_indices(unjudged(), RARE, np.zeros_like(RARE), "int8", "random pictures").verdict == "wrong"


@pytest.mark.parametrize(
    ("actual", "verdict"),
    [
        (ANCHORS, "proven"),
        (ANCHORS.astype(np.float16), "proven"),
        (ANCHORS + 10, "degraded"),
        (ANCHORS[:, ::-1], "wrong"),
        (np.full_like(ANCHORS, np.nan), "wrong"),
    ],
)
def test_an_output_that_no_input_changes_is_judged_by_its_values(actual: Any, verdict: str) -> None:
    proof = judge_constants(unjudged(), ANCHORS, actual, "fp16")
    assert proof.verdict == verdict
    assert proof.reason.startswith("the output is the same for every input, and its values stand ")
    assert proof.worst_value is None


def test_a_constant_that_varies_in_the_package_is_wrong() -> None:
    noisy = ANCHORS + RANDOM.normal(size=ANCHORS.shape) * 100
    assert judge_constants(unjudged(), ANCHORS, noisy, "fp16").verdict == "wrong"


def test_constants_that_are_nothing_or_not_finite() -> None:
    zeros = np.zeros((5, 3), np.float32)
    assert judge_constants(unjudged(), zeros, zeros, "fp32").signal_to_noise is None
    assert judge_constants(unjudged(), zeros, zeros + 1, "fp32").verdict == "wrong"
    infinite = np.full((5, 3), math.inf, np.float32)
    assert judge_constants(unjudged(), infinite, infinite, "fp32").verdict == "proven"


def test_what_is_constant() -> None:
    assert is_constant(ANCHORS)
    assert is_constant(np.full((3, 2), np.nan))
    assert not is_constant(CLASSES)
