"""``coremlbench failures``: all failures with their reasons and hints, and an archive of them for a bug report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coremlbench.cli.commands.parameters import json_option, results_option
from coremlbench.cli.commands.redaction import redact_option, redacted
from coremlbench.system.formatting import format_count

if TYPE_CHECKING:
    from coremlbench.types.records import Record


@click.command(short_help="What failed, why, and what to do; --bundle writes an archive for a bug report.")
@click.argument("arguments", nargs=-1, metavar="[FOLDER|ID]...")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.zip",
    help="Write an archive of the failed runs, or of the IDs: records, logs, crash reports, versions. Home folders, "
    "user and host names are removed.",
)
@redact_option
@results_option
@json_option
def failures(arguments: tuple[str, ...], bundle: Path | None, redact: bool, results: Path, as_json: bool) -> None:
    """List the failures in the results folder by machine and experiment, with what to do about each.

    These are failed runs, failed variants of conversions and failed cells of timings. An argument that is an existing
    path is a folder of runs at any depth, a record, or a model in a run's folder; any other is the beginning of a run's
    id. With --json, print an array with one object per failure. A run in progress is no failure.
    """
    from coremlbench.cli.commands.record_arguments import check_any_records, load_records
    from coremlbench.cli.terminal.failures import print_failures
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.failures.listing import find_failures

    records, problems, places = load_records(arguments, results)
    check_any_records(records, problems, places)
    if bundle is not None:
        failed = {entry.run for entry in find_failures(records)}
        chosen = [record for record in records if arguments or record.id in failed]
        _write_bundle(bundle, chosen, results, places, redact=redact)
    else:
        entries = find_failures(redacted(records) if redact else records)
        if as_json:
            print_json(list(entries))
        else:
            print_failures(entries, len(records), *places)
    for problem in problems:
        click.echo(problem, err=True)


def _write_bundle(out: Path, records: list[Record], results: Path, places: Sequence[Path], *, redact: bool) -> None:
    """Write the archive to ``out`` and print what it contains; the runs' folders are below ``places``.

    With ``redact`` folders are taken out of paths too.

    Raises:
        InputError: there is no record, or ``out`` exists or cannot be written.
    """
    from coremlbench.diagnostics.bundle import write_bundle
    from coremlbench.diagnostics.doctor import run_checks
    from coremlbench.diagnostics.redaction import detect_owner
    from coremlbench.diagnostics.selftest.bundle import machine_owner
    from coremlbench.diagnostics.shared_records import sharing_redactor
    from coremlbench.runs.record_paths import run_folders
    from coremlbench.system.machine import describe_machine
    from coremlbench.system.paths import cache_folder
    from coremlbench.types.errors import InputError

    if not records:
        raise InputError(f"No run under {results} failed; name the runs to bundle by their ids.")
    checks = run_checks(cache_folder(), results, describe_machine(), skip_slow=True)
    owner = machine_owner() if redact else detect_owner()
    redactor = sharing_redactor(records, owner) if redact else None
    folders = run_folders(places)
    names = write_bundle(out, records, results, checks=checks, owner=owner, folders=folders, redactor=redactor)
    what = "All folders, machine identifiers" if redact else "Home folders"
    click.echo(
        f"{out}: {format_count(len(records), 'run')} in {format_count(len(names), 'file')}. {what}, user and "
        "host names, addresses and secrets are taken out; look through it before you pass it on."
    )
