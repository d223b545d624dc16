"""``coremlbench doctor``: what works on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="What works on this machine, what does not, and what to do.")
@results_option
@json_option
def doctor(results: Path, as_json: bool) -> None:
    """Look at this machine and say what works, what is made at first use, what does not work, and what to do.

    Nothing is fetched or changed.
    """
    import json
    from dataclasses import asdict

    from coremlbench.cli.terminal.progress import print_checks
    from coremlbench.diagnostics.doctor import examine
    from coremlbench.system.machine import describe_machine
    from coremlbench.system.paths import cache_folder

    checks = examine(cache_folder(), results, describe_machine())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print_checks(checks)
