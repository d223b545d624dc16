"""``coremlbench results``: the saved runs, and their removal."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import Age, CommaList, csv_option, json_option, results_option, split_names
from coremlbench.cli.commands.redaction import redact_option, redacted
from coremlbench.cli.commands.run_ids import RUN_ID
from coremlbench.types.errors import InputError


def prune_names() -> tuple[str, ...]:
    """Return what ``--prune`` removes."""
    from coremlbench.runs.cleanup import PRUNED

    return tuple(PRUNED)


def parse_prune(value: str) -> tuple[str, ...]:
    """Return the kinds of files named in "samples,resume"; all kinds for an option without a value.

    Raises:
        ValueError: a name is unknown.
    """
    names = split_names(value) or prune_names()
    unknown = [name for name in names if name not in prune_names()]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is nothing that can be pruned; choose from {', '.join(prune_names())}.")
    return names


@click.command(short_help="List the saved runs, or print them as JSON or CSV; delete some.")
@click.argument("arguments", nargs=-1, metavar="[FOLDER|ID]...", type=RUN_ID)
@click.option(
    "--delete",
    "delete",
    multiple=True,
    metavar="ID",
    type=RUN_ID,
    help="Delete this run with its record, models and logs; may be repeated.",
)
@click.option(
    "--prune",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[WHAT]",
    type=CommaList("names", parse_prune, prune_names),
    help="Remove large files of old runs, and no record: samples, resume, random (weights), or all of these.",
)
@click.option("--older-than", type=Age(), help="With --prune: the age of an old run: 12h, 30d, 8w.  [default: 30d]")
@click.option("--dry-run", is_flag=True, help="Say what --delete or --prune would remove, and remove nothing.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of what --json prints.")
@redact_option
@results_option
@json_option
@csv_option("a line for each run, with its settings and figures")
def results(
    arguments: tuple[str, ...],
    delete: tuple[str, ...],
    prune: tuple[str, ...] | None,
    older_than: float | None,
    dry_run: bool,
    schema: bool,
    redact: bool,
    results: Path,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List the runs in the results folder, newest last.

    An argument that is an existing path is a folder of runs at any depth, a record, or a model in a run's folder; any
    other is the beginning of a run's id in the results folder. Of a single run all is shown, as by `coremlbench show`.

    With --json, print the records as an array with one object per run, for other programs; with --csv, a line per run
    for a spreadsheet. A record that cannot be read is named on standard error, and the others are listed.

    --delete deletes whole runs, and says so. --prune removes what can be spared of old runs: raw samples of timings
    (their records keep the quantiles), data for --resume, and models with random weights.

    \b
    coremlbench results --delete 20261128-0711
    coremlbench results --prune --older-than 8w --dry-run
    """  # noqa: D301 - \b tells click to keep the lines
    if schema:
        _print_schema(alone=not (arguments or delete or prune is not None or older_than is not None or dry_run))
        return
    if delete or prune is not None:
        _remove(arguments, delete, prune, older_than, results, dry_run=dry_run, as_json=as_json)
        return
    if older_than is not None or dry_run:
        raise InputError(f"{'--dry-run' if dry_run else '--older-than'} means nothing without --prune or --delete.")
    _list(arguments, results, redact=redact, as_json=as_json, as_csv=as_csv)


def _print_schema(*, alone: bool) -> None:
    """Print the schema of the records; raise ``InputError`` unless the option stands ``alone``."""
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.runs.schema import results_schema

    if not alone:
        raise InputError("--schema prints the schema of all records; leave out ids and the other options.")
    print_json(results_schema())


def _list(arguments: tuple[str, ...], results: Path, *, redact: bool, as_json: bool, as_csv: bool) -> None:
    """Print the runs, all of a single one that was named."""
    from coremlbench.cli.commands.record_arguments import check_any_records, load_records
    from coremlbench.cli.terminal.csv_output import print_csv
    from coremlbench.cli.terminal.listings import print_results
    from coremlbench.cli.terminal.saved_run import print_saved_run
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.report.csv_rows import RUN_COLUMNS, run_rows
    from coremlbench.runs.lookup import written_record
    from coremlbench.runs.record_paths import run_folders

    records, problems, places = load_records(arguments, results)
    check_any_records(records, problems, places)
    folders = run_folders(places)
    if redact:
        records, results, folders = redacted(records), Path(), {}
    if as_json:
        print_json([written_record(record, folders.get(record.id, results / record.id)) for record in records])
    elif as_csv:
        print_csv(run_rows(records), RUN_COLUMNS)
    elif arguments and len(records) == 1:
        print_saved_run(records[0], folders.get(records[0].id, results / records[0].id))
    else:
        print_results(records, results)
    for problem in problems:
        click.echo(problem, err=True)


def _remove(
    arguments: tuple[str, ...],
    delete: tuple[str, ...],
    prune: tuple[str, ...] | None,
    older_than: float | None,
    results: Path,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete or prune runs, and print what was removed.

    Raises:
        InputError: options exclude each other, or a run cannot be deleted.
    """
    from coremlbench.cli.terminal.housekeeping import print_removed_files
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.runs.cleanup import DEFAULT_AGE, delete_runs, prune_runs

    if delete and (prune is not None or older_than is not None):
        raise InputError("--delete removes the runs that it names, and --prune files of old ones; use one of them.")
    if arguments:
        option = "--delete" if delete else "--prune"
        raise InputError(f"{' '.join(arguments)} would be listed and {option} removes; give an id to --delete alone.")
    if delete:
        removed = delete_runs(delete, results, dry_run=dry_run)
    else:
        age = DEFAULT_AGE if older_than is None else older_than
        removed = prune_runs(prune or (), results, older_than=age, dry_run=dry_run)
    if as_json:
        print_json(removed)
    else:
        print_removed_files(removed, dry_run=dry_run)
