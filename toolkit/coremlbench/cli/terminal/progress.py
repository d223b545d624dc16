"""What people see in a terminal: progress while a run lasts, tables at its end. Progress goes to standard error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coremlbench.cli.terminal.tables import attempt_of, plain_console, print_failure, say, share_of, shown, table_of
from coremlbench.system import serialization
from coremlbench.system.formatting import format_bytes, format_percent, format_seconds
from coremlbench.types.conversion import Converted
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.records import Record
from coremlbench.types.training_records import Phase, Trained, TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from typing_extensions import Self

    from coremlbench.diagnostics.doctor import Check
    from coremlbench_datasets import DatasetSummary

PHASES = {
    "setup": "set up",
    "data": "data",
    "augment": "augment",
    "extract": "augment and extract",
    "train": "train",
    "evaluate": "evaluate",
    "export": "save the model",
    "compile": "compile for Core ML",
    "plan": "ask for the plan",
    "time": "time",
    "sustain": "time without a pause",
}

PLAIN_SECONDS = 10.0
"""Without a terminal, a line of progress at most so often within a phase."""


class Watch:
    """Shows progress: a live line for the present phase on a terminal, plain lines now and then elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._live: Any = None
        self._task: Any = None
        self._phase = ""
        self._began = self._said = 0.0
        self._first = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
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
        """Show a line of progress."""
        now = time.monotonic()
        if progress.phase != self._phase:
            self._end_phase()
            self._phase, self._began, self._said, self._first = progress.phase, now, 0.0, progress.done
            self._last = progress
            if self._live is not None:
                self._task = self._live.add_task(PHASES.get(self._phase, self._phase), total=None, figures="")
        self._last = progress
        if self._live is not None:
            self._live.update(
                self._task, completed=progress.done, total=progress.total or None, figures=self._figures(now)
            )
        elif now - self._said >= PLAIN_SECONDS:
            self._said = now
            self._console.print(f"{PHASES.get(self._phase, self._phase)}: {self._figures(now)}", soft_wrap=True)

    def tell(self, line: str) -> None:
        """Show a line that stays, such as a figure that is ready before the end."""
        self._console.print(line, soft_wrap=True, markup=False)

    def _figures(self, now: float) -> str:
        progress, seconds = self._last, now - self._began
        said = []
        if progress.total > 1:
            said.append(f"{progress.done:,} of {progress.total:,}")
        done = progress.done - self._first
        # The solver's iterations take unlike times; a rate and an end are promised only for many like items.
        if progress.total >= 50 and done > 0 and seconds > 1:
            rate = done / seconds
            said.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            if progress.done < progress.total:
                said.append(f"{format_seconds((progress.total - progress.done) / rate)} left")
        said += [
            f"{key.replace('_', ' ')} {format_percent(value)}"
            for key, value in progress.figures.items()
            if key.endswith("accuracy")
        ]
        if progress.message:
            said.append(progress.message)
        return ", ".join(said) or "started"

    def _end_phase(self) -> None:
        if not self._phase:
            return
        seconds = time.monotonic() - self._began
        if self._live is not None:
            self._live.remove_task(self._task)
        counted = f", {self._last.done:,} of {self._last.total:,}" if self._last.total > 2 else ""
        self._console.print(
            f"{PHASES.get(self._phase, self._phase)}: {format_seconds(seconds)}{counted}", soft_wrap=True
        )
        self._phase = ""


def print_json(value: Any) -> None:
    """Print a record, or a list of records, as JSON on standard output."""
    import json

    import click

    shown = [serialization.to_json(each) for each in value] if isinstance(value, list) else serialization.to_json(value)
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False))


def print_training(record: TrainingRecord, folder: Path) -> None:
    """Print how a run went, and where it is saved."""
    console = plain_console()
    if isinstance(record.outcome, Trained):
        _print_trained(console, record, record.outcome, folder)
    else:
        print_failure(console, f"Create ML run{attempt_of(record)}", record.outcome)
    if record.phases:
        console.print(_phase_table(record.phases, record.seconds, record.peak_bytes))
    for line in _particulars(record):
        say(console, line)
    say(console, f"saved: {shown(folder / 'run.json')}")


def _print_trained(console: Console, record: TrainingRecord, outcome: Trained, folder: Path) -> None:
    console.print(f"\nCreate ML run: trained{attempt_of(record)}", style="bold green")
    table = table_of("accuracy", "", "images")
    data = record.dataset
    rows = [
        ("test", outcome.test_accuracy, data.test if data else 0),
        ("validation", outcome.validation_accuracy, data.validation if data else 0),
        ("training", outcome.training_accuracy, record.phases[-1].items if not data else data.train),
    ]
    for name, accuracy, images in rows:
        table.add_row(name, "–" if accuracy is None else format_percent(accuracy), f"{images:,}")
    console.print(table)
    if outcome.per_class:
        classes = table_of("class", "images", "precision", "recall")
        for each in outcome.per_class:
            classes.add_row(each.name, f"{each.images:,}", share_of(each.precision), share_of(each.recall))
        console.print(classes)
    if record.model is not None:
        agreement = record.model.agreement
        told = ""
        if agreement is not None:
            told = (
                f"; predicts what was trained for {agreement.equal:,} of {agreement.images:,} test images, run on: "
                f"{agreement.runtime}"
            )
        say(console, f"model: {shown(folder / record.model.path)}{told}")


