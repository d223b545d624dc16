"""Terminal output of a matrix: a line for each round, and tables at the end. Core ML has a table of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.conditions import condition_lines
from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import (
    NO_VALUE,
    display_path,
    new_table,
    percent_or_dash,
    plain_console,
    print_text,
    relative_error_label,
    verdict_label,
)
from coremlbench.report.labels import LEVEL_LABEL, RATIO_LABEL, RUNTIME_LABELS, UNIT_LABELS, unit_label
from coremlbench.report.timing import cell_row
from coremlbench.report.warnings import warning_rows
from coremlbench.system.files import content_files
from coremlbench.system.formatting import format_bytes, format_count, format_percent, format_seconds, format_short
from coremlbench.system.proportions import format_accuracy
from coremlbench.timing.kit import MANIFEST
from coremlbench.timing.kit_program import SCRIPT
from coremlbench.timing.rounds import clock_gap_phrase
from coremlbench.timing.statistics import Ratio, ratio_of_rounds
from coremlbench.types.conversion import Variant
from coremlbench.types.timing import Measurement, Round, Timed, TimedModel, TimingRecord

SEVERE_WARNINGS = ("stand-in", "gave outputs", "Rosetta", "virtual machine")
"""Words of the warnings that are told in full also after a first look: they say whose figures these are."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def round_line(row: Measurement, timed: Round) -> str:
    """Return one line about a round that has just ended."""
    if timed.clock_gap_seconds and timed.failure is None:
        return f"  {_cell_title(row)}: to be repeated, {clock_gap_phrase(timed.clock_gap_seconds)}"
    if timed.failure is not None:
        return f"  {_cell_title(row)}: failed ({timed.failure.kind})"
    figures = f"{_short(timed.p50)} (p95 {_short(timed.p95)}, {format_count(timed.calls, 'call')})"
    return f"  {_cell_title(row)}: {figures}{_stand_in_mark(row)}"


def print_timing(record: TimingRecord, folder: Path, kit: Path | None = None) -> None:
    """Print a matrix: Core ML's units, their comparison, host runtimes, failures, notes, and where it is saved.

    ``kit`` is the folder of a kit that the run was to write.
    """
    console = plain_console()
    _print_outcome(console, record)
    print_table(console, _package_table(record.models))
    for line in _proof_notes(record.models):
        print_text(console, line)
    coreml = [row for row in record.measurements if row.runtime == "coreml"]
    hosts = [row for row in record.measurements if row.runtime != "coreml"]
    if coreml:
        stand_in = any(row.stand_in for row in coreml)
        native = ", native runner" if any(row.runner == "native" for row in coreml) else ""
        title = "The tests' stand-in for Core ML" if stand_in else "Core ML"
        print_table(console, _coreml_table(record, coreml, f"{title}{native}"))
        _print_ratios(console, coreml)
    if hosts:
        print_table(console, _host_table(record, hosts))
    if any(row.sustained for row in record.measurements):
        print_table(console, _sustained_table(record.measurements))
    _print_failures(console, record.measurements)
    for line in _notes(record):
        print_text(console, line)
    if kit is not None and (kit / MANIFEST).is_file():
        size = format_bytes(sum(file.stat().st_size for file in content_files(kit)))
        print_text(console, f"kit: {display_path(kit)}, {size}; on a Mac, in that folder: `sh {SCRIPT}`")
    print_text(console, f"saved: {display_path(folder / 'run.json')}")


def print_no_package(notes: Sequence[str], *, interrupted: bool) -> None:
    """Print why there is no package to time; ``notes`` name each package that was left out."""
    console = plain_console()
    if interrupted:
        console.print("\nconvert-and-time: interrupted while it converted", style="bold red")
        print_text(console, "what to do: Run it again; packages that are ready are taken as they are.")
        return
    console.print("\nconvert-and-time: no package to time", style="bold red")
    for note in notes:
        print_text(console, note)


def _print_outcome(console: Console, record: TimingRecord) -> None:
    """Print how the matrix ended; for one that did not finish, the reason and what to do."""
    quick = ", a first look (--quick)" if record.quick else ""
    outcome = record.outcome
    if isinstance(outcome, Timed):
        failed = f", {outcome.failed} failed" if outcome.failed else ""
        style = "bold green" if outcome.cells else "bold red"
        console.print(f"\nconvert-and-time: {format_count(outcome.cells, 'cell')} timed{failed}{quick}", style=style)
        return
    done = sum(len(row.rounds) for row in record.measurements)
    total = sum(map(len, record.orders))
    console.print(
        f"\nconvert-and-time: {outcome.kind} after {done} of {format_count(total, 'round')} of cells{quick}",
        style="bold red",
    )
    print_text(console, outcome.reason)
    print_text(console, f"what to do: {outcome.hint}")


