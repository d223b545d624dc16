"""The page on failures is made from the rules, and is up to date."""

from pathlib import Path

from coremlbench.failures.classify import RULES
from coremlbench.failures.documentation import REPOSITORIES, document, link
from coremlbench.failures.training_checks import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"


def test_the_page_is_up_to_date() -> None:
    existing = PAGE.read_text(encoding="utf-8")
    assert document(existing) == existing, "run `make docs`"


def test_the_page_holds_every_rule_in_order() -> None:
    rows = [line.split("`")[1] for line in document().splitlines() if line.startswith("| `")]
    assert rows == [rule.kind for rule in RULES] + [check.kind for check in CHECKS]


def test_every_row_has_five_cells() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| ")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}


def test_what_others_wrote_is_kept() -> None:
    written = document().replace("<!-- kills -->\n", "<!-- kills -->\n| killed | 200 |\n")
    assert "| killed | 200 |" in document(written)
    assert document(document(written)) == document(written)


def test_issues_are_links_and_other_sources_are_not() -> None:
    assert link("tensorflow 58339") == "[tensorflow 58339](https://github.com/tensorflow/tensorflow/issues/58339)"
    assert link("signal(7); mmap(2)") == "signal(7); mmap(2)"
    assert link("turicreate 267; worker").endswith("/issues/267); worker")
    sources = [*(rule.source for rule in RULES), *(check.source for check in CHECKS)]
    named = {part.rpartition(" ")[0] for source in sources for part in source.split("; ")}
    assert set(REPOSITORIES) <= named
