"""``coremlbench failures``: what failed so far, why, and what to do; and an archive for whoever looks into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coremlbench.cli.commands.parameters import json_option, results_option

if TYPE_CHECKING:
    from coremlbench.types.records import Record


@click.command(short_help="What failed, why, and what to do; --bundle makes an archive to pass on.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.zip",
    help="Write an archive of the failed runs, or of those named: records, logs, crash reports, versions. Home "
    "folders, user and host names are taken out.",
)
@results_option
@json_option
def failures(ids: tuple[str, ...], bundle: Path | None, results: Path, as_json: bool) -> None:
    """List what failed under the results folder by machine and experiment, with what to do about it.

    Runs, variants of a conversion and cells of a timing are listed alike; with IDs, only those of runs whose id
    begins so. With --json, an array of one object a failure. A run that is still going on is none.
    """
    from coremlbench.cli.terminal.failures import print_failures
    from coremlbench.cli.terminal.progress import print_json
    from coremlbench.failures.listing import find_failures
    from coremlbench.runs import store
    from coremlbench.types.errors import InputError

    records, problems = store.load_all(results)
    for each in ids:
        if not any(record.id.startswith(each) for record in records):
            raise InputError(f"There is no run {each} under {results}; `coremlbench results` lists those there are.")
    chosen = [record for record in records if not ids or record.id.startswith(ids)]
    found = find_failures(chosen)
    if bundle is not None:
        failed = {each.run for each in found}
        _write(bundle, [record for record in chosen if ids or record.id in failed], results)
    elif as_json:
        print_json(list(found))
    else:
        print_failures(found, len(chosen), results)
    for problem in problems:
        click.echo(problem, err=True)


def _write(out: Path, records: list[Record], results: Path) -> None:
    """Write the archive and say what is in it."""
    from coremlbench.diagnostics.bundle import write_bundle
    from coremlbench.diagnostics.doctor import examine
    from coremlbench.diagnostics.redaction import this_owner
    from coremlbench.system.machine import describe_machine
    from coremlbench.system.paths import cache_folder
    from coremlbench.types.errors import InputError

    if not records:
        raise InputError(f"No run under {results} failed; name the runs to bundle by their ids.")
    checks = examine(cache_folder(), results, describe_machine(), quickly=True)
    names = write_bundle(out, records, results, checks=checks, owner=this_owner())
    click.echo(
        f"{out}: {len(records)} run{'' if len(records) == 1 else 's'} in {len(names)} files. Home folders, user and "
        "host names, addresses and secrets are taken out; look through it before you pass it on."
    )
