"""``coremlbench results``: the runs saved so far."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="List the saved runs, or print their records as JSON.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@results_option
@json_option
def results(ids: tuple[str, ...], results: Path, as_json: bool) -> None:
    """List the runs under the results folder, newest last; with IDs, only those whose id begins so.

    With --json, the records themselves: an array, one object a run. That is the interface for other programs.
    A record that cannot be read is named on standard error and does not stop the rest.
    """
    from coremlbench.cli.terminal.progress import print_json, print_results
    from coremlbench.runs import store

    records, problems = store.load_all(results)
    chosen = [record for record in records if not ids or record.id.startswith(ids)]
    if as_json:
        print_json(chosen)
    else:
        print_results(chosen, results)
    for problem in problems:
        click.echo(str(problem), err=True)
