"""Terminal output of the commands that list things: saved runs, datasets, checks of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import NO_VALUE, display_path, new_table, plain_console, print_text
from coremlbench.report.labels import outcome_label
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_bytes, format_seconds
from coremlbench.system.proportions import format_accuracy
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.records import Record
from coremlbench.types.timing import Timed
from coremlbench.types.training_records import Trained, TrainingRecord

if TYPE_CHECKING:
    from coremlbench.diagnostics.doctor import SystemCheck
    from coremlbench_datasets import DatasetSummary

MIN_OUTCOME_WIDTH = 11
"""Columns that keep the words of an outcome whole on a terminal of 80 columns."""
STATE_LABELS = {
    "ok": ("works", "green"),
    "later": ("at first use", "yellow"),
    "warn": ("see below", "yellow"),
    "no": ("does not", "red"),
}


def print_results(records: Sequence[Record], folder: Path) -> None:
    """Print the runs as a table in the given order."""
    console = plain_console()
    if not records:
        command = advised_command("createml", "--scale", "0.1", results=folder)
        print_text(console, f"No runs under {display_path(folder)} yet; `{command}` makes one.")
        return
    table = new_table("run", "outcome", "time", "memory")
    table.collapse_padding, table.show_edge = True, False
    for column in (0, 2, 3):
        table.columns[column].no_wrap = True
    table.columns[1].min_width = MIN_OUTCOME_WIDTH
    for record in records:
        table.add_row(
            record.id,
            _outcome(record),
            format_seconds(record.seconds) if record.seconds else NO_VALUE,
            format_bytes(record.peak_bytes) if record.peak_bytes else NO_VALUE,
        )
    print_table(console, table)
    for record in records:
        if record.deviations:
            print_text(console, f"{record.id}: not the protocol: {', '.join(record.deviations)}")
        codes = _caveat_codes(record)
        if codes:
            command = advised_command("report", results=folder)
            print_text(console, f"{record.id}: caveats: {', '.join(codes)}; `{command}` has their sentences.")


def _caveat_codes(record: Record) -> list[str]:
    """Return what the caveats of a conversion's proofs are about, each once; none for other records."""
    variants = record.variants if isinstance(record, ConversionRecord) else ()
    return list(dict.fromkeys(caveat.code for variant in variants if variant.proof for caveat in variant.proof.caveats))


def _outcome(record: Record) -> str:
    """Return the outcome as in the report, but with the accuracy of a training and without counts of zero."""
    outcome = record.outcome
    if isinstance(outcome, Trained):
        data = record.dataset if isinstance(record, TrainingRecord) else None
        return f"accuracy {format_accuracy(outcome.test_accuracy, data.test if data else 0)}"
    if isinstance(outcome, Timed):
        return f"{outcome.cells} timed" + (f", {outcome.failed} failed" if outcome.failed else "")
    return outcome_label(record)


def print_datasets(datasets: Sequence[DatasetSummary]) -> None:
    """Print the datasets as a table, and a description of each below it."""
    console = plain_console()
    table = new_table("dataset", "images", "classes", "in the cache", "needs")
    table.columns[4].justify = "left"
    for column in table.columns:
        column.no_wrap = True
    for dataset in datasets:
        cells = (f"{dataset.images:,}", str(dataset.classes), f"{dataset.cached_images:,}", _download(dataset))
        table.add_row(dataset.name, *cells)
    print_table(console, table)
    for dataset in datasets:
        print_text(console, f"{dataset.name}: {dataset.title}. {dataset.description}")
    print_text(console, "createml also takes any folder of images: --dataset DIR.")


def _download(dataset: DatasetSummary) -> str:
    if dataset.download_bytes == 0:
        return "nothing"
    return f"a download of {format_bytes(dataset.download_bytes)}" if dataset.download_bytes else "a download"


def print_checks(checks: Sequence[SystemCheck]) -> None:
    """Print the checks as a table, and the advice of those that are not ok below it."""
    from rich.text import Text

    console = plain_console()
    table = new_table("", "works here?", "found")
    table.columns[1].justify = table.columns[2].justify = "left"
    for check in checks:
        label, colour = STATE_LABELS[check.state]
        table.add_row(check.name, Text(label, style=colour), check.found)
    print_table(console, table)
    for check in checks:
        if check.advice and check.state != "ok":
            print_text(console, f"{check.name}: {check.advice}")
