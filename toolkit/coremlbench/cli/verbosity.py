"""The options --quiet and --verbose of commands that take long, and what the current command was asked for."""

from __future__ import annotations

from typing import Any, Literal

import click

from coremlbench.types.errors import InputError

Verbosity = Literal["quiet", "normal", "verbose"]
META = "coremlbench.verbosity"
SETTINGS_META = "coremlbench.settings"
"""The key of the context's ``meta`` with the settings that are in effect; each has a ``label``."""


def verbosity_options(function: Any) -> Any:
    """Add the flags --quiet and --verbose to a command; ``verbosity()`` returns which of them counts."""
    for name, text in (
        ("verbose", "Print each step with its time, and the settings and folders that are used."),
        ("quiet", "Print no progress: only the result, warnings and errors."),
    ):
        function = click.option(f"--{name}", is_flag=True, expose_value=False, callback=_note, help=text)(function)
    return function


def _note(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Note the flag in the context.

    Raises:
        InputError: both flags are given.
    """
    if value:
        if context.meta.get(META, parameter.name) != parameter.name:
            raise InputError("--quiet and --verbose exclude each other; give one of them.")
        context.meta[META] = parameter.name


def verbosity() -> Verbosity:
    """Return what the current command was asked for; ``normal`` outside of a command."""
    context = click.get_current_context(silent=True)
    chosen: Verbosity = context.meta.get(META, "normal") if context is not None else "normal"
    return chosen


def context_lines() -> list[str]:
    """Return what --verbose prints first: the settings in effect and the folders."""
    from coremlbench.system.paths import cache_folder

    context = click.get_current_context(silent=True)
    if context is None:
        return []
    lines = [f"setting: {setting.label}" for setting in context.meta.get(SETTINGS_META, ())]
    folders = {"results folder": context.params.get("results"), "cache folder": cache_folder()}
    return lines + [f"{name}: {path}" for name, path in folders.items() if path]
