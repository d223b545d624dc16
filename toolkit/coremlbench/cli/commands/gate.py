"""``coremlbench compare --gate``: fail a build when a model became slower, larger or less accurate."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.parameters import add_options
from coremlbench.system.advised_commands import advised_command
from coremlbench.types.errors import CoremlbenchError, InputError

if TYPE_CHECKING:
    from coremlbench.timing.gate_findings import GateLimits, GateResult

GATE_FAILED = 4
"""The exit code of a gate that failed."""
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(%|points?)?")


class Percentage(click.ParamType[float]):
    """A relative change such as 5%, as a share."""

    name = "percentage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share, 0.05 for 5%; a number without the sign is refused, as it could be either."""
        match = _NUMBER.fullmatch(str(value).strip())
        if not match or match[2] != "%":
            written = f"write it as {match[1]}%" if match else "write it as 5%"
            self.fail(f"{value!r} is not a percentage; {written}.", param, ctx)
        return float(match[1]) / 100


class Points(click.ParamType[float]):
    """A difference of accuracies such as 0.5 points, as a share of all images."""

    name = "points"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share, 0.005 for half a point; percent is refused, as it could be of the accuracy or of all."""
        match = _NUMBER.fullmatch(str(value).strip())
        if not match or match[2] not in ("point", "points"):
            written = f'write it as "{match[1]} points"' if match else 'write it as "0.5 points"'
            self.fail(f"{value!r} is not a number of percentage points; {written}.", param, ctx)
        return float(match[1]) / 100


gate_options = partial(
    add_options,
    options=(
        click.option(
            "--gate",
            nargs=2,
            metavar="BEFORE AFTER",
            help="Compare two records (ids, files or folders of runs) or two packages.",
        ),
        click.option("--fail-if-slower", type=Percentage(), metavar="5%", help="With --gate: the allowed slowdown."),
        click.option("--fail-if-larger", type=Percentage(), metavar="5%", help="With --gate: the allowed growth."),
        click.option(
            "--fail-if-less-accurate",
            type=Points(),
            metavar='"0.5 points"',
            help="With --gate: the allowed loss of accuracy, on the same images.",
        ),
        click.option("--fail-if-unsure", is_flag=True, help="With --gate: fail also where noise hides the answer."),
        click.option(
            "--rounds",
            type=click.IntRange(min=2),
            metavar="N",
            help="With --gate and packages: rounds of both.  [default: 10]",
        ),
        click.option(
            "--markdown",
            type=click.Path(dir_okay=False, path_type=Path),
            help="With --gate: save the summary to this file, too.",
        ),
    ),
)
"""Adds the options of the gate to a command."""
_LIMITS = {"slower": "fail_if_slower", "larger": "fail_if_larger", "less_accurate": "fail_if_less_accurate"}


def check_no_gate(settings: Mapping[str, Any]) -> None:
    """Raise ``InputError`` if an option of the gate was given without --gate."""
    given = [name for name, value in settings.items() if name != "gate" and value not in (None, False)]
    if given:
        command = advised_command("compare", "--gate", "BEFORE", "AFTER", "--fail-if-slower", "5%")
        raise InputError(f"--{given[0].replace('_', '-')} is for --gate: `{command}`.")


def run_gate(settings: Mapping[str, Any], results: Path, *, as_json: bool) -> int:
    """Print what changed, as Markdown or JSON, and return the exit code: 4 if the gate failed, else 0.

    Raises:
        InputError: the two cannot be compared, or an option is wrong.
        CoremlbenchError: the summary cannot be saved.
    """
    from coremlbench.cli.terminal.gate import markdown
    from coremlbench.cli.terminal.tables import print_json

    result = _compare(settings, results)
    summary = markdown(result, unsure_fails=settings["fail_if_unsure"])
    if as_json:
        print_json(result)
    else:
        click.echo(summary, nl=False)
    if settings["markdown"] is not None:
        _save(summary, settings["markdown"])
    failing = ("failed", "cannot tell") if settings["fail_if_unsure"] else ("failed",)
    return GATE_FAILED if result.decision in failing else 0


def _limits(settings: Mapping[str, Any]) -> GateLimits:
    """Return the limits.

    Raises:
        InputError: there is none, or one that no measurement can decide.
    """
    from coremlbench.timing.gate_findings import GateLimits

    limits = GateLimits(**{name: settings[option] for name, option in _LIMITS.items()})
    if limits == GateLimits():
        command = advised_command("compare", "--gate", *settings["gate"], "--fail-if-slower", "5%")
        raise InputError(f"--gate needs a limit: `{command}`, --fail-if-larger or --fail-if-less-accurate.")
    if limits.slower == 0:
        raise InputError(
            "A slowdown of 0% cannot be distinguished from noise by any number of rounds; allow some, such as 2%."
        )
    return limits


def _compare(settings: Mapping[str, Any], results: Path) -> GateResult:
    from coremlbench.timing.gate import compare_sides
    from coremlbench.timing.gate_sides import read_records, side_of_records

    limits = _limits(settings)
    before, after = settings["gate"]
    if before == after and before:
        raise InputError(f"{before} is named twice; name what was before the change, and what came after it.")
    records = [read_records(name, results) for name in (before, after)]
    if records[0] is not None and records[1] is not None:
        if settings["rounds"] is not None:
            raise InputError("--rounds is for packages, which are timed; the rounds of records are those they have.")
        return compare_sides(side_of_records(before, records[0]), side_of_records(after, records[1]), limits)
    if records[0] is not None or records[1] is not None:
        of_records, other = (before, after) if records[0] is not None else (after, before)
        raise InputError(
            f"{of_records} has records and {other} has none; name two records, or two packages, which are then timed "
            "together."
        )
    return _compare_packages(before, after, limits, settings["rounds"], results)


def _compare_packages(before: str, after: str, limits: GateLimits, rounds: int | None, results: Path) -> GateResult:
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.cli.terminal.timing import round_line
    from coremlbench.timing.gate_packages import GATE_OPTIONS, GateRun, compare_packages

    with Watch() as watch:
        run = GateRun(
            results=results,
            command=sys.argv,
            on_progress=watch,
            on_round=lambda cell, finished_round: watch.print_line(round_line(cell, finished_round)),
            options=replace(GATE_OPTIONS, rounds=rounds) if rounds is not None else GATE_OPTIONS,
        )
        return compare_packages(before, after, limits, run)


def _save(summary: str, path: Path) -> None:
    """Save the summary in place: a pipe, or the file that a service has opened, is written and not replaced."""
    try:
        path.write_text(summary, encoding="utf-8")
    except OSError as error:
        raise CoremlbenchError(
            f"The summary cannot be saved in {path} ({error.strerror}); name another file with --markdown."
        ) from error
