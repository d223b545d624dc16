"""Terminal output of the TensorFlow experiments: one run, several runs, and the comparison with other figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.conditions import condition_lines
from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import (
    NO_VALUE,
    attempt_label,
    deviation_lines,
    new_table,
    percent_or_dash,
    plain_console,
    print_failure,
    print_text,
)
from coremlbench.experiments.catalogue import select
from coremlbench.experiments.comparison import compared_seconds
from coremlbench.report.warnings import condition_warnings
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_bytes, format_seconds
from coremlbench.system.proportions import format_accuracy
from coremlbench.types.experiments import ComparisonRow
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import EpochRow, Trained, TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_run(record: TrainingRecord, folder: Path) -> None:
    """Print a run's outcome, its epochs, its settings, and the path of its record."""
    console = plain_console()
    batch = record.options.get("batch")
    title = f"{record.experiment}, batch {batch}{attempt_label(record)}"
    if isinstance(record.outcome, Failure):
        print_failure(console, title, record.outcome)
    else:
        console.print(f"\n{title}: trained", style="bold green")
        print_text(console, f"test accuracy: {_test_accuracy(record, record.outcome)}")
    if record.epochs:
        print_table(console, _epoch_table(record.epochs))
        console.print("* includes the loading of the data; recorded, not compared")
    for line in _setting_lines(record):
        print_text(console, line)
    print_text(console, f"saved: {folder / 'run.json'}")


def _test_accuracy(record: TrainingRecord, outcome: Trained) -> str:
    """Return the accuracy with its interval, number of images and data set: "92.5%, 88 to 95, of 200 of mnist"."""
    data = record.dataset
    accuracy = format_accuracy(outcome.test_accuracy, data.test if data else 0)
    return f"{accuracy} test images of {data.name}" if data else accuracy


def _epoch_table(epochs: Sequence[EpochRow]) -> Table:
    table = new_table("epoch", "time", "training", "steps/s", "loss", "accuracy", "validation")
    for row in epochs:
        table.add_row(
            str(row.epoch) + ("*" if row.epoch == 1 else ""),
            format_seconds(row.seconds),
            format_seconds(row.training_seconds),
            f"{row.steps_per_second:,.1f}",
            f"{row.loss:.4f}",
            percent_or_dash(row.accuracy),
            percent_or_dash(row.validation_accuracy),
        )
    return table


def _setting_lines(record: TrainingRecord) -> list[str]:
    """Return lines on the compared figure, device, data, weights, memory, deviations and notes."""
    lines = []
    (experiment,) = select([record.experiment])
    seconds = compared_seconds(record, experiment)
    if seconds is not None:
        what = "mean of the epochs from 2 on" if experiment.metric == "seconds per epoch" else experiment.metric
        lines.append(f"compared figure: {format_seconds(seconds)} ({what})")
    if record.placement is not None:
        placement = record.placement
        device = f"{placement.device} {placement.name}".strip()
        lines.append(f"device: {device} ({placement.reason.rstrip('.')})")
    if record.dataset is not None:
        data = record.dataset
        lines.append(f"data: {data.name}, {data.train:,} training and {data.test:,} test images")
        lines.append(f"data from: {data.provenance.source}")
    if record.weights is not None:
        lines.append(f"weights: {record.weights.name}, from {record.weights.source}")
    if record.peak_bytes:
        lines.append(f"peak memory: {format_bytes(record.peak_bytes)}")
    notes = (*condition_warnings(record), *record.notes)
    return [*lines, *deviation_lines(record.deviations), *condition_lines(record), *(f"note: {note}" for note in notes)]


def print_runs(records: Sequence[TrainingRecord]) -> None:
    """Print several runs as one table: outcome, compared figure, device and memory."""
    table = new_table("experiment", "batch", "test accuracy", "compared figure", "device", "peak memory")
    for record in records:
        outcome = record.outcome
        (experiment,) = select([record.experiment])
        seconds = compared_seconds(record, experiment)
        per = "/epoch" if experiment.metric == "seconds per epoch" else " in all"
        table.add_row(
            "\n".join([record.experiment, *deviation_lines(record.deviations)]),
            str(record.options.get("batch", "")),
            f"failed: {outcome.kind}" if isinstance(outcome, Failure) else _test_accuracy(record, outcome),
            NO_VALUE if seconds is None else format_seconds(seconds) + per,
            record.placement.device if record.placement else NO_VALUE,
            format_bytes(record.peak_bytes) if record.peak_bytes else NO_VALUE,
        )
    print_table(plain_console(), table)


def print_comparison(rows: Sequence[ComparisonRow], results: Path | None = None) -> None:
    """Print the published and measured figures of each experiment as a table, with the sources below it.

    ``results`` is the folder of the measured runs.
    """
    console = plain_console()
    if not rows:
        command = advised_command("train", results=results)
        print_text(console, f"Nothing was published or measured for these experiments; `{command}` measures.")
    for name, group in groupby(rows, key=lambda row: row.experiment):
        _print_experiment(console, name, list(group))
    print_text(
        console,
        "A ratio is a time over this machine's: above 1 is slower than here. It is given between equal amounts of work "
        "only. Published figures were measured by others, with the software of their time.",
    )


def _settings(row: ComparisonRow) -> str:
    """Return ": accuracy 92.5%, 88 to 95, of 200 of mnist; not the protocol: …", as far as a run has it."""
    accuracy = format_accuracy(row.accuracy, row.test_images, "")
    parts = (
        [f"accuracy {accuracy} test images of {row.data}" if row.data else f"accuracy {accuracy}"] if accuracy else []
    )
    parts += deviation_lines(row.deviations)
    return f": {'; '.join(parts)}" if parts else ""


def _print_experiment(console: Console, name: str, rows: Sequence[ComparisonRow]) -> None:
    """Print one experiment's table, then the numbered sources of its rows with the settings of runs, and the notes."""
    (experiment,) = select([name])
    sources = list(dict.fromkeys(row.source for row in rows))
    table = new_table("machine", "", "figure", "ratio", "accuracy")
    table.title = f"{name}: {experiment.title}, {experiment.metric}"
    table.columns[1].justify = "left"
    for row in rows:
        published = row.kind == "published"
        measured = "measured here" if row.this_machine else "measured"
        source = f"{'published' if published else measured} [{sources.index(row.source) + 1}]"
        table.add_row(
            row.machine,
            source,
            row.figure,
            "this is 1" if row.reference else NO_VALUE if row.ratio is None else f"{row.ratio:.2f}",
            percent_or_dash(row.accuracy),
            style="red" if row.failed else "bold" if row.reference else None,
        )
    print_table(console, table)
    for number, source in enumerate(sources, start=1):
        measurement = next((row for row in rows if row.source == source and row.kind == "measured"), None)
        print_text(console, f"[{number}] {source}{_settings(measurement) if measurement else ''}")
    for row in rows:
        for note in row.notes:
            print_text(console, f"note on {row.source if row.kind == 'measured' else row.machine}: {note}")
    console.print()
