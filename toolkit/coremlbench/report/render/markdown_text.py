"""What all parts of the Markdown form are written with: foreign text, tables, and figures that lead to records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from coremlbench.report.render import text
from coremlbench.report.types import Report

MAX_ROWS = 60
Numbers = dict[str, int]
"""The numbers of the records that a figure may lead to."""
_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")


def safe(value: object, length: int = 120) -> str:
    """Return text from outside as Markdown shows it letter by letter: no markup, no mention, no line end."""
    shown = text.cut(text.plain(str(value)), length)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _SPECIAL.sub(r"\\\1", shown).replace("@", "&#64;")
    return shown.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def of(shown: str, record: str, numbers: Numbers) -> str:
    """Return a figure that leads to its record; the addresses stand at the end, where they disturb nobody."""
    return f"[{shown}][r{numbers[record]}]" if record in numbers else shown


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Yield a table, its first ``left`` columns text and the others figures; the rows past a number are counted."""
    every = list(rows)
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "|".join("---" if index < left else "---:" for index in range(len(headings))) + "|"
    for row in every[:MAX_ROWS]:
        yield "| " + " | ".join(row) + " |"
    yield ""
    if len(every) > MAX_ROWS:
        yield f"… and {len(every) - MOST_ROWS:,} more rows, which the HTML form shows."
        yield ""


def machine_names(report: Report) -> dict[str, str]:
    """Return the machines' names by their ids."""
    return {row.id: safe(row.name, 60) for row in report.machines}


def batch_words(number: int) -> str:
    """Return what a variant's name is followed by when its batch is not of one."""
    return f", batch {number}" if number != 1 else ""
