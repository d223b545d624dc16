"""Building blocks of the Markdown report: escaped text, tables, and links to records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from coremlbench.report.render import text
from coremlbench.report.types import Report

MAX_ROWS = 60
Numbers = dict[str, int]
"""The numbers of the records that can be linked, by id."""
_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")


def escape(value: object, length: int = 120) -> str:
    """Return untrusted text as one line of literal Markdown: no markup, HTML, mention or automatic link."""
    shown = text.truncate(text.sanitize(str(value)), length)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _SPECIAL.sub(r"\\\1", shown).replace("@", "&#64;")
    return shown.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def link(shown: str, record: str, numbers: Numbers) -> str:
    """Return a reference link to a record; its URL is at the end of the page. Unknown records give no link."""
    return f"[{shown}][r{numbers[record]}]" if record in numbers else shown


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Yield the lines of a table: the first ``left`` columns are text, the others figures.

    Of more than ``MAX_ROWS`` rows the others are counted in a line below the table.
    """
    all_rows = list(rows)
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "|".join("---" if index < left else "---:" for index in range(len(headings))) + "|"
    for row in all_rows[:MAX_ROWS]:
        yield "| " + " | ".join(row) + " |"
    yield ""
    if len(all_rows) > MAX_ROWS:
        yield f"… and {len(all_rows) - MAX_ROWS:,} more rows, which the HTML form shows."
        yield ""


def escaped_machine_names(report: Report) -> dict[str, str]:
    """Return the names of the machines, escaped, by id."""
    return {row.id: escape(row.name, 60) for row in report.machines}


def batch_suffix(number: int) -> str:
    """Return ", batch 8" for a batch size other than 1, else ""."""
    return f", batch {number}" if number != 1 else ""
