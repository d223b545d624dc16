"""Print tables without breaking words: columns as narrow as their longest word, else a list of rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

MEASURING_WIDTH = 10_000
_JOINED = "_"
"""Stands for the space between a figure and its unit when the width of words is measured."""
INDENT = "  "


def print_table(console: Console, table: Table) -> None:
    """Print a table so that no word is broken, whatever the width of the console.

    Where not even the longest words fit beside each other, each row is a list of its headings and figures.
    """
    from rich.measure import Measurement

    options = console.options.update_width(MEASURING_WIDTH)
    natural = [_widths(console, column) for column in table.columns]
    overhead = Measurement.get(console, options, table).maximum - sum(widest for _, widest in natural)
    available = console.width - overhead
    if sum(widest for _, widest in natural) > available:
        widths = fit_widths(natural, available)
        if widths is None:
            _print_rows(console, table)
            return
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width
    console.print(table)


def fit_widths(natural: list[tuple[int, int]], available: int) -> list[int] | None:
    """Return the widths of columns that fit, from the width of the longest word and of the longest line of each.

    What is left beyond the words goes where lines would wrap the most. ``None`` if not even the words fit.
    """
    widths = [word for word, _ in natural]
    left = available - sum(widths)
    if left < 0:
        return None
    while left:
        wrapped = [line - width for (_, line), width in zip(natural, widths, strict=True)]
        worst = max(range(len(widths)), key=wrapped.__getitem__)
        if wrapped[worst] <= 0:
            break
        widths[worst] += 1
        left -= 1
    return widths


def _widths(console: Console, column: Column) -> tuple[int, int]:
    """Return the width of a column's longest word, or line if it must not wrap, and of its longest line."""
    lines = [line for cell in (column.header, *column.cells) for line in _plain(console, cell).splitlines()]
    line = max((_cell_width(line) for line in lines), default=0)
    word = max((_cell_width(word) for line in lines for word in _unbroken(line)), default=0)
    least = column.min_width or 0
    return max(least, line if column.no_wrap else word), max(least, line)


def _unbroken(line: str) -> list[str]:
    """Return the words of a line, a figure and its unit as one."""
    return re.sub(r"(?<=\d) (?=(?:[µm]?s|[KMGT]i?B|B|dB|J)\b)", _JOINED, line).split()


def _cell_width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _plain(console: Console, cell: object) -> str:
    from rich.text import Text

    return cell.plain if isinstance(cell, Text) else console.render_str(str(cell)).plain


def _print_rows(console: Console, table: Table) -> None:
    """Print each row as its first cell and, indented below it, the other cells after their headings."""
    from coremlbench.cli.terminal.tables import print_text

    if table.title:
        print_text(console, _plain(console, table.title), style="bold")
    headings = [_plain(console, column.header) for column in table.columns]
    for row in zip(*(list(column.cells) for column in table.columns), strict=True):
        first, *cells = (" ".join(_plain(console, cell).split()) for cell in row)
        print_text(console, first)
        for heading, cell in zip(headings[1:], cells, strict=True):
            if cell:
                print_text(console, f"{INDENT}{heading}: {cell}" if heading else f"{INDENT}{cell}")
    console.print()
