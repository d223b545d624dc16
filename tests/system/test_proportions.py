"""Wilson's interval against SciPy's, and the texts of accuracies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.system.proportions import accuracy_bounds, format_accuracy, wilson_interval


@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.998]))
def test_the_interval_is_scipys(total: int, share: float, level: float) -> None:
    from scipy.stats import binomtest

    correct = round(share * total)
    expected = binomtest(correct, total).proportion_ci(level, method="wilson")
    assert wilson_interval(correct, total, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "images", "shown"),
    [
        (0.72, 500, "72.0%, 68 to 76, of 500"),
        (0.8112, 2500, "81.1%, 79.5 to 82.6, of 2,500"),
        (0.9, 20, "90.0%, 70 to 97, of 20"),
        (1.0, 50, "100.0%, 93 to 100, of 50"),
        (0.0, 50, "0.0%, 0 to 7, of 50"),
        (0.5, 0, "50.0%"),
        (None, 50, "–"),
        (float("nan"), 50, "–"),
    ],
)
def test_an_accuracy_has_its_interval_and_count(accuracy: float | None, images: int, shown: str) -> None:
    assert format_accuracy(accuracy, images) == shown


@pytest.mark.parametrize(("accuracy", "images"), [(None, 5), (0.5, 0), (float("nan"), 5), (1.5, 5), (-0.1, 5)])
def test_what_has_no_interval(accuracy: float | None, images: int) -> None:
    assert accuracy_bounds(accuracy, images) == (None, None)
