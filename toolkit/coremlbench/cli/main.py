"""The command line: parse, call, print, exit code. Nothing else prints or exits.

Exit codes: 0 done, 2 wrong options or missing input, 3 the run failed and its record says why, 130 interrupted.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from coremlbench import __version__
from coremlbench.types.errors import CoremlbenchError, InputError

COMMANDS = {
    "createml": "coremlbench.cli.commands.createml:createml",
    "train": "coremlbench.cli.commands.train:train",
    "convert": "coremlbench.cli.commands.convert:convert",
    "convert-and-time": "coremlbench.cli.commands.convert_and_time:convert_and_time",
    "compare": "coremlbench.cli.commands.compare:compare",
    "results": "coremlbench.cli.commands.results:results",
    "failures": "coremlbench.cli.commands.failures:failures",
    "report": "coremlbench.cli.commands.report:report",
    "datasets": "coremlbench.cli.commands.datasets:datasets",
    "doctor": "coremlbench.cli.commands.doctor:doctor",
    "completion": "coremlbench.cli.commands.completion:completion",
}
"""Each command's module is imported when it is called or described."""


class Unusable(click.ClickException):
    """Wrong options or missing input."""

    exit_code = 2


class Failed(click.ClickException):
    """Something that could not be done."""

    exit_code = 3


class Interrupted(click.ClickException):
    """Ctrl-C."""

    exit_code = 130


class Commands(click.Group):
    """The commands in the order of the table; errors of the library become one sentence and an exit code here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order they are explained."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what a person can mend is told in one sentence."""
        try:
            return super().invoke(ctx)
        except CoremlbenchError as error:
            raise (Unusable if isinstance(error, InputError) else Failed)(str(error)) from error
        except KeyboardInterrupt:  # outside of a run, which notes its own
            raise Interrupted("Interrupted; `coremlbench results` lists what was recorded before.") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="coremlbench")
def cli() -> None:
    """How does this machine train image classifiers, and where should a model run on Apple hardware?

    Start with `coremlbench createml --scale 0.1`: the Create ML image classification run of a well-known review of
    the first M1 Macs at a tenth of its size, in about a minute or two. Without --scale it is the whole run.
    `coremlbench doctor` says what works on this machine and what to do about the rest.

    Every run is saved as results/<id>/run.json, also when it fails; `coremlbench results` lists them.
    """


def main() -> None:
    """Run the command line."""
    cli(prog_name="coremlbench")
