"""Terminal output of a Create ML run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.conditions import condition_lines
from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import (
    attempt_label,
    deviation_lines,
    display_path,
    new_table,
    percent_or_dash,
    plain_console,
    print_failure,
    print_text,
)
from coremlbench.report.warnings import condition_warnings
from coremlbench.system.formatting import format_bytes, format_count, format_seconds
from coremlbench.system.phase_labels import phase_label
from coremlbench.system.proportions import accuracy_bounds, format_bounds
from coremlbench.types.training_records import Phase, SolverAgreement, Trained, TrainingRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_createml_run(record: TrainingRecord, folder: Path) -> None:
    """Print a Create ML run's accuracies or failure, its phases, its settings, and the path of its record."""
    console = plain_console()
    if isinstance(record.outcome, Trained):
        _print_trained(console, record, record.outcome, folder)
    else:
        print_failure(console, f"Create ML run{attempt_label(record)}", record.outcome)
    if record.phases:
        print_table(console, _phase_table(record.phases, record.seconds, record.peak_bytes))
    for line in _setting_lines(record):
        print_text(console, line)
    print_text(console, f"saved: {display_path(folder / 'run.json')}")


def _print_trained(console: Console, record: TrainingRecord, outcome: Trained, folder: Path) -> None:
    mark = f" by the tests' stand-in, not by {record.stood_in_for}" if record.stand_in else ""
    console.print(f"\nCreate ML run: trained{mark}{attempt_label(record)}", style="bold green")
    print_table(console, _accuracy_table(record, outcome))
    if outcome.per_class:
        classes = new_table("class", "images", "precision", "recall")
        for result in outcome.per_class:
            classes.add_row(
                result.name, f"{result.images:,}", percent_or_dash(result.precision), percent_or_dash(result.recall)
            )
        print_table(console, classes)
    if record.model is not None:
        agreement = record.model.agreement
        comparison = (
            f"; predicts what was trained for {agreement.equal:,} of {agreement.images:,} test images, run on: "
            f"{agreement.runtime}"
            if agreement is not None
            else ""
        )
        print_text(console, f"model: {display_path(folder / record.model.path)}{comparison}")


def _accuracy_table(record: TrainingRecord, outcome: Trained) -> Table:
    table = new_table("accuracy", "", "95% interval", "images")
    data = record.dataset
    for name, accuracy, images in (
        ("test", outcome.test_accuracy, data.test if data else 0),
        ("validation", outcome.validation_accuracy, data.validation if data else 0),
        ("training", outcome.training_accuracy, data.train if data else record.phases[-1].items),
    ):
        table.add_row(name, percent_or_dash(accuracy), format_bounds(*accuracy_bounds(accuracy, images)), f"{images:,}")
    return table


def _phase_table(phases: Sequence[Phase], seconds: float, peak_bytes: int) -> Table:
    table = new_table("phase", "time", "items", "items/s", "peak memory")
    for phase in phases:
        rate = phase.items / phase.seconds if phase.seconds and phase.items > 1 else 0
        table.add_row(
            phase_label(phase.name),
            format_seconds(phase.seconds),
            f"{phase.items:,}" if phase.items > 1 else "",
            f"{rate:,.1f}" if rate else "",
            format_bytes(phase.peak_bytes),
        )
    table.add_section()
    table.add_row("whole run", format_seconds(seconds), "", "", format_bytes(peak_bytes))
    return table


def _setting_lines(record: TrainingRecord) -> list[str]:
    """Return lines on data, extractor, solver, machine, deviations and notes, for comparison with other runs."""
    machine = record.machine
    return [
        *_data_lines(record),
        *_method_lines(record),
        (
            f"machine: {machine.chip}, {machine.logical_cores} cores, {format_bytes(machine.memory_bytes)}, "
            f"{machine.system} {machine.system_version}"
        ),
        *deviation_lines(record.deviations),
        *condition_lines(record),
        *(f"note: {note}" for note in (*condition_warnings(record), *record.notes)),
    ]


def _data_lines(record: TrainingRecord) -> list[str]:
    data = record.dataset
    if data is None:
        return []
    skipped = f"; {data.skipped_count:,} of {data.examined:,} left out" if data.skipped_count else ""
    return [
        (
            f"data: {data.name}, {data.train:,} training, {data.validation:,} validation and {data.test:,} test "
            f"images in {format_count(len(data.classes), 'class', 'classes')}{skipped}"
        ),
        *(f"note: {warning}" for warning in data.warnings),
    ]


def _method_lines(record: TrainingRecord) -> list[str]:
    lines = []
    options = record.options
    if "engine chosen" in options:
        version = record.versions.get(record.engine, "")
        lines.append(f"engine: {record.engine}{version and f' {version}'}, chosen as {options['engine chosen']}")
    if "extractions" in options:
        core_ml = record.versions.get("core ml")
        method = options["extraction"] + (f" by {core_ml} on {options['units']}" if core_ml else "")
        lines.append(
            f"extractor: {options['extractor']}, {options['extractions']:,} extractions, {method}; "
            f"chosen as {options['extractor chosen']}"
        )
    if isinstance(record.outcome, Trained) and record.outcome.solver is not None:
        solver = record.outcome.solver
        lines.append(
            f"solver: {solver.name}, {solver.iterations} of at most "
            f"{format_count(solver.max_iterations, 'iteration')}, {solver.status}"
        )
    if record.verification is not None:
        lines.append(_verification_line(record.verification))
    return lines


def _verification_line(agreement: SolverAgreement) -> str:
    """Return how far both solvers agree, or why there was one only."""
    other = f"{agreement.engine} {agreement.version}".strip()
    if agreement.largest_difference is None:
        return f"not verified: {other} did not train on the same features: {agreement.reason}"
    first = agreement.first_difference
    same = f"the same in all {agreement.iterations} iterations" if first is None else f"other from iteration {first} on"
    passes = (
        f"{agreement.passes} evaluations each"
        if agreement.passes == agreement.other_passes
        else f"{agreement.passes} and {agreement.other_passes} evaluations"
    )
    return (
        f"verified: {other} on the same features: coefficients at most {agreement.largest_difference:.1e} apart (the "
        f"largest is {agreement.largest_coefficient:.3g}), training accuracy {same}, {passes}, "
        f"{agreement.equal_predictions:,} of {agreement.predictions:,} predictions the same"
    )
