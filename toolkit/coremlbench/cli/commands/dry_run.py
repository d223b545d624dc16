"""The option --dry-run of commands that take long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from coremlbench.plans.types import Plan


def dry_run_option(function: Any) -> Any:
    """Add the flag --dry-run to a command."""
    return click.option(
        "--dry-run",
        is_flag=True,
        help="Say what would run, with images, cells, disk, downloads and the estimated time, and run nothing.",
    )(function)


def past_runs(results: Path) -> dict[str, Any]:
    """Return the arguments of a plan that say where it would run, and what was run there before."""
    from coremlbench.runs import store
    from coremlbench.system.machine import describe_machine
    from coremlbench.system.paths import cache_folder

    records, _ = store.load_all(results)
    return {"results": results, "cache": cache_folder(), "records": records, "machine": describe_machine().id}


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Print a plan as a table, or as JSON."""
    from coremlbench.cli.terminal.plans import print_plan
    from coremlbench.cli.terminal.tables import print_json

    if as_json:
        print_json(plan)
    else:
        print_plan(plan)


def show_resumed(run: str, progress: str, *, as_json: bool) -> None:
    """Print which run would be resumed, and how far it is."""
    from coremlbench.cli.terminal.tables import print_json

    if as_json:
        print_json({"resume": run, "progress": progress})
    else:
        click.echo(f"It would resume {run}, from {progress}.\nNothing was run: --dry-run.")
