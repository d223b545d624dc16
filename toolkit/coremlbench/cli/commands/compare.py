"""``coremlbench compare``: this machine's figures, the published ones and those of all saved runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coremlbench.cli.commands.gate import check_no_gate, gate_options, run_gate
from coremlbench.cli.commands.parameters import json_option, results_option
from coremlbench.types.errors import InputError


@click.command(short_help="Compare this machine's figures with published ones and every saved run.")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@gate_options
@results_option
@json_option
def compare(experiments: tuple[str, ...], results: Path, as_json: bool, **settings: Any) -> None:
    """Print each experiment's figure as measured here, as published, and of every run under the results folder.

    Ratios are relative to this machine's newest run, preferably one with the protocol's settings. Published figures are
    marked, failed runs are listed, and deviations from the protocol are given with each figure. To compare other
    machines, copy the folders of their runs into the results folder.

    With --gate two records or two packages are compared instead, and the exit code is 4 if one of the limits is
    exceeded by more than noise can explain. Packages are timed in the same rounds.

    \b
    coremlbench compare --gate before.mlpackage after.mlpackage --fail-if-slower 5% --fail-if-larger 5%
    """  # noqa: D301 - \b tells click to keep the lines
    if settings["gate"]:
        if experiments:
            raise InputError(f"--gate compares two records or packages; leave out {' '.join(experiments)}.")
        raise SystemExit(run_gate(settings, results, as_json=as_json))
    check_no_gate(settings)
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
