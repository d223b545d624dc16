"""Tables keep their words whole at any width."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from coremlbench.cli.terminal.listings import print_checks
from coremlbench.cli.terminal.table_layout import fit_widths, print_table
from coremlbench.cli.terminal.tables import new_table
from coremlbench.cli.terminal.timing import condense_warnings
from coremlbench.diagnostics.doctor import SystemCheck

ROWS = (
    ("MacBook Air (Apple M1, 16 GiB), on CPU", "20261128-071059-lenet-f572", "0.695 s (0.606–0.783)", "this is 1"),
    ("PC", "the article's figure, as transcribed by github.com/bara495/mrdbourke-tf-test", "7–8 s", "–"),
)


def shown(width: int) -> str:
    stream = io.StringIO()
    table = new_table("machine", "source", "figure", "ratio", title="lenet")
    for row in ROWS:
        table.add_row(*row)
    print_table(Console(file=stream, width=width, highlight=False, markup=False), table)
    return stream.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 132, 400])
def test_no_word_is_broken(width: int) -> None:
    words = shown(width).split()
    for row in ROWS:
        for word in " ".join(row).split():
            assert word in words
    if width >= 80:  # below that the rows are a list, whose lines the terminal wraps
        assert max(map(len, shown(width).splitlines())) <= width


def test_a_table_that_cannot_fit_is_a_list_of_rows() -> None:
    assert "\n  source: 20261128-071059-lenet-f572\n" in shown(40)
    assert "source:" not in shown(132)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 40)), min_size=1, max_size=8),
    st.integers(1, 200),
)
def test_widths_fit_and_hold_the_longest_word(columns: list[tuple[int, int]], available: int) -> None:
    natural = [(word, word + more) for word, more in columns]
    widths = fit_widths(natural, available)
    if widths is None:
        assert sum(word for word, _ in natural) > available
        return
    assert sum(widths) <= available
    assert all(word <= width <= line for (word, line), width in zip(natural, widths, strict=True))
    assert sum(widths) == min(available, sum(line for _, line in natural))


def test_notes_on_a_first_look_are_one_line_and_a_pointer() -> None:
    severe = "The tests' stand-in for Core ML ran: none of its figures is Core ML's."
    (first, second) = condense_warnings([severe, *(f"Some cells {number}." for number in range(9))])
    assert first == f"note: {severe}"
    assert "9 notes on them stand under Conditions and warnings in the report." in second
    assert condense_warnings(["One."])[0].endswith("1 note on it stands under Conditions and warnings in the report.")
    assert condense_warnings([]) == []


@pytest.mark.parametrize("width", ["30", "60", "200"])
def test_brackets_and_colons_of_checks_are_no_markup(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    print_checks([SystemCheck("device", "no", "install coremlbench[cuda] :smile: [red]", "In r[cuda].")])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(text in shown for text in ("coremlbench[cuda]", ":smile:", "[red]", "In r[cuda]."))
