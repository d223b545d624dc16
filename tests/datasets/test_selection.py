"""Even, reproducible choices of images."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coremlbench.types.errors import InputError
from coremlbench_datasets.selection import check_counts, even_shares, shuffled, split

# Neither a time limit nor a judgement of speed: a busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
counts = st.lists(st.integers(0, 300), min_size=1, max_size=20)


@unhurried
@given(counts, st.data())
def test_shares_are_as_even_as_they_can_be(available: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(available)))
    shares = even_shares(total, available)
    assert sum(shares) == total
    assert all(0 <= share <= count for share, count in zip(shares, available, strict=True))
    # Whoever got less than another by more than one had no more to give.
    for share, count in zip(shares, available, strict=True):
        assert share == count or share >= max(shares) - 1


@unhurried
@given(counts)
def test_more_than_there_is_cannot_be_shared(available: list[int]) -> None:
    with pytest.raises(ValueError, match=f"of {sum(available)}"):
        even_shares(sum(available) + 1, available)


@unhurried
@given(st.integers(2, 100_000))
def test_a_quarter_is_for_testing(count: int) -> None:
    train, test = split(count)
    assert train + test == count
    assert train >= 1
    assert test >= 1
    assert abs(test - count / 4) <= 0.5 or count < 3


@unhurried
@given(st.lists(st.text(), unique=True), st.integers())
def test_orders_depend_on_the_key_alone(items: list[str], seed: int) -> None:
    assert shuffled(items, seed, "x") == shuffled(iter(items), seed, "x")
    assert sorted(shuffled(items, seed)) == sorted(items)


def test_an_order_is_the_same_on_every_machine() -> None:
    assert shuffled(range(8), 0, "train") == [4, 1, 2, 6, 7, 5, 0, 3]
    assert shuffled(range(8), 1, "train") != shuffled(range(8), 0, "train")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ((101, None), "has 100 training images and --train asks for 101"),
        ((None, 41), "has 40 test images and --test asks for 41"),
        ((9, None), "leaves some of the 10 classes"),
        ((None, 0), "--test 0 leaves nothing"),
        ((-5, None), "--train -5"),
    ],
)
def test_counts_that_cannot_be_had(asked: tuple[int | None, int | None], says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_counts("thing", 10, asked, (100, 40))
    check_counts("thing", 10, (100, 40), (100, 40))
    check_counts("thing", 10, (None, None), (100, 40))
