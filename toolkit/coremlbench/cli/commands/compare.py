"""``coremlbench compare``: this machine's figures, the published ones and those of all saved runs."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="Compare this machine's figures with published ones and every saved run.")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@results_option
@json_option
def compare(experiments: tuple[str, ...], results: Path, as_json: bool) -> None:
    """Print each experiment's figure as measured here, as published, and of every run under the results folder.

    Ratios are relative to this machine's newest run, preferably one with the protocol's settings. Published figures are
    marked, failed runs are listed, and deviations from the protocol are given with each figure. To compare other
    machines, copy the folders of their runs into the results folder.
    """
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.cli.terminal.training import print_comparison
    from coremlbench.experiments.catalogue import select
    from coremlbench.experiments.comparison import comparison_rows
    from coremlbench.runs import store
    from coremlbench.system.machine import describe_machine

    chosen = select(experiments)
    records, errors = store.load_trainings(results)
    rows = comparison_rows(chosen, records, describe_machine().id)
    if as_json:
        print_json(list(rows))
    else:
        print_comparison(rows, results)
    for error in errors:
        click.echo(str(error), err=True)
