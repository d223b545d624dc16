"""CSV on standard output, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import click

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Characters at which a spreadsheet takes a text for a formula."""


def print_csv(rows: Sequence[Mapping[str, str | int | float | None]], columns: Sequence[str] = ()) -> None:
    """Print rows as CSV with a line of headings, those of ``columns`` or of the first row; ``None`` is empty.

    Texts that a spreadsheet would execute as a formula get an apostrophe in front.
    """
    headings = list(columns) or list(rows[0] if rows else ())
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if headings:
        writer.writerow(headings)
    writer.writerows([_cell(row.get(heading)) for heading in headings] for row in rows)
    click.echo(buffer.getvalue(), nl=False)


def _cell(value: str | float | None) -> str | float:
    if value is None or value != value:  # noqa: PLR0124 - NaN differs from itself
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
