"""``coremlbench results``: the saved runs."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import csv_option, json_option, results_option


@click.command(short_help="List the saved runs, or print them as JSON or CSV.")
@click.argument("arguments", nargs=-1, metavar="[FOLDER|ID]...")
@results_option
@json_option
@csv_option("a line for each run, with its settings and figures")
def results(arguments: tuple[str, ...], results: Path, as_json: bool, as_csv: bool) -> None:
    """List the runs in the results folder, newest last.

    An argument that is an existing path is a folder of runs at any depth, a record, or a model in a run's folder; any
    other is the beginning of a run's id in the results folder.

    With --json, print the records as an array with one object per run, for other programs; with --csv, a line per run
    for a spreadsheet. A record that cannot be read is named on standard error, and the others are listed.
    """
    from coremlbench.cli.commands.record_arguments import check_any_records, load_records
    from coremlbench.cli.terminal.csv_output import print_csv
    from coremlbench.cli.terminal.listings import print_results
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.report.csv_rows import RUN_COLUMNS, run_rows

    records, problems, places = load_records(arguments, results)
    check_any_records(records, problems, places)
    if as_json:
        print_json(records)
    elif as_csv:
        print_csv(run_rows(records), RUN_COLUMNS)
    else:
        print_results(records, results)
    for problem in problems:
        click.echo(problem, err=True)
