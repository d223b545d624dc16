"""``coremlbench doctor``: checks of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from coremlbench.cli.commands.parameters import json_option, results_option


@click.command(short_help="Check what works on this machine, and what to do about the rest.")
@results_option
@json_option
def doctor(results: Path, as_json: bool) -> None:
    """Check what works on this machine, what is installed at first use, what does not work, and what to do.

    The settings of files and variables are among it. Nothing is downloaded or changed.
    """
    import json
    from dataclasses import asdict

    from coremlbench.cli.commands.settings_check import settings_check
    from coremlbench.cli.terminal.listings import print_checks
    from coremlbench.diagnostics.doctor import run_checks
    from coremlbench.system.machine import describe_machine
    from coremlbench.system.paths import cache_folder

    checks = (*run_checks(cache_folder(), results, describe_machine()), settings_check())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print_checks(checks)
