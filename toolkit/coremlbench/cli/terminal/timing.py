"""What people see of a matrix: rows as they come, the tables at its end. Core ML's figures stand by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.tables import plain_console, say, table_of
from coremlbench.report.labels import RATIO, RUNTIME_WORDS, UNIT_WORDS, unit_told
from coremlbench.report.timing import cell_row
from coremlbench.report.warnings import warnings_of
from coremlbench.system.formatting import format_bytes, format_percent, format_seconds, format_short
from coremlbench.timing.kit import MANIFEST
from coremlbench.timing.statistics import ratio_of_rounds
from coremlbench.types.timing import Measurement, Round, Timed, TimedModel, TimingRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def round_line(row: Measurement, each: Round) -> str:
    """Return one line on a round that has just ended."""
    title = f"{_model(row)}, {RUNTIME_WORDS[row.runtime]} on {UNIT_WORDS[row.unit]}"
    if each.failure is not None:
        return f"  {title}: failed ({each.failure.kind})"
    return f"  {title}: {_short(each.p50)} (p95 {_short(each.p95)}, {each.calls:,} calls){_mark(row)}"


def print_timing(record: TimingRecord, folder: Path, kit: Path | None = None) -> None:
    """Print a matrix: Core ML's units, their comparison, the host's runtimes, failures, and what was not possible."""
    console = plain_console()
    _print_outcome(console, record)
    console.print(_package_table(record.models))
    coreml = [row for row in record.measurements if row.runtime == "coreml"]
    hosts = [row for row in record.measurements if row.runtime != "coreml"]
    if coreml:
        stand_in = any(row.stand_in for row in coreml)
        console.print(_coreml_table(record, coreml, "The tests' stand-in for Core ML" if stand_in else "Core ML"))
        _print_ratios(console, coreml)
    if hosts:
        console.print(_host_table(record, hosts))
    if any(row.sustained for row in record.measurements):
        console.print(_sustained_table(record.measurements))
    _print_failures(console, record.measurements)
    for line in _particulars(record):
        say(console, line)
    if kit is not None and (kit / MANIFEST).is_file():
        say(console, f"kit: {_shown(kit)}; on a Mac, `coremlbench convert-and-time --from-kit {kit.name}`")
    say(console, f"saved: {_shown(folder / 'run.json')}")


def print_no_package(notes: Sequence[str], *, interrupted: bool) -> None:
    """Print why there was no package to time."""
    console = plain_console()
    if interrupted:
        console.print("\nconvert-and-time: interrupted while it converted", style="bold red")
        say(console, "what to do: Run it again; packages that are ready are taken as they are.")
        return
    console.print("\nconvert-and-time: no package to time", style="bold red")
    for note in notes:
        say(console, note)


def _print_outcome(console: Console, record: TimingRecord) -> None:
    quick = ", a first look (--quick)" if record.quick else ""
    outcome = record.outcome
    if isinstance(outcome, Timed):
        failed = f", {outcome.failed} failed" if outcome.failed else ""
        style = "bold green" if outcome.cells else "bold red"
        console.print(f"\nconvert-and-time: {_counted(outcome.cells, 'cell')} timed{failed}{quick}", style=style)
        return
    done = sum(len(row.rounds) for row in record.measurements)
    total = sum(map(len, record.orders))
    console.print(
        f"\nconvert-and-time: {outcome.kind} after {done} of {total} rounds of cells{quick}", style="bold red"
    )
    say(console, outcome.reason)
    say(console, f"what to do: {outcome.hint}")


def _package_table(models: Sequence[TimedModel]) -> Table:
    """Return what was timed, and how far it can be trusted."""
    table = table_of("package", "size", "error", "same class", "accuracy", "verdict", title="Packages")
    for model in models:
        for each in model.variants:
            proof = each.proof
            batch = f" ×{each.batch}" if each.batch > 1 else ""
            row = [f"{model.name} {each.name}{batch}", format_bytes(each.bytes)]
            if proof is None:
                table.add_row(*row, "–", "–", "–", "not proven")
                continue
            accuracy = "–"
            if proof.accuracy_before is not None and proof.accuracy_after is not None:
                accuracy = f"{format_percent(proof.accuracy_before)} → {format_percent(proof.accuracy_after)}"
            agreement = "–" if proof.agreement is None else format_percent(proof.agreement)
            table.add_row(*row, f"{proof.relative_error:.1e}", agreement, accuracy, proof.verdict)
    return table


def _coreml_table(record: TimingRecord, rows: Sequence[Measurement], title: str) -> Table:
    table = table_of("model", "asked for", "p50", "p95", "first load", "of the limit", "where it ran", title=title)
    table.columns[1].justify = table.columns[6].justify = "left"
    for row in rows:
        found = cell_row(record, row)
        share = "–" if found.floor_share is None else format_percent(found.floor_share)
        figures = [_figure(row, found.p50), _short(found.p95), _seconds(found.first_load_seconds), share]
        table.add_row(_model(row), UNIT_WORDS[row.unit], *figures, row.ran_on, style="red" if row.failure else None)
    return table


def _host_table(record: TimingRecord, rows: Sequence[Measurement]) -> Table:
    table = table_of("model", "runtime", "on", "p50", "p95", title="Runtimes of the host: nothing here is Core ML's")
    table.columns[1].justify = table.columns[2].justify = "left"
    for row in rows:
        found = cell_row(record, row)
        figures = [_figure(row, found.p50), _short(found.p95)]
        table.add_row(
            _model(row),
            RUNTIME_WORDS[row.runtime],
            UNIT_WORDS[row.unit],
            *figures,
            style="red" if row.failure else None,
        )
    return table


def _sustained_table(rows: Sequence[Measurement]) -> Table:
    """Return how the speed went when a cell ran on and on: what tells a machine with a fan from one without."""
    table = table_of("model", "runtime", "on", "at first", "at last", "slower by", "heat at last")
    table.title = "Without a pause"
    table.columns[1].justify = table.columns[2].justify = "left"
    for row in rows:
        if row.sustained:
            first, last = row.sustained[0], row.sustained[-1]
            figures = [_short(first.p50), _short(last.p50), f"{100 * (last.p50 / first.p50 - 1):+.0f}%"]
            where = [_model(row), RUNTIME_WORDS[row.runtime], UNIT_WORDS[row.unit]]
            table.add_row(*where, *figures, last.thermal_state or "not told")
    return table


def _print_ratios(console: Console, rows: Sequence[Measurement]) -> None:
    """Print how the Neural Engine compares with the GPU, where both were timed."""
    table = table_of("model", RATIO, "95% interval", "", title="Neural Engine against GPU")
    table.columns[3].justify = "left"
    for row in rows:
        other = next((each for each in rows if each.unit == "CPU_AND_GPU" and _same(each, row)), None)
        if row.unit != "CPU_AND_NE" or other is None or row.failure is not None or other.failure is not None:
            continue
        found = ratio_of_rounds(row.rounds, other.rounds)
        if found is None:
            continue
        interval = "–" if found.low is None or found.high is None else f"{found.low:.2f} to {found.high:.2f}"
        said = "no difference shown"
        if found.different:
            times = max(found.ratio, 1 / found.ratio)
            fast = row if found.ratio < 1 else other
            said = f"{unit_told(fast.unit, fast.ran_on)} {times:.2f} times as fast"
        table.add_row(_model(row), f"{found.ratio:.2f}", interval, said)
    if table.row_count:
        console.print(table)


def _print_failures(console: Console, rows: Sequence[Measurement]) -> None:
    for row in rows:
        if row.failure is not None:
            title = f"{_model(row)}, {RUNTIME_WORDS[row.runtime]} on {UNIT_WORDS[row.unit]}"
            say(console, f"{title}: {row.failure.kind}", style="red")
            say(console, f"  {row.failure.reason.splitlines()[0]}")
            say(console, f"  what to do: {row.failure.hint}")


def _particulars(record: TimingRecord) -> list[str]:
    """Return what a reader must know of the figures."""
    untold: dict[str, list[str]] = {}
    for model in record.models:
        if model.note:
            untold.setdefault(model.note, []).append(model.name)
    lines = [f"timing only, accuracy not told: {', '.join(names)}. {note}" for note, names in untold.items()]
    if isinstance(record.outcome, Timed):
        lines += record.outcome.not_here
    errors = [row for row in record.measurements if row.output_error is not None and row.runtime == "coreml"]
    if errors:
        worst = max(errors, key=lambda row: row.output_error or 0.0)
        lines.append(
            f"outputs: at most {format_percent(worst.output_error or 0.0)} of their range from the expected ones "
            f"({_model(worst)} on {UNIT_WORDS[worst.unit]})"
        )
    return [*lines, *(f"note: {warning.text}" for warning in warnings_of([record]))]


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _same(one: Measurement, other: Measurement) -> bool:
    return (one.model, one.variant, one.batch) == (other.model, other.variant, other.batch)


def _figure(row: Measurement, p50: float | None) -> str:
    return "failed" if row.failure is not None else _short(p50) + _mark(row)


def _mark(row: Measurement) -> str:
    return " (stand-in)" if row.stand_in else ""


def _model(row: Measurement) -> str:
    variant = "original" if row.runtime == "tensorflow" else row.variant
    return f"{row.model} {variant}" + (f" ×{row.batch}" if row.batch > 1 else "")


def _short(seconds: float | None) -> str:
    return "–" if seconds is None else format_short(seconds)


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else format_seconds(seconds)


def _shown(path: Path) -> str:
    """Return a path relative to where the person is, when it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
