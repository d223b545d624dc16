"""``coremlbench compare``: this machine's figures, the published ones and those of all saved runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coremlbench.cli.commands.gate import check_no_gate, gate_options, run_gate
from coremlbench.cli.commands.parameters import json_option, results_option
from coremlbench.types.errors import InputError


@click.command(short_help="Compare this machine's figures with published ones and every saved run.")
@click.argument("arguments", nargs=-1, metavar="[EXPERIMENT|FOLDER|ID]...")
@gate_options
@results_option
@json_option
def compare(arguments: tuple[str, ...], results: Path, as_json: bool, **settings: Any) -> None:
    """Print each experiment's figure as measured here, as published, and of every run under the results folder.

    An argument that is an existing path is a folder of runs at any depth, a record, or a model in a run's folder: its
    runs are compared too. Any other is an experiment, or the beginning of a run's id.

    Ratios are relative to this machine's newest run, preferably one with the protocol's settings. Published figures are
    marked, failed runs are listed, and deviations from the protocol are given with each figure.

    With --gate two records or two packages are compared instead, and the exit code is 4 if one of the limits is
    exceeded by more than noise can explain. Packages are timed in the same rounds.

    \b
    coremlbench compare --gate before.mlpackage after.mlpackage --fail-if-slower 5% --fail-if-larger 5%
    """  # noqa: D301 - \b tells click to keep the lines
    if settings["gate"]:
        if arguments:
            raise InputError(f"--gate compares two records or packages; leave out {' '.join(arguments)}.")
        raise SystemExit(run_gate(settings, results, as_json=as_json))
    check_no_gate(settings)
    from coremlbench.cli.commands.record_arguments import check_any_records, load_records
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.cli.terminal.training import print_comparison
    from coremlbench.experiments.catalogue import EXPERIMENTS, select
    from coremlbench.experiments.comparison import comparison_rows
    from coremlbench.runs.record_paths import is_path
    from coremlbench.system.machine import describe_machine
    from coremlbench.types.training_records import TrainingRecord

    known = {experiment.name for experiment in EXPERIMENTS}
    paths = [argument for argument in arguments if is_path(argument)]
    ids = [argument for argument in arguments if argument not in paths and argument[:1].isdecimal()]
    chosen = select([argument for argument in arguments if argument not in (*paths, *ids)])
    records, problems, places = load_records([*paths, *ids], results)
    if paths or ids:  # else there are the published figures
        check_any_records(records, problems, places)
    if paths and not ids and results.is_dir():  # this machine's own runs, for the ratios
        own, own_problems, _ = load_records([], results)
        records = list({record.id: record for record in (*own, *records)}.values())
        problems = list(dict.fromkeys([*problems, *own_problems]))
    trainings = [record for record in records if isinstance(record, TrainingRecord) and record.experiment in known]
    if ids and len(arguments) == len(ids):  # the experiments of these runs
        chosen = select({record.experiment for record in trainings})
    rows = comparison_rows(chosen, trainings, describe_machine().id)
    if as_json:
        print_json(list(rows))
    else:
        print_comparison(rows, results)
    for problem in problems:
        click.echo(problem, err=True)
