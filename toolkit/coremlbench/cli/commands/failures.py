"""``coremlbench failures``: all failures with their reasons and hints, and an archive of them for a bug report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coremlbench.cli.commands.parameters import json_option, results_option
from coremlbench.cli.commands.redaction import redact_option, redacted
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_count

if TYPE_CHECKING:
    from coremlbench.types.records import Record


@click.command(short_help="What failed, why, and what to do; --bundle writes an archive for a bug report.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
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
def failures(ids: tuple[str, ...], bundle: Path | None, redact: bool, results: Path, as_json: bool) -> None:
    """List the failures in the results folder by machine and experiment, with what to do about each.

    These are failed runs, failed variants of conversions and failed cells of timings; with IDs, only those of runs
    whose id starts with one of them. With --json, print an array with one object per failure. A run in progress is no
    failure.
    """
    from coremlbench.cli.terminal.failures import print_failures
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.failures.listing import find_failures
    from coremlbench.runs import store
    from coremlbench.types.errors import InputError

    records, errors = store.load_all(results)
    for prefix in ids:
        if not any(record.id.startswith(prefix) for record in records):
            command = advised_command("results", results=results)
            raise InputError(f"There is no run {prefix} under {results}; `{command}` lists those there are.")
    chosen = [record for record in records if not ids or record.id.startswith(ids)]
    if bundle is not None:
        failed = {entry.run for entry in find_failures(chosen)}
        _write_bundle(bundle, [record for record in chosen if ids or record.id in failed], results, redact=redact)
    else:
        entries = find_failures(redacted(chosen) if redact else chosen)
        if as_json:
            print_json(list(entries))
        else:
            print_failures(entries, len(chosen), results)
    for error in errors:
        click.echo(error, err=True)


def _write_bundle(out: Path, records: list[Record], results: Path, *, redact: bool) -> None:
    """Write the archive to ``out`` and print what it contains; with ``redact`` folders are taken out of paths too.

    Raises:
        InputError: there is no record, or ``out`` exists or cannot be written.
    """
    from coremlbench.diagnostics.bundle import write_bundle
    from coremlbench.diagnostics.doctor import run_checks
    from coremlbench.diagnostics.redaction import detect_owner
    from coremlbench.diagnostics.selftest.bundle import machine_owner
    from coremlbench.diagnostics.shared_records import sharing_redactor
    from coremlbench.system.machine import describe_machine
    from coremlbench.system.paths import cache_folder
    from coremlbench.types.errors import InputError

    if not records:
        raise InputError(f"No run under {results} failed; name the runs to bundle by their ids.")
    checks = run_checks(cache_folder(), results, describe_machine(), skip_slow=True)
    owner = machine_owner() if redact else detect_owner()
    redactor = sharing_redactor(records, owner) if redact else None
    names = write_bundle(out, records, results, checks=checks, owner=owner, redactor=redactor)
    what = "All folders, machine identifiers" if redact else "Home folders"
    click.echo(
        f"{out}: {format_count(len(records), 'run')} in {format_count(len(names), 'file')}. {what}, user and "
        "host names, addresses and secrets are taken out; look through it before you pass it on."
    )
