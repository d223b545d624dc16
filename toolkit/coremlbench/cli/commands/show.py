"""``coremlbench show``: all of one saved run."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option
from coremlbench.cli.commands.redaction import redact_option, redacted
from coremlbench.cli.commands.run_ids import RUN_ID


@click.command(short_help="Show all of one saved run, as it was printed at its end.")
@click.argument("run", default="", metavar="[ID]", type=RUN_ID)
@redact_option
@results_option
@json_option
def show(run: str, redact: bool, results: Path, as_json: bool) -> None:
    """Show all of one run on the terminal, as its command printed it at its end: figures, notes, and what to do.

    ID is the beginning of a run's id, if no other begins so, or the path of its folder; without it, the newest run is
    shown. With --json, the record is printed.

    \b
    coremlbench show
    coremlbench show 20261128-0711
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.cli.terminal.saved_run import print_saved_run
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.runs.lookup import find_run, written_record

    record, folder = find_run(run, results)
    if redact:
        (record,), folder = redacted([record]), Path(folder.name)
    if as_json:
        print_json(written_record(record, folder))
    else:
        print_saved_run(record, folder)
