"""Building blocks of terminal output: wrapped text, tables, failures, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.failures.log_noise import without_noise
from coremlbench.system import serialization
from coremlbench.system.formatting import format_percent
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LOG_LINES = 5
"""Lines of a failed process's log that are printed; the record and the log have more."""
MAX_LOG_LINE = 200
NO_VALUE = "–"
_UNBROKEN_SPACE = "\ue000"
"""A private character in place of spaces at which no line may end."""


def plain_console() -> Console:
    """Return a console for standard output that interprets neither markup nor names of emoji."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_text(console: Console, text: str, style: str | None = None) -> None:
    """Print text, wrapped between words if the console is a terminal, else as one line.

    Words are never broken, and commands (in backticks) stay on one line, so that both can be copied. Continuation lines
    have the indent of the first.
    """
    import re
    import textwrap

    lines = [text]
    if console.is_terminal:
        indent = text[: len(text) - len(text.lstrip())]
        wrapper = textwrap.TextWrapper(
            console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        unbroken = re.sub(r"`[^`]*`", lambda command: command[0].replace(" ", _UNBROKEN_SPACE), text)
        lines = [line.replace(_UNBROKEN_SPACE, " ") for line in wrapper.wrap(unbroken)] or [""]
    for line in lines:
        console.print(line, style=style, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a record, a list of records, or values that are JSON already, on standard output."""
    import json

    import click

    plain = [serialization.to_json(item) for item in value] if isinstance(value, list) else serialization.to_json(value)
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))


def new_table(*headings: str, title: str = "") -> Table:
    """Return an empty table: the first column is left-aligned text, the others are right-aligned figures."""
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 else "right", overflow="fold")
    return table


def print_failure(console: Console, title: str, failure: Failure) -> None:
    """Print a failed run's kind of failure and reason, the last lines of its log, and what to do."""
    progress = f" ({failure.evidence.progress})" if failure.evidence.progress else ""
    console.print()
    running = failure.kind == "running"
    outcome, style = ("not ended yet", "bold") if running else (f"failed – {failure.kind}", "bold red")
    print_text(console, f"{title}: {outcome}{progress}", style=style)
    print_text(console, failure.reason)
    log = without_noise(failure.evidence.log_tail)  # records of older releases have it
    if log:
        console.print("last lines of its log:", style="dim")
        for line in log[-LOG_LINES:]:
            print_text(console, f"  {line[:MAX_LOG_LINE]}", style="dim")
    print_text(console, f"what to do: {failure.hint}")


def attempt_label(record: TrainingRecord) -> str:
    """Return ", attempt 2, resumed from <id>" as far as it applies; "" for a first attempt that resumed nothing."""
    attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
    return attempt + (f", resumed from {record.resumed_from}" if record.resumed_from else "")


def percent_or_dash(share: float | None) -> str:
    """Return a share from 0 to 1 as a percentage, and a dash for ``None``."""
    return NO_VALUE if share is None else format_percent(share)


def relative_error_label(error: float | None) -> str:
    """Return an error as a share of a range, 1.2e-03, and ∞ for one that is not finite."""
    return "∞" if error is None else f"{error:.1e}"


def verdict_label(verdict: str) -> str:
    """Return a verdict on lines of a dozen characters, as tables of 80 columns have no more room."""
    return verdict.replace(" with ", " with\n")


def deviation_lines(deviations: Sequence[str]) -> list[str]:
    """Return the line on a run's deviations from its protocol; no line when there are none."""
    return [f"not the protocol: {', '.join(deviations)}"] if deviations else []


def display_path(path: Path) -> str:
    """Return a path below the working directory as a relative one, and any other as it is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
