"""``coremlbench compare``: this machine's figures, the published ones and those of all saved runs."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="Compare this machine's figures with published ones and every saved run.")
@click.argument("arguments", nargs=-1, metavar="[EXPERIMENT|FOLDER|ID]...")
@results_option
@json_option
def compare(arguments: tuple[str, ...], results: Path, as_json: bool) -> None:
    """Print each experiment's figure as measured here, as published, and of every run under the results folder.

    An argument that is an existing path is a folder of runs at any depth, a record, or a model in a run's folder: its
    runs are compared too. Any other is an experiment, or the beginning of a run's id.

    Ratios are relative to this machine's newest run, preferably one with the protocol's settings. Published figures are
    marked, failed runs are listed, and deviations from the protocol are given with each figure.
    """
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
