"""Terminal output of conversions: for each model a table of its variants, and notes on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import (
    NO_VALUE,
    display_path,
    new_table,
    percent_or_dash,
    plain_console,
    print_failure,
    print_text,
    relative_error_label,
    verdict_label,
)
from coremlbench.report.labels import signal_to_noise_label
from coremlbench.system.formatting import format_bytes, format_percent, format_seconds
from coremlbench.system.proportions import format_accuracy
from coremlbench.types.conversion import PROVEN, ConversionRecord, Variant
from coremlbench.types.failure import Failure

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

COLOURS = {
    "proven": "green",
    "proven with caveats": "green",
    "degraded": "yellow",
    "wrong": "red",
    "not judged": "yellow",
}


def print_conversions(runs: Sequence[tuple[ConversionRecord, Path]]) -> None:
    """Print each model's variants with their verdicts, notes on them, and the path of its record."""
    for record, folder in runs:
        _print_conversion(record, folder)


def _print_conversion(record: ConversionRecord, folder: Path) -> None:
    console = plain_console()
    title = f"{record.experiment}{_source_label(record)}"
    if isinstance(record.outcome, Failure):
        print_failure(console, title, record.outcome)
    else:
        console.print()
        print_text(console, title, style="bold")
    batches = sorted({variant.batch for variant in record.variants})
    for batch in batches:
        console.print()
        print_table(console, _variant_table([variant for variant in record.variants if variant.batch == batch], batch))
    console.print()
    for line in _note_lines(record):
        print_text(console, line)
    print_text(console, f"saved: {display_path(folder / 'run.json')} ({format_seconds(record.seconds)})")


def _source_label(record: ConversionRecord) -> str:
    """Return " from <path>" for a model from a file, " from <id>" for one from a training run, else ""."""
    source = record.source
    if source is None:  # the file could not be opened
        path = str(record.options.get("path", ""))
        return f" from {display_path(Path(path))}" if path else ""
    if source.kind == "file":
        return f" from {display_path(Path(source.path))}"
    return f" from {source.training_run}" if source.training_run else ""


def _variant_table(variants: Sequence[Variant], batch: int) -> Table:
    """Return the table of the variants of one batch size; it is at most 80 columns wide for any figures."""
    table = new_table("variant", "size", "error", "SNR", "same", "accuracy", "verdict")
    table.title = f"batch {batch}" if batch > 1 else None
    table.collapse_padding, table.show_edge = True, False
    for variant in variants:
        table.add_row(*_row(variant), style="red" if variant.status == "failed" else None)
    return table


def _row(variant: Variant) -> list[str | Text]:
    from rich.text import Text

    size = format_bytes(variant.bytes) if variant.bytes else NO_VALUE
    proof = variant.proof
    if variant.failure or proof is None:
        return [variant.name, size, *[NO_VALUE] * 5]
    if not proof.images:  # nothing was compared
        return [variant.name, size, *[NO_VALUE] * 4, Text(verdict_label(proof.verdict), COLOURS[proof.verdict])]
    before, after = proof.accuracy_before, proof.accuracy_after
    accuracy = NO_VALUE if before is None or after is None else f"{before * 100:.1f}→{format_percent(after)}"
    verdict = Text(verdict_label(proof.verdict), COLOURS[proof.verdict])
    return [
        variant.name,
        size,
        relative_error_label(proof.relative_error),
        signal_to_noise_label(proof.signal_to_noise, proof.images),
        percent_or_dash(proof.agreement),
        accuracy,
        verdict,
    ]


def _note_lines(record: ConversionRecord) -> list[str]:
    """Return lines on what was compared, the columns of the table, the notes of variants and those of the record."""
    lines = []
    proofs = [variant.proof for variant in record.variants if variant.proof and variant.proof.images]
    if proofs:
        first = proofs[0]
        lines.append(f"compared: {first.images:,} {first.data}; with {first.original}; executed by {first.runtime}")
        if first.accuracy_before is not None:
            lines.append(f"accuracy of the original: {format_accuracy(first.accuracy_before, first.images)}")
        lines.append(
            "error: the largest, as a share of the range of the original's values; same: samples that keep their class"
        )
    variants_by_note: dict[str, list[str]] = {}
    for variant in record.variants:
        batch = f" (batch {variant.batch})" if variant.batch > 1 else ""
        for note in _variant_notes(variant):
            variants_by_note.setdefault(note, []).append(f"{variant.name}{batch}")
    lines += [f"{', '.join(names)}: {note}" for note, names in variants_by_note.items()]
    return lines + [f"note: {note}" for note in record.notes]


def _variant_notes(variant: Variant) -> list[str]:
    """Return a variant's failure, reason of its verdict or caveats, divergent op and notes, a line each."""
    notes, proof = [], variant.proof
    if variant.failure:
        notes.append(f"failed ({variant.failure.kind}): {variant.failure.reason} {variant.failure.hint}")
    elif proof is None:
        notes.append(f"status: {variant.status}")
    elif proof.verdict == "not judged":
        notes.append(f"not judged: {proof.reason}")
    elif proof.verdict not in PROVEN:
        notes.append(f"{proof.verdict}, as {proof.reason}")
    if proof:
        notes += [f"caveat: {caveat.text}" for caveat in proof.caveats]
    if proof and proof.divergence:
        divergence = proof.divergence
        layer = f" of the layer {divergence.layer}" if divergence.layer else ""
        notes.append(
            f"the first op that parts from the original is {divergence.op} ({divergence.kind}){layer}, by "
            f"{divergence.distance}"
        )
    notes += variant.notes
    if variant.reused:
        notes.append("converted before from the same source and taken from the cache")
    return notes
