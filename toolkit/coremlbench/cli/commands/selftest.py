"""``coremlbench selftest``: try every part that figures rest on, with a tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from coremlbench.cli.commands.parameters import json_option, results_option


class CheckName(click.ParamType[str]):
    """The name of a check as one word: ``crash-isolation``."""

    name = "check"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; an unknown one is an error."""
        from coremlbench.diagnostics.selftest.table import CHECKS

        keys = [check.key for check in CHECKS]
        if value not in keys:
            self.fail(f"there is no check {value!r}; choose from {', '.join(keys)}.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the checks whose names start so."""
        del ctx, param
        from coremlbench.diagnostics.selftest.table import CHECKS

        return [CompletionItem(check.key, help=check.name) for check in CHECKS if check.key.startswith(incomplete)]


@click.command(short_help="Try with a tiny model, in two minutes, every part that figures rest on.")
@click.argument("checks", nargs=-1, type=CheckName(), metavar="[CHECK]...")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write a ZIP archive of what the machine said: the texts of the system's tools, the results, the compute "
    "plan, versions. Names, paths, serial numbers and the like are removed.",
)
@click.option("--dry-run", is_flag=True, help="Say which checks would run, and run none.")
@results_option
@json_option
def selftest(checks: tuple[str, ...], bundle: Path | None, dry_run: bool, results: Path, as_json: bool) -> None:
    """Try every part that figures rest on, with a tiny model, in less than two minutes.

    On a Mac: Core ML on each unit, its outputs, durations and compute plan, energy, thermal state, crash reports, sleep
    prevention, Create ML. On every system: crash isolation, limits, the clock, the results folder, conversion and
    proof, pictures and features, the report, TensorFlow. Each check runs in a process of its own, so that a crash or a
    hang is one line. Nothing is downloaded, and no record is saved.

    With CHECKs, only those and what they need. A line says that a part works, that it does not (why, and what to do),
    or that it is not here (why). Exit code 0 when all that is here works, 3 when something does not, 2 for wrong
    options, 130 after Ctrl-C.
    """
    from coremlbench.cli.terminal.selftest import Lines
    from coremlbench.diagnostics.selftest.bundle import check_target, machine_owner, write_selftest_bundle
    from coremlbench.diagnostics.selftest.checks import exit_code
    from coremlbench.diagnostics.selftest.host import detect_host
    from coremlbench.diagnostics.selftest.run import new_context, run_checks, with_needs
    from coremlbench.diagnostics.selftest.table import CHECKS
    from coremlbench.diagnostics.selftest.texts import collect_texts
    from coremlbench.system.paths import cache_folder

    if bundle is not None:
        check_target(bundle)
    chosen = with_needs(checks, CHECKS) if checks else CHECKS
    if dry_run:
        _show_plan([(check.key, check.name) for check in chosen], as_json=as_json)
        return
    with new_context(detect_host(), results, cache_folder()) as context:
        with Lines(len(chosen), as_json=as_json) as lines:
            found = run_checks(chosen, context, on_start=lines.start, on_result=lines.show)
            if bundle is not None:
                lines.say("reading what the system's tools say")
                texts = collect_texts(context.host)
                names = write_selftest_bundle(bundle, context, found, texts, machine_owner())
        lines.finish(found)
    if bundle is not None:
        click.echo(
            f"{bundle}: {len(names)} files. Names of users and computers, serial numbers and addresses are taken out; "
            "look through it before you pass it on.",
            err=as_json,
        )
    raise SystemExit(exit_code(found))


def _show_plan(checks: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """Print which checks would run, by their keys and names."""
    from coremlbench.cli.terminal.tables import print_json

    if as_json:
        print_json([{"check": key, "name": name} for key, name in checks])
        return
    for key, name in checks:
        click.echo(f"{key}: {name}")
    click.echo("They take two minutes at most, download nothing and save no record. Nothing was run: --dry-run.")
