"""The doctor's line on settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coremlbench.cli.commands.settings import check_all, read_settings
from coremlbench.system.settings_files import FILE_NAME, user_file
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    from coremlbench.diagnostics.doctor import SystemCheck

NAME = "settings"


def settings_check() -> SystemCheck:
    """Return the settings in effect, or what is wrong with one of them."""
    from coremlbench.diagnostics.doctor import SystemCheck

    group = click.get_current_context().find_root()
    assert isinstance(group.command, click.Group)
    names = group.command.list_commands(group)
    commands = {name: command for name in names if (command := group.command.get_command(group, name))}
    try:
        settings = read_settings(commands, Path.cwd())
        check_all(settings, commands)
    except InputError as error:
        return SystemCheck(NAME, "no", "one is wrong", str(error))
    if not settings:
        return SystemCheck(NAME, "ok", f"none; read from {FILE_NAME} here, {user_file()} and COREMLBENCH_* variables")
    return SystemCheck(NAME, "ok", "; ".join(setting.label for setting in settings))
