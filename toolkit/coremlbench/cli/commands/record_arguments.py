"""Arguments of the commands that show records: folders, records, models and ids of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coremlbench.cli.commands.parameters import explicit_options
from coremlbench.system.advised_commands import advised_command
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    from coremlbench.types.records import Record


def load_records(arguments: Sequence[str], results: Path) -> tuple[list[Record], list[str], tuple[Path, ...]]:
    """Return the records that the arguments name, those of ``results`` without any; problems; and their places.

    Raises:
        InputError: an argument is neither an existing path nor the beginning of a run's id.
    """
    from coremlbench.runs import store
    from coremlbench.runs.record_paths import locate_records

    places = locate_records(arguments, results)
    return *store.load_all(*places), places


def check_any_records(records: Sequence[Record], problems: Sequence[str], places: Sequence[Path]) -> None:
    """Raise ``InputError`` when a place was named, as an argument or by --results, and no record in it can be read.

    Without one, the default folder of somebody who has measured nothing yet is no error. The reasons why records
    cannot be read are printed to standard error.
    """
    context = click.get_current_context()
    named = {"results", "arguments"} & explicit_options(context)
    if records or not named:
        return
    for problem in problems:
        click.echo(problem, err=True)
    raise InputError(no_records_sentence(places, len(problems)))


def no_records_sentence(places: Sequence[Path], unreadable: int) -> str:
    """Return a sentence on places without a readable record, with a command that makes one."""
    where = ", ".join(map(str, places))
    command = advised_command("createml", "--scale", "0.1", results=places[0] if places[0].suffix == "" else None)
    if unreadable:
        if unreadable == 1:
            return f"The only record under {where} cannot be read; copy it anew, or measure again: `{command}`."
        return (
            f"None of the {unreadable:,} records under {where} can be read; copy them anew, or measure again: "
            f"`{command}`."
        )
    return f"There are no records under {where}, at any depth; name a folder that has some, or `{command}` makes one."
