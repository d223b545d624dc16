"""Terminal output of the self-test: a line for each check as soon as it has ended, and what runs meanwhile."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.terminal.tables import plain_console
from coremlbench.diagnostics.selftest.checks import Check, CheckResult
from coremlbench.system.formatting import format_seconds

if TYPE_CHECKING:
    from typing_extensions import Self

STYLES = {"works": "green", "does not": "bold red", "not here": "dim"}
INDENT = 10
"""Columns of a line's status, and of what continues a line."""


class Lines:
    """A context manager that prints results; with ``as_json`` on standard error, and at the end all of them as JSON.

    On a terminal the last line shows which check runs. Elsewhere each line is flushed, so that ``tee`` and logs show
    how far the self-test is.
    """

    def __init__(self, checks: int, *, as_json: bool) -> None:
        from rich.console import Console

        self._checks, self._as_json = checks, as_json
        self._progress = Console(stderr=True, highlight=False, markup=False)
        self._out = self._progress if as_json else plain_console()
        self._status: Any = None
        self._shown = 0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self._progress.is_terminal:
            self._status = self._progress.status("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clear()

    def _clear(self) -> None:
        """Remove the line that shows what is being done: results go to another stream, and would be put behind it."""
        if self._status is not None:
            self._status.stop()

    def start(self, check: Check) -> None:
        """Say which check runs."""
        self.say(f"{self._shown + 1} of {self._checks}: {check.name}")

    def say(self, text: str) -> None:
        """Say on a terminal what is being done."""
        if self._status is not None:
            self._status.update(text)
            self._status.start()

    def show(self, result: CheckResult) -> None:
        """Print a result."""
        self._shown += 1
        self._clear()
        from rich.text import Text

        status, *rest = self._wrapped(result)
        line = Text(status)
        line.stylize(STYLES[result.status], 0, len(result.status))
        for text in (line, *map(Text, rest)):
            self._out.print(text, soft_wrap=True)
        with suppress(OSError):
            sys.stdout.flush()

    def _wrapped(self, result: CheckResult) -> list[str]:
        """Return the lines of a result: wrapped on a terminal, else one line."""
        import textwrap

        advice = f" What to do: {result.advice}" if result.advice else ""
        detail = result.detail if not advice or result.detail.endswith(".") else f"{result.detail}."
        text = f"{result.status:{INDENT}}{result.name}: {detail}{advice}"
        if not self._out.is_terminal:
            return [text]
        return textwrap.wrap(
            text, self._out.width, subsequent_indent=" " * INDENT, break_long_words=False, break_on_hyphens=False
        )

    def finish(self, results: Sequence[CheckResult]) -> None:
        """Print the numbers of results, or all results as JSON."""
        seconds = time.monotonic() - self._started
        if self._as_json:
            click.echo(json.dumps(as_json(results, seconds), indent=2, ensure_ascii=False))
            return
        counts = Counter(result.status for result in results)
        self._out.print(
            f"{counts['works']} work, {counts['does not']} do not, {counts['not here']} are not here; "
            f"{format_seconds(seconds)}",
            soft_wrap=True,
        )


def as_json(results: Sequence[CheckResult], seconds: float) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {"seconds": round(seconds, 2), "checks": [asdict(result) for result in results]}
