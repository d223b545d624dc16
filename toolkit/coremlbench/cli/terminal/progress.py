"""Progress of a run on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coremlbench.cli.verbosity import context_lines, verbosity
from coremlbench.system.formatting import format_percent, format_seconds
from coremlbench.system.phase_labels import phase_label
from coremlbench.types.process import Progress

if TYPE_CHECKING:
    from typing_extensions import Self

PLAIN_INTERVAL = 10.0
"""Seconds between two lines of one phase where there is no terminal."""
VERBOSE_INTERVAL = 1.0
"""The same with --verbose; a new message of a worker is a line at once."""
MIN_RATE_ITEMS = 50
"""Items of a phase from which on a rate and the time left are shown: a solver's few iterations differ in length."""
MIN_DONE_SHARE = 0.05
"""The share of a phase from which on the time left is shown: the first items tell of the start, not of the pace."""


class Watch:
    """A context manager that displays ``Progress``: call it with each, in order.

    On a terminal one line is updated in place and replaced by the phase's time when the phase ends. Elsewhere a line
    is printed every ``PLAIN_INTERVAL`` seconds and at the end of each phase. With --verbose each step is a line with
    the time since the start, with --quiet nothing is printed.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._verbosity = verbosity()
        self._console = Console(stderr=True, highlight=False, quiet=self._verbosity == "quiet")
        self._start, self._last_message = time.monotonic(), ""
        self._live: Any = None
        self._task: Any = None
        self._phase = ""
        self._phase_start = self._last_print = 0.0
        self._first_done = 0

    def __enter__(self) -> Self:
        if self._verbosity == "verbose":
            for line in context_lines():
                self.print_line(line)
        elif self._console.is_terminal and self._verbosity == "normal":
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            self._live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[figures]}"),
                console=self._console,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_phase()
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Display the progress."""
        now = time.monotonic()
        if progress.phase != self._phase:
            self._end_phase()
            self._start_phase(progress, now)
        self._last = progress
        if self._live is not None:
            self._live.update(
                self._task, completed=progress.done, total=progress.total or None, figures=self._figures(now)
            )
        elif self._verbosity == "verbose":
            if progress.message != self._last_message or now - self._last_print >= VERBOSE_INTERVAL:
                self._last_print, self._last_message = now, progress.message
                self.print_line(f"[{format_seconds(now - self._start)}] {self._phase_name}: {self._figures(now)}")
        elif now - self._last_print >= PLAIN_INTERVAL:
            self._last_print = now
            self._console.print(f"{self._phase_name}: {self._figures(now)}", soft_wrap=True)

    def print_line(self, line: str) -> None:
        """Print a line above the live one, such as a result that is available before the end."""
        self._console.print(line, soft_wrap=True, markup=False)

    @property
    def _phase_name(self) -> str:
        return phase_label(self._phase)

    def _start_phase(self, progress: Progress, now: float) -> None:
        self._phase, self._phase_start, self._last_print = progress.phase, now, 0.0
        self._first_done = progress.done
        if self._live is not None:
            self._task = self._live.add_task(self._phase_name, total=None, figures="")

    def _figures(self, now: float) -> str:
        """Return items done, rate, time left, accuracies and message of the last progress, separated by commas."""
        progress = self._last
        parts = [f"{progress.done:,} of {progress.total:,}"] if progress.total > 1 else []
        parts += self._rate(now - self._phase_start)
        parts += [
            f"{key.replace('_', ' ')} {format_percent(value)}"
            for key, value in progress.figures.items()
            if key.endswith("accuracy")
        ]
        if progress.message:
            parts.append(progress.message)
        return ", ".join(parts) or "started"

    def _rate(self, seconds: float) -> list[str]:
        """Return the items a second and the time left, once both can be estimated."""
        progress = self._last
        done = progress.done - self._first_done
        if progress.total < MIN_RATE_ITEMS or done <= 0 or seconds <= 1:
            return []
        rate = done / seconds
        parts = [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"]
        if MIN_DONE_SHARE * progress.total <= done and progress.done < progress.total:
            parts.append(f"{format_seconds((progress.total - progress.done) / rate)} left")
        return parts

    def _end_phase(self) -> None:
        if not self._phase:
            return
        seconds = time.monotonic() - self._phase_start
        if self._live is not None:
            self._live.remove_task(self._task)
        items = f", {self._last.done:,} of {self._last.total:,}" if self._last.total > 2 else ""
        self._console.print(f"{self._phase_name}: {format_seconds(seconds)}{items}", soft_wrap=True)
        self._phase = ""
