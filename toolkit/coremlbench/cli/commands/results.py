"""``coremlbench results``: the saved runs."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="List the saved runs, or print their records as JSON.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@results_option
@json_option
def results(ids: tuple[str, ...], results: Path, as_json: bool) -> None:
    """List the runs in the results folder, newest last; with IDs, only those whose id starts with one of them.

    With --json, print the records as an array with one object per run, for other programs. A record that cannot be
    read is named on standard error, and the others are listed.
    """
    from coremlbench.cli.terminal.listings import print_results
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.runs import store

    records, errors = store.load_all(results)
    chosen = [record for record in records if not ids or record.id.startswith(ids)]
    if as_json:
        print_json(chosen)
    else:
        print_results(chosen, results)
    for error in errors:
        click.echo(str(error), err=True)
