"""``coremlbench results``: the saved runs."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option
from coremlbench.cli.commands.run_ids import RUN_ID


@click.command(short_help="List the saved runs, or print their records as JSON.")
@click.argument("ids", nargs=-1, metavar="[ID]...", type=RUN_ID)
@results_option
@json_option
def results(ids: tuple[str, ...], results: Path, as_json: bool) -> None:
    """List the runs in the results folder, newest last; with IDs, only those whose id starts with one of them.

    Of a single run all is shown, as by `coremlbench show`. With --json, print the records as an array with one object
    per run, for other programs. A record that cannot be read is named on standard error, and the others are listed.
    """
    from coremlbench.cli.terminal.listings import print_results
    from coremlbench.cli.terminal.saved_run import print_saved_run
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.runs import store
    from coremlbench.runs.lookup import find_ids

    chosen_ids = set(find_ids(ids, results)) if ids else None
    records, errors = store.load_all(results, chosen_ids)
    if as_json:
        print_json(records)
    elif ids and len(records) == 1:
        print_saved_run(records[0], results / records[0].id)
    else:
        print_results(records, results)
    for error in errors:
        click.echo(str(error), err=True)
