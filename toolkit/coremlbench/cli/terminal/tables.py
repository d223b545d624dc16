"""What everything printed in a terminal is made of: plain text, tables, failures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.system.formatting import format_percent
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LOG_LINES = 5
"""Lines of a failed child's log that are shown; the record and the log itself have more."""


def plain_console() -> Console:
    """Return standard output, on which no text is taken for a style."""
    from rich.console import Console

    return Console(highlight=False, markup=False)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a text that may be longer than a line: a terminal gets it broken between words, others as one line.

    A word stays whole, as a path or a command is to be copied. Without a terminal it goes to files and other programs,
    which break it as they like.
    """
    import textwrap

    lines = [text]
    if console.is_terminal:
        indent = text[: len(text) - len(text.lstrip())]
        wrapper = textwrap.TextWrapper(
            console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines = wrapper.wrap(text) or [""]
    for line in lines:
        console.print(line, style=style, soft_wrap=True)


def table_of(*headings: str, title: str = "") -> Table:
    """Return an empty table: its first column is text, the others are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 else "right", overflow="fold")
    return table


def print_failure(console: Console, title: str, failure: Failure) -> None:
    """Print how a run failed, the last of what it logged, and what to do."""
    where = f" ({failure.evidence.progress})" if failure.evidence.progress else ""
    console.print()
    say(console, f"{title}: failed – {failure.kind}{where}", style="bold red")
    say(console, failure.reason)
    if failure.evidence.log_tail:
        console.print("last lines of its log:", style="dim")
        for line in failure.evidence.log_tail[-LOG_LINES:]:
            say(console, f"  {line[:200]}", style="dim")
    say(console, f"what to do: {failure.hint}")


def attempt_of(record: TrainingRecord) -> str:
    """Return which attempt a run was and what it went on with; empty for the first of its own."""
    attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
    return attempt + (f", resumed from {record.resumed_from}" if record.resumed_from else "")


def share_of(value: float | None) -> str:
    """Return a share as a percentage, or a dash where there is none."""
    return "–" if value is None else format_percent(value)


def shown(path: Path) -> str:
    """Return a path relative to where the person is, when it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
