"""Terminal output of ``--dry-run``."""

from __future__ import annotations

from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import NO_VALUE, new_table, plain_console, print_text
from coremlbench.plans.types import Plan
from coremlbench.system.formatting import format_bytes, format_seconds


def print_plan(plan: Plan) -> None:
    """Print the runs of a plan as a table, then disk, downloads, time and notes."""
    console = plain_console()
    table = new_table("run", "what it does", "images", "cells", "disk", "time")
    table.columns[1].justify = "left"
    table.collapse_padding, table.show_edge = True, False
    for run in plan.runs:
        table.add_row(
            run.name,
            run.work,
            f"{run.images:,}" if run.images else NO_VALUE,
            f"{run.cells:,}" if run.cells else NO_VALUE,
            format_bytes(run.disk_bytes) if run.disk_bytes else NO_VALUE,
            NO_VALUE if run.seconds is None else f"about {format_seconds(run.seconds)}",
        )
    print_table(console, table)
    for basis in dict.fromkeys(run.time_basis for run in plan.runs if run.time_basis):
        names = [run.name for run in plan.runs if run.time_basis == basis]
        print_text(console, f"time of {', '.join(names)}: {basis}" if len(names) < len(plan.runs) else f"time: {basis}")
    if plan.seconds is not None and len(plan.runs) > 1:
        print_text(console, f"time in all: about {format_seconds(plan.seconds)}, one run after the other")
    disk = sum(run.disk_bytes for run in plan.runs)
    needed = f"about {format_bytes(disk)}" if disk else "what models take, which is not known before they are made,"
    print_text(console, f"disk: {needed} of {format_bytes(plan.free_bytes)} that are free for {plan.results}")
    for sentence in plan.downloads:
        print_text(console, f"download: {sentence}")
    for note in plan.notes:
        print_text(console, f"note: {note}")
    print_text(console, "Nothing was run: --dry-run.")