def _phase_table(phases: Sequence[Phase], seconds: float, peak_bytes: int) -> Table:
    table = table_of("phase", "time", "items", "items/s", "peak memory")
    for phase in phases:
        rate = phase.items / phase.seconds if phase.seconds and phase.items > 1 else 0
        table.add_row(
            PHASES.get(phase.name, phase.name),
            format_seconds(phase.seconds),
            f"{phase.items:,}" if phase.items > 1 else "",
            f"{rate:,.1f}" if rate else "",
            format_bytes(phase.peak_bytes),
        )
    table.add_section()
    table.add_row("whole run", format_seconds(seconds), "", "", format_bytes(peak_bytes))
    return table


def _particulars(record: TrainingRecord) -> list[str]:
    """Return what a reader must know to compare the figures."""
    lines = []
    data = record.dataset
    if data is not None:
        lines.append(
            f"data: {data.name}, {data.train:,} training, {data.validation:,} validation and {data.test:,} test "
            f"images in {len(data.classes)} classes"
            + (f"; {data.skipped_count:,} of {data.examined:,} left out" if data.skipped_count else "")
        )
        lines += [f"note: {warning}" for warning in data.warnings]
    options = record.options
    if "extractions" in options:
        lines.append(
            f"extractor: {options['extractor']}, {options['extractions']:,} extractions, {options['extraction']}; "
            f"chosen as {options['extractor chosen']}"
        )
    if isinstance(record.outcome, Trained) and record.outcome.solver is not None:
        solver = record.outcome.solver
        lines.append(
            f"solver: {solver.name}, {solver.iterations} of at most {solver.max_iterations} iterations, {solver.status}"
        )
    machine = record.machine
    lines.append(
        f"machine: {machine.chip}, {machine.logical_cores} cores, {format_bytes(machine.memory_bytes)}, "
        f"{machine.system} {machine.system_version}"
    )
    if record.deviations:
        lines.append(f"not the protocol: {', '.join(record.deviations)}")
    lines += [f"note: {note}" for note in record.notes]
    return lines


def print_results(records: Sequence[Record], folder: Path) -> None:
    """Print the runs as a table, newest last."""
    console = plain_console()
    if not records:
        say(console, f"No runs under {shown(folder)} yet; `coremlbench createml --scale 0.1` makes one.")
        return
    table = table_of("run", "outcome", "time", "peak memory", "not the protocol")
    table.columns[0].no_wrap = True
    table.columns[4].justify = "left"
    for record in records:
        table.add_row(
            record.id,
            _outcome(record),
            format_seconds(record.seconds) if record.seconds else "–",
            format_bytes(record.peak_bytes) if record.peak_bytes else "–",
            ", ".join(record.deviations) or "–",
        )
    console.print(table)


def _outcome(record: Record) -> str:
    """Return how a run ended, in a few words."""
    outcome = record.outcome
    if isinstance(outcome, Failure):
        return f"failed: {outcome.kind}"
    if isinstance(outcome, Trained):
        return f"{format_percent(outcome.test_accuracy)} test accuracy"
    if isinstance(outcome, Converted):
        counts = {"proven": outcome.proven, "degraded": outcome.degraded, "wrong": outcome.wrong}
        counts["failed"] = outcome.failed
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{outcome.cells} timed" + (f", {outcome.failed} failed" if outcome.failed else "")


def print_datasets(found: Sequence[DatasetSummary]) -> None:
    """Print the datasets as a table."""
    console = plain_console()
    table = table_of("dataset", "images", "classes", "in the cache", "needs", "what it is")
    table.columns[4].justify = table.columns[5].justify = "left"
    for each in found:
        needs = "nothing" if each.download_bytes == 0 else "a download"
        if each.download_bytes:
            needs = f"a download of {format_bytes(each.download_bytes)}"
        table.add_row(each.name, f"{each.images:,}", str(each.classes), f"{each.cached_images:,}", needs, each.title)
    console.print(table)
    for each in found:
        say(console, f"{each.name}: {each.description}")
    say(console, "Any folder of pictures will do in their place: --dataset DIR.")


def print_checks(checks: Sequence[Check]) -> None:
    """Print what works here, with advice below what does not."""
    from rich.markup import escape

    console = plain_console()
    words = {"ok": ("works", "green"), "later": ("at first use", "yellow"), "no": ("does not", "red")}
    table = table_of("", "works here?", "found")
    table.columns[1].justify = table.columns[2].justify = "left"
    for check in checks:
        word, colour = words[check.state]
        table.add_row(check.name, f"[{colour}]{word}[/]", escape(check.found))
    from rich.console import Console

    Console(highlight=False).print(table)
    for check in checks:
        if check.advice and check.state != "ok":
            say(console, f"{check.name}: {check.advice}")
