import pytest

from coremlbench.system.formatting import format_bytes, format_count, format_percent, format_seconds, pluralize


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.424, "0.42 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7440, "2 h 04 min"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "2 KiB"), (3 * 2**20, "3.0 MiB"), (int(2.31 * 2**30), "2.31 GiB")],
)
def test_bytes(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.8731, "87.3%"), (1.0, "100.0%"), (0.9999, "99.9%"), (0.0, "0.0%"), (0.00001, "0.1%")]
)
def test_only_a_whole_share_is_called_whole(share: float, text: str) -> None:
    assert format_percent(share) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes"), (12_345, "12,345 classes")]
)
def test_a_count_with_its_noun(count: int, text: str) -> None:
    assert format_count(count, "class", "classes") == text
    assert format_count(count, "cell") == text.replace("classes", "cells").replace("class", "cell")


@pytest.mark.parametrize(("number", "noun"), [(1.0, "point"), (0.2, "points"), (2, "points")])
def test_a_noun_after_a_number(number: float, noun: str) -> None:
    assert pluralize(number, "point") == noun
