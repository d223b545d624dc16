"""What people see of conversions: a table of variants for each model, and what must be known to read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.tables import plain_console, print_failure, say, shown, table_of
from coremlbench.conversion.proof import reserves
from coremlbench.system.formatting import format_bytes, format_percent, format_seconds
from coremlbench.types.conversion import ConversionRecord, Variant
from coremlbench.types.failure import Failure

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

COLOURS = {"proven": "green", "degraded": "yellow", "wrong": "red"}


def print_conversions(runs: Sequence[tuple[ConversionRecord, Path]]) -> None:
    """Print each model's variants and verdicts, and where they are saved."""
    for record, folder in runs:
        _print_one(record, folder)


def _print_one(record: ConversionRecord, folder: Path) -> None:
    console = plain_console()
    title = f"{record.experiment}{_whence(record)}"
    if isinstance(record.outcome, Failure):
        print_failure(console, title, record.outcome)
    else:
        console.print()
        say(console, title, style="bold")
    batches = sorted({variant.batch for variant in record.variants})
    for batch in batches:
        console.print()
        console.print(_figures([variant for variant in record.variants if variant.batch == batch], batch))
    console.print()
    for line in _particulars(record):
        say(console, line)
    say(console, f"saved: {shown(folder / 'run.json')} ({format_seconds(record.seconds)})")


def _whence(record: ConversionRecord) -> str:
    """Return what a model comes from: a training run, or a file, as two files may differ in folder or suffix alone."""
    source = record.source
    if source is None:  # its file could not be opened
        path = str(record.options.get("path", ""))
        return f" from {shown(Path(path))}" if path else ""
    if source.kind == "file":
        return f" from {shown(Path(source.path))}"
    return f" from {source.training_run}" if source.training_run else ""


def _figures(variants: Sequence[Variant], batch: int) -> Table:
    """Return the table of the variants of one batch, which fits into 80 columns whatever the figures are."""
    table = table_of("variant", "size", "error", "SNR", "same", "accuracy", "verdict")
    table.title = f"batch {batch}" if batch > 1 else None
    table.collapse_padding, table.show_edge = True, False
    for variant in variants:
        table.add_row(*_row(variant))
    return table


def _row(variant: Variant) -> list[str | Text]:
    from rich.text import Text

    size = format_bytes(variant.bytes) if variant.bytes else "–"
    proof = variant.proof
    if variant.failure or proof is None:
        verdict = Text("failed", "red") if variant.failure else "not compared"
        return [variant.name, size, "–", "–", "–", "–", verdict]
    ratio = "∞ dB" if proof.signal_to_noise is None else f"{proof.signal_to_noise:.0f} dB"
    before, after = proof.accuracy_before, proof.accuracy_after
    accuracy = "–" if before is None or after is None else f"{before * 100:.1f}→{format_percent(after)}"
    same = "–" if proof.agreement is None else format_percent(proof.agreement)
    verdict = Text(proof.verdict, COLOURS[proof.verdict])
    return [variant.name, size, f"{proof.relative_error:.1e}", ratio, same, accuracy, verdict]


def _particulars(record: ConversionRecord) -> list[str]:
    """Return what a reader must know of the tables: what was compared, why a verdict is not proven, notes."""
    lines = []
    proofs = [variant.proof for variant in record.variants if variant.proof]
    if proofs:
        first = proofs[0]
        lines.append(f"compared: {first.images:,} {first.data}; with {first.original}; executed by {first.runtime}")
        lines.append(
            "error: the largest, as a share of the range of the original's values; same: images that keep their class"
        )
    of_whom: dict[str, list[str]] = {}
    for variant in record.variants:
        batch = f" (batch {variant.batch})" if variant.batch > 1 else ""
        for text in _told_of(variant):
            of_whom.setdefault(text, []).append(f"{variant.name}{batch}")
    lines += [f"{', '.join(names)}: {text}" for text, names in of_whom.items()]
    return lines + [f"note: {note}" for note in record.notes]


def _told_of(variant: Variant) -> list[str]:
    """Return what there is to say of one variant beside its figures."""
    texts, proof = [], variant.proof
    if variant.failure:
        texts.append(f"failed ({variant.failure.kind}): {variant.failure.reason} {variant.failure.hint}")
    elif proof and proof.verdict != "proven":
        texts.append(f"{proof.verdict}, as {proof.reason}")
    elif proof:
        texts += [f"{each}." for each in reserves(proof)]
    if proof and proof.divergence:
        found = proof.divergence
        layer = f" of the layer {found.layer}" if found.layer else ""
        texts.append(
            f"the first op that parts from the original is {found.op} ({found.kind}){layer}, by {found.error:.2g} of "
            "its values' range"
        )
    texts += variant.notes
    if variant.reused:
        texts.append("converted before from the same source and taken from the cache")
    return texts