def _package_table(models: Sequence[TimedModel]) -> Table:
    """Return the table of packages with the results of their proofs."""
    table = new_table("package", "size", "error", "same class", "accuracy", "verdict", title="Packages")
    for model in models:
        for variant in model.variants:
            table.add_row(*_package_row(model.name, variant))
    return table


def _package_row(model: str, variant: Variant) -> tuple[str, ...]:
    batch = f" ×{variant.batch}" if variant.batch > 1 else ""
    package, proof = (f"{model} {variant.name}{batch}", format_bytes(variant.bytes)), variant.proof
    if proof is None:
        return (*package, *[NO_VALUE] * 4)
    accuracy = NO_VALUE
    if proof.accuracy_before is not None and proof.accuracy_after is not None:
        accuracy = f"{format_percent(proof.accuracy_before)} → {format_percent(proof.accuracy_after)}"
    error, agreement = relative_error_label(proof.relative_error), percent_or_dash(proof.agreement)
    return (*package, error, agreement, accuracy, verdict_label(proof.verdict))


def _proof_notes(models: Sequence[TimedModel]) -> list[str]:
    """Return each caveat, and why packages have no verdict or were not judged, with the packages."""
    packages: dict[str, list[str]] = {}
    for model in models:
        for variant in model.variants:
            proof = variant.proof
            notes = [f"caveat: {caveat.text}" for caveat in proof.caveats] if proof else []
            if proof is None:
                notes.append(f"status: {variant.status}. {' '.join(variant.notes)}".rstrip())
            elif proof.verdict == "not judged":
                notes.append(f"not judged: {proof.reason}")
            for note in notes:
                packages.setdefault(note, []).append(_package_row(model.name, variant)[0])
    return [*_accuracy_lines(models), *(f"{', '.join(names)}: {note}" for note, names in packages.items())]


def _accuracy_lines(models: Sequence[TimedModel]) -> list[str]:
    """Return the accuracy of each model's original with its interval and what it is of, as proofs have it."""
    lines = []
    for model in models:
        proofs = [variant.proof for variant in model.variants if variant.proof is not None]
        proof = next((proof for proof in proofs if proof.accuracy_before is not None), None)
        if proof is not None:
            accuracy = format_accuracy(proof.accuracy_before, proof.images)
            lines.append(f"{model.name}: accuracy of the original {accuracy} {proof.data}".rstrip())
    return lines


def _coreml_table(record: TimingRecord, rows: Sequence[Measurement], title: str) -> Table:
    table = new_table("model", "asked for", "p50", "p95", "first load", "of the bound", "where it ran", title=title)
    table.columns[1].justify = table.columns[6].justify = "left"
    for row in rows:
        cell = cell_row(record, row)
        figures = [
            _p50(row, cell.p50),
            _short(cell.p95),
            _seconds(cell.first_load_seconds),
            percent_or_dash(cell.floor_share),
        ]
        table.add_row(
            _package_title(row), UNIT_LABELS[row.unit], *figures, row.ran_on, style="red" if row.failure else None
        )
    return table


def _host_table(record: TimingRecord, rows: Sequence[Measurement]) -> Table:
    table = new_table("model", "runtime", "on", "p50", "p95", title="Host runtimes (not Core ML)")
    table.columns[1].justify = table.columns[2].justify = "left"
    for row in rows:
        cell = cell_row(record, row)
        figures = [_p50(row, cell.p50), _short(cell.p95)]
        table.add_row(
            _package_title(row),
            RUNTIME_LABELS[row.runtime],
            UNIT_LABELS[row.unit],
            *figures,
            style="red" if row.failure else None,
        )
    return table


def _sustained_table(rows: Sequence[Measurement]) -> Table:
    """Return the table of sustained runs: how much slower a cell gets without pauses, as on a machine without a fan."""
    table = new_table("model", "runtime", "on", "first block", "last block", "slower by", "thermal state")
    table.title = "Sustained runs"
    table.columns[1].justify = table.columns[2].justify = "left"
    for row in rows:
        if row.sustained:
            first, last = row.sustained[0], row.sustained[-1]
            figures = [_short(first.p50), _short(last.p50), f"{100 * (last.p50 / first.p50 - 1):+.0f}%"]
            cell = [_package_title(row), RUNTIME_LABELS[row.runtime], UNIT_LABELS[row.unit]]
            table.add_row(*cell, *figures, last.thermal_state or "unknown")
    return table


