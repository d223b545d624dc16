"""What people see of conversions: a table of variants for each model, and what must be known to read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coremlbench.console import _console, _shown, _table
from coremlbench.coreml_types import ConversionRecord, Variant
from coremlbench.types import Failure
from coremlbench.units import format_bytes, format_percent, format_seconds

COLOURS = {"proven": "green", "degraded": "yellow", "wrong": "red"}


def print_conversions(runs: Sequence[tuple[ConversionRecord, Path]]) -> None:
    """Print each model's variants and verdicts, and where they are saved."""
    for record, folder in runs:
        _print_one(record, folder)


def _print_one(record: ConversionRecord, folder: Path) -> None:
    console = _console()
    source = record.source
    whence = f" from {source.training_run}" if source and source.training_run else ""
    console.print(f"\n{record.experiment}{whence}", style="bold")
    if isinstance(record.outcome, Failure):
        console.print(f"failed: {record.outcome.kind}", style="bold red")
        console.print(record.outcome.reason, soft_wrap=True)
        console.print(f"what to do: {record.outcome.hint}", soft_wrap=True)
    if record.variants:
        table = _table("variant", "size", "error", "SNR", "same", "accuracy", "verdict")
        for column in table.columns:
            column.no_wrap = True
        for variant in record.variants:
            table.add_row(*_row(variant), style=None)
        console.print(table)
    for line in _particulars(record):
        console.print(line, soft_wrap=True)
    console.print(f"saved: {_shown(folder / 'run.json')} ({format_seconds(record.seconds)})", soft_wrap=True)


def _row(variant: Variant) -> list[str]:
    name = variant.name + (f", batch {variant.batch}" if variant.batch > 1 else "")
    size = format_bytes(variant.bytes) if variant.bytes else "–"
    if variant.failure:
        return [name, size, "–", "–", "–", "–", f"failed: {variant.failure.kind}"]
    proof = variant.proof
    if proof is None:
        return [name, size, "–", "–", "–", "–", "not compared"]
    ratio = "no error" if proof.signal_to_noise is None else f"{proof.signal_to_noise:.0f} dB"
    before, after = proof.accuracy_before, proof.accuracy_after
    accuracy = "–" if before is None or after is None else f"{before * 100:.1f}→{format_percent(after)}"
    same = "–" if proof.agreement is None else format_percent(proof.agreement)
    return [name, size, f"{proof.relative_error:.1e}", ratio, same, accuracy, proof.verdict]


def _particulars(record: ConversionRecord) -> list[str]:
    """Return what a reader must know of the table: what was compared, why a verdict is not proven, notes."""
    lines = []
    proofs = [variant.proof for variant in record.variants if variant.proof]
    if proofs:
        first = proofs[0]
        lines.append(f"compared: {first.images:,} {first.data}; with {first.original}; executed by {first.runtime}")
        lines.append(
            "error: the largest, as a share of the range of the original's values; same: images that keep their class"
        )
    for variant in record.variants:
        if variant.failure:
            lines.append(f"{variant.name}: {variant.failure.reason} {variant.failure.hint}")
        elif variant.proof and variant.proof.verdict != "proven":
            lines.append(f"{variant.name}: {variant.proof.verdict}, as {variant.proof.reason}")
        if variant.proof and variant.proof.divergence:
            found = variant.proof.divergence
            layer = f" of the layer {found.layer}" if found.layer else ""
            lines.append(
                f"{variant.name}: the first op that parts from the original is {found.op} ({found.kind}){layer}, by "
                f"{found.error:.2g} of its values' range"
            )
        lines += [f"{variant.name}: {note}" for note in variant.notes]
        if variant.reused:
            lines.append(f"{variant.name}: converted before from the same source and taken from the cache")
    return lines + [f"note: {note}" for note in record.notes]
