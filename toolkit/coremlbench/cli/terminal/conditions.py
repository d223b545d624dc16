"""Terminal output of the conditions of a run: warnings before it, and lines at its end."""

from __future__ import annotations

import click

from coremlbench.system.condition_texts import describe_conditions, start_problems
from coremlbench.system.conditions import read_conditions
from coremlbench.system.machine import describe_machine
from coremlbench.system.macos import product_version, rosetta_end
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord


def print_start_warnings() -> None:
    """Print to standard error what speaks against starting a run now, with what to do about it."""
    machine = describe_machine()
    texts = [problem.before for problem in start_problems(read_conditions(), machine.logical_cores)]
    if machine.rosetta:
        texts.append(
            f"This Python runs under Rosetta: install a native arm64 one. {rosetta_end(product_version())}".strip()
        )
    if machine.virtual_machine:
        texts.append("This is a virtual Mac: its figures are not those of a Mac, and it has no Neural Engine.")
    for text in filter(None, texts):
        click.echo(f"warning: {text}", err=True)


def condition_lines(record: TrainingRecord | TimingRecord) -> list[str]:
    """Return the conditions at the start and at the end of a run, a line each; none for a record without them."""
    moments = (("before", record.conditions_before), ("after", record.conditions_after))
    return [f"conditions {when}: {text}" for when, conditions in moments if (text := describe_conditions(conditions))]
