"""Deviations as objects and as the texts of records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.experiments.catalogue import workload_deviations
from coremlbench.types.deviations import TEMPLATES, Deviation, parse_deviation


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("dataset drawn-food", "dataset", "drawn-food"),
        ("dataset 5 classes", "dataset", "5 classes"),
        ("7,500 training images", "train", "7,500"),
        ("learning rate 0.01", "learning_rate", "0.01"),
        ("random weights", "weights", "random"),
        ("extraction turicreate", "extraction", "turicreate"),
        ("quick", "", "quick"),
    ],
)
def test_texts_of_records_are_parsed(text: str, setting: str, value: str) -> None:
    assert parse_deviation(text) == Deviation(setting, value)
    assert str(Deviation(setting, value)) == text


@given(st.text())
def test_any_text_stays_as_it_is(text: str) -> None:
    assert str(parse_deviation(text)) == text


@given(st.sampled_from(list(TEMPLATES)), st.from_regex(r"[\w.,-]+", fullmatch=True))
def test_a_deviation_of_one_word_is_parsed_back(setting: str, value: str) -> None:
    assert parse_deviation(str(Deviation(setting, value))) == Deviation(setting, value)


def test_data_learning_rate_and_random_weights_do_not_change_the_workload() -> None:
    texts = ("dataset other", "learning rate 0.1", "random weights", "imagenet weights", "epochs 5", "quick")
    assert workload_deviations(texts) == {"imagenet weights", "epochs 5", "quick"}
