"""The command line: the group of commands, and the exit codes for errors.

Exit codes: 0 success, 2 wrong options or missing input, 3 a failed run (its record has the reason), 4 a failed gate
(`compare --gate`), 130 interrupted.
"""

from __future__ import annotations

import difflib
import importlib
from functools import partial
from typing import Any

import click

from coremlbench import __version__
from coremlbench.cli.commands.parameters import RESULTS_META
from coremlbench.cli.verbosity import SETTINGS_META
from coremlbench.system.advised_commands import advised_command
from coremlbench.types.errors import CoremlbenchError, InputError

COMMANDS = {
    "createml": "coremlbench.cli.commands.createml:createml",
    "train": "coremlbench.cli.commands.train:train",
    "convert": "coremlbench.cli.commands.convert:convert",
    "convert-and-time": "coremlbench.cli.commands.convert_and_time:convert_and_time",
    "compare": "coremlbench.cli.commands.compare:compare",
    "results": "coremlbench.cli.commands.results:results",
    "show": "coremlbench.cli.commands.show:show",
    "failures": "coremlbench.cli.commands.failures:failures",
    "report": "coremlbench.cli.commands.report:report",
    "cache": "coremlbench.cli.commands.cache:cache",
    "datasets": "coremlbench.cli.commands.datasets:datasets",
    "doctor": "coremlbench.cli.commands.doctor:doctor",
    "selftest": "coremlbench.cli.commands.selftest:selftest",
    "completion": "coremlbench.cli.commands.completion:completion",
}
"""The commands by name, in the order of --help. Each module is imported when its command is called or described."""


class UsageFailure(click.ClickException):
    """Exit code 2: wrong options or missing input."""

    exit_code = 2


class RunFailure(click.ClickException):
    """Exit code 3: the command failed."""

    exit_code = 3


class Interrupted(click.ClickException):
    """Exit code 130: Ctrl-C."""

    exit_code = 130


class Commands(click.Group):
    """The group of all commands; it turns the library's exceptions into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of ``COMMANDS``."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command after importing its module, or ``None`` if there is no such command."""
        del ctx
        return self._load(cmd_name) if cmd_name in COMMANDS else None

    def _load(self, cmd_name: str) -> click.Command:
        """Return a command after importing its module."""
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command's name, the command and its arguments; its options get their defaults from settings.

        A misspelt command is suggested. The doctor shows what is wrong with the settings, instead of failing.
        """
        first = args[0]
        if not first.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, first) is None:
            close = difflib.get_close_matches(first, COMMANDS, n=1)
            suggestion = f"did you mean `{advised_command(close[0])}`? " if close else ""
            ctx.fail(f"No such command {first!r}; {suggestion}`{advised_command('--help')}` lists the commands.")
        name, command, rest = super().resolve_command(ctx, args)
        if name and command and not ctx.resilient_parsing and not {"--help", "-h"} & set(rest):
            from coremlbench.cli.commands import settings

            loaders = {known: partial(self._load, known) for known in COMMANDS}
            try:
                ctx.default_map = {name: settings.apply(command, name, rest, loaders, ctx.meta)}
            except InputError:
                if name != "doctor":
                    raise
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, raising ``click.ClickException`` for errors of the library and for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except CoremlbenchError as error:
            if not isinstance(error, InputError):
                raise RunFailure(str(error)) from error
            settings = "; ".join(setting.label for setting in ctx.meta.get(SETTINGS_META, ()))
            note = f" Settings in effect: {settings}." if settings else ""  # a wrong value may be from one
            raise UsageFailure(f"{error}{note}") from error
        except KeyboardInterrupt:  # outside of a run, which records it itself
            command = advised_command("results", results=ctx.meta.get(RESULTS_META))
            raise Interrupted(f"Interrupted; `{command}` lists what was recorded before.") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="coremlbench")
def cli() -> None:
    """How does this machine train image classifiers, and where should a model run on Apple hardware?

    Start with `coremlbench createml --scale 0.1`: the Create ML image classification run of a well-known review of
    the first M1 Macs at a tenth of its size, in one or two minutes. Without --scale it is the whole run.
    `coremlbench doctor` checks what works on this machine and what to do about the rest.

    Every run is saved as results/<id>/run.json, also when it fails; `coremlbench results` lists the runs.
    """


def main() -> None:
    """Run the command line."""
    cli(prog_name="coremlbench")
