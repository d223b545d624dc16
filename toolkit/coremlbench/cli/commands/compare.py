"""``coremlbench compare``: this machine's figures beside the published ones and all others saved."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="This machine's figures beside the published ones and those of every saved run.")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@results_option
@json_option
def compare(experiments: tuple[str, ...], results: Path, as_json: bool) -> None:
    """Print each experiment's figure as measured here, as published, and of every run under the results folder.

    Ratios are over this machine's newest run, one at the protocol if there is one. Published figures are marked as
    such; failed runs stand among the others; what was not the protocol is said beside the figure. Records of other
    machines are compared when their folders are copied under the results folder.
    """
    from coremlbench.cli.terminal.progress import print_json
    from coremlbench.cli.terminal.training import print_comparison
    from coremlbench.experiments.catalogue import select
    from coremlbench.experiments.comparison import compare as rows_of
    from coremlbench.runs import store
    from coremlbench.system.machine import describe_machine

    chosen = select(experiments)
    records, problems = store.load_trainings(results)
    rows = rows_of(chosen, records, describe_machine().id)
    if as_json:
        print_json(list(rows))
    else:
        print_comparison(rows)
    for problem in problems:
        click.echo(str(problem), err=True)
