"""What people see of the TensorFlow experiments: the epochs of a run, several runs, and the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.tables import attempt_of, plain_console, print_failure, say, share_of, table_of
from coremlbench.experiments.catalogue import select
from coremlbench.experiments.comparison import compared_seconds
from coremlbench.system.formatting import format_bytes, format_percent, format_seconds
from coremlbench.types.experiments import ComparisonRow
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console


def print_run(record: TrainingRecord, folder: Path) -> None:
    """Print how one run went: its epochs, its outcome, and what a reader must know to compare it."""
    console = plain_console()
    batch = record.options.get("batch")
    title = f"{record.experiment}, batch {batch}{attempt_of(record)}"
    if isinstance(record.outcome, Failure):
        print_failure(console, title, record.outcome)
    else:
        console.print(f"\n{title}: trained", style="bold green")
        console.print(f"test accuracy: {format_percent(record.outcome.test_accuracy)}")
    if record.epochs:
        table = table_of("epoch", "time", "training", "steps/s", "loss", "accuracy", "validation")
        for row in record.epochs:
            table.add_row(
                str(row.epoch) + ("*" if row.epoch == 1 else ""),
                format_seconds(row.seconds),
                format_seconds(row.training_seconds),
                f"{row.steps_per_second:,.1f}",
                f"{row.loss:.4f}",
                share_of(row.accuracy),
                share_of(row.validation_accuracy),
            )
        console.print(table)
        console.print("* holds the loading of the data; recorded, not compared")
    for line in _particulars(record):
        say(console, line)
    say(console, f"saved: {folder / 'run.json'}")


def _particulars(record: TrainingRecord) -> list[str]:
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
    if record.deviations:
        lines.append(f"not the protocol: {', '.join(record.deviations)}")
    return lines + [f"note: {note}" for note in record.notes]


def print_runs(records: Sequence[TrainingRecord]) -> None:
    """Print several runs as one table."""
    table = table_of("experiment", "batch", "outcome", "compared figure", "device", "peak memory")
    for record in records:
        outcome = record.outcome
        (experiment,) = select([record.experiment])
        seconds = compared_seconds(record, experiment)
        per = "/epoch" if experiment.metric == "seconds per epoch" else " in all"
        table.add_row(
            "\n".join([record.experiment, *_not_the_protocol(record.deviations)]),
            str(record.options.get("batch", "")),
            f"failed: {outcome.kind}" if isinstance(outcome, Failure) else format_percent(outcome.test_accuracy),
            "–" if seconds is None else format_seconds(seconds) + per,
            record.placement.device if record.placement else "–",
            format_bytes(record.peak_bytes) if record.peak_bytes else "–",
        )
    plain_console().print(table)


def print_comparison(rows: Sequence[ComparisonRow]) -> None:
    """Print published and measured figures by experiment; where the published ones are from stands below."""
    console = plain_console()
    if not rows:
        console.print("Nothing was published or measured for these experiments; `coremlbench train` measures.")
    for name, group in groupby(rows, key=lambda row: row.experiment):
        _print_experiment(console, name, list(group))
    say(
        console,
        "A ratio is a time over this machine's: above 1 is slower than here. It is given between like amounts of work "
        "only. Published figures were measured by others, with the software of their time.",
    )


def _print_experiment(console: Console, name: str, rows: Sequence[ComparisonRow]) -> None:
    """Print one experiment's table, and below it the sources that its published rows number."""
    (experiment,) = select([name])
    sources = list(dict.fromkeys(row.source for row in rows if row.kind == "published"))
    table = table_of("machine", "", "figure", "ratio", "accuracy")
    table.title = f"{name}: {experiment.title}, {experiment.metric}"
    table.columns[1].justify = "left"
    for row in rows:
        published = row.kind == "published"
        measured = "measured here" if row.this_machine else "measured"
        table.add_row(
            "\n".join([row.machine, *([] if published else [row.source]), *_not_the_protocol(row.deviations)]),
            f"published [{sources.index(row.source) + 1}]" if published else measured,
            row.figure,
            "this is 1" if row.reference else "–" if row.ratio is None else f"{row.ratio:.2f}",
            share_of(row.accuracy),
            style="red" if row.failed else "bold" if row.reference else None,
        )
    console.print(table)
    for number, source in enumerate(sources, start=1):
        say(console, f"[{number}] {source}")
    for row in rows:
        for note in row.notes:
            say(console, f"note on {row.source if row.kind == 'measured' else row.machine}: {note}")
    console.print()


def _not_the_protocol(deviations: Sequence[str]) -> list[str]:
    return [f"not the protocol: {', '.join(deviations)}"] if deviations else []
