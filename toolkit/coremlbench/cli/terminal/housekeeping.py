"""Terminal output of the commands that free disk space."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.cli.terminal.table_layout import print_table
from coremlbench.cli.terminal.tables import NO_VALUE, new_table, plain_console, print_text
from coremlbench.system.formatting import format_bytes, format_count

if TYPE_CHECKING:
    from coremlbench.diagnostics.cache_parts import PartSize, Removal
    from coremlbench.runs.cleanup import RemovedFiles

DAY = 86400.0


def print_cache(sizes: Sequence[PartSize], folder: Path) -> None:
    """Print the parts of the cache with their sizes, and the folder."""
    console = plain_console()
    table = new_table("part", "size", "entries", "oldest use", "what it is")
    table.columns[4].justify = "left"
    for size in sizes:
        table.add_row(
            size.name,
            format_bytes(size.bytes) if size.entries else NO_VALUE,
            f"{size.entries:,}" if size.entries else NO_VALUE,
            NO_VALUE if size.oldest is None else _age(size.oldest),
            size.description,
        )
    table.add_section()
    table.add_row("all", format_bytes(sum(size.bytes for size in sizes)), f"{sum(s.entries for s in sizes):,}", "", "")
    print_table(console, table)
    print_text(console, f"folder: {folder}; all of it is made or fetched again when it is needed.")
    if any(size.entries for size in sizes):
        print_text(
            console,
            "`coremlbench cache --clear packages` removes that part, and `coremlbench cache --older-than 30d` what was "
            "not used for so long.",
        )


def print_removal(removal: Removal, *, dry_run: bool) -> None:
    """Print what was removed from the cache, or would be."""
    from coremlbench.diagnostics.cache_parts import removal_line

    console = plain_console()
    print_text(console, f"{removal_line(removal, dry_run=dry_run)}, {format_bytes(removal.bytes)}")
    for sentence in removal.left:
        print_text(console, sentence)


def print_removed_files(removed: Sequence[RemovedFiles], *, dry_run: bool) -> None:
    """Print what was removed of each run, or would be, and the sum."""
    console = plain_console()
    verb = "would be removed" if dry_run else "removed"
    for run in removed:
        print_text(console, f"{run.run}: {verb}: {', '.join(run.what)} ({format_bytes(run.bytes)})")
        for note in run.notes:
            print_text(console, f"  note: {note}")
    size = format_bytes(sum(run.bytes for run in removed))
    total = f" in all: {size} of {format_count(len(removed), 'run')}" if removed else ": nothing"
    print_text(console, f"{verb}{total}")


def _age(moment: float) -> str:
    days = max(0.0, time.time() - moment) / DAY
    return "today" if days < 1 else f"{format_count(int(days), 'day')} ago"