def _print_ratios(console: Console, rows: Sequence[Measurement]) -> None:
    """Print the ratio of the Neural Engine to the GPU for each package that has figures of both."""
    table = new_table("model", RATIO_LABEL, LEVEL_LABEL, "", title="Neural Engine against GPU")
    table.columns[3].justify = "left"
    for engine in rows:
        gpu = next((row for row in rows if row.unit == "CPU_AND_GPU" and _is_same_package(row, engine)), None)
        if engine.unit != "CPU_AND_NE" or gpu is None or engine.failure is not None or gpu.failure is not None:
            continue
        ratio = ratio_of_rounds(engine.rounds, gpu.rounds)
        if ratio is not None:
            table.add_row(_package_title(engine), *_ratio_figures(engine, gpu, ratio))
    if table.row_count:
        print_table(console, table)


def _ratio_figures(engine: Measurement, gpu: Measurement, ratio: Ratio) -> tuple[str, str, str]:
    """Return the ratio, its interval, and a phrase that says which of the two is faster."""
    interval = NO_VALUE if ratio.low is None or ratio.high is None else f"{ratio.low:.2f} to {ratio.high:.2f}"
    conclusion = "no difference shown"
    if ratio.different:
        faster = engine if ratio.ratio < 1 else gpu
        factor = max(ratio.ratio, 1 / ratio.ratio)
        conclusion = f"{unit_label(faster.unit, faster.ran_on)} {factor:.2f} times as fast"
    return f"{ratio.ratio:.2f}", interval, conclusion


def _print_failures(console: Console, rows: Sequence[Measurement]) -> None:
    for row in rows:
        if row.failure is not None:
            print_text(console, f"{_cell_title(row)}: {row.failure.kind}", style="red")
            print_text(console, f"  {row.failure.reason.splitlines()[0]}")
            print_text(console, f"  what to do: {row.failure.hint}")


def _notes(record: TimingRecord) -> list[str]:
    """Return what a reader must know about the figures, one line each."""
    models_by_note: dict[str, list[str]] = {}
    for model in record.models:
        if model.note:
            models_by_note.setdefault(model.note, []).append(model.name)
    lines = [f"timing only, accuracy unknown: {', '.join(names)}. {note}" for note, names in models_by_note.items()]
    if isinstance(record.outcome, Timed):
        lines += record.outcome.not_here
    errors = [row for row in record.measurements if row.output_error is not None and row.runtime == "coreml"]
    if errors:
        worst = max(errors, key=lambda row: row.output_error or 0.0)
        lines.append(
            f"outputs: at most {format_percent(worst.output_error or 0.0)} of their range from the expected ones "
            f"({_package_title(worst)} on {UNIT_LABELS[worst.unit]})"
        )
    lines += condition_lines(record)
    texts = [warning.text for warning in warning_rows([record])]
    return [*lines, *(condense_warnings(texts) if record.quick else [f"note: {text}" for text in texts])]


def condense_warnings(texts: Sequence[str]) -> list[str]:
    """Return the notes on a first look as one line that points to the report, after those that void figures."""
    severe = [text for text in texts if any(word in text for word in SEVERE_WARNINGS)]
    rest = len(texts) - len(severe)
    lines = [f"note: {text}" for text in severe]
    if rest:
        lines.append(
            "note: A first look has too few rounds and calls for figures to rely on; "
            f"{format_count(rest, 'note')} on {'it stands' if rest == 1 else 'them stand'} under Conditions and "
            "warnings in the report."
        )
    return lines


def _is_same_package(one: Measurement, other: Measurement) -> bool:
    """Return whether two cells can be compared: they are of one package, timed by one runner."""
    return (one.model, one.variant, one.batch, one.runner) == (other.model, other.variant, other.batch, other.runner)


def _p50(row: Measurement, p50: float | None) -> str:
    return "failed" if row.failure is not None else _short(p50) + _stand_in_mark(row)


def _stand_in_mark(row: Measurement) -> str:
    return " (stand-in)" if row.stand_in else ""


def _cell_title(row: Measurement) -> str:
    return f"{_package_title(row)}, {RUNTIME_LABELS[row.runtime]} on {UNIT_LABELS[row.unit]}"


def _package_title(row: Measurement) -> str:
    variant = "original" if row.runtime == "tensorflow" else row.variant
    return f"{row.model} {variant}" + (f" ×{row.batch}" if row.batch > 1 else "")


def _short(seconds: float | None) -> str:
    return NO_VALUE if seconds is None else format_short(seconds)


def _seconds(seconds: float | None) -> str:
    return NO_VALUE if seconds is None else format_seconds(seconds)
