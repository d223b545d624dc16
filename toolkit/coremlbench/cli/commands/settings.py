"""Defaults of options from settings: variables, the project's ``coremlbench.toml``, and the user's.

A key at the top of a file is for every command with that option, a table such as ``[convert]`` for one command. The
variables are ``COREMLBENCH_IMAGES`` and ``COREMLBENCH_CONVERT_IMAGES``. What is said of one command counts before what
is said of all, and a variable before the project's file before the user's.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from coremlbench.cli.commands.parameters import CommaList
from coremlbench.cli.verbosity import SETTINGS_META
from coremlbench.system.settings_files import settings_files
from coremlbench.types.errors import InputError

PREFIX = "COREMLBENCH_"
FOLDERS = {"cache": "COREMLBENCH_CACHE", "results": "COREMLBENCH_RESULTS"}
"""Settings of folders, which all parts of the toolkit read from these variables."""
OWN_VARIABLES = frozenset(
    (
        *("CACHE", "RESULTS", "CONFIG", "PYTHON", "SWIFTC", "NATIVE_SWIFTC", "FORK_SERVER", "CHROMIUM"),
        *("REQUIRE_SWIFT", "EXAMPLES", "KILLS", "CHILD", "TEST", "TEST_POINTS"),
    )
)
"""Variables that are no options, without the prefix."""
COMMAND_LINE_ONLY = frozenset(
    (
        *("allow-code", "bundle", "check", "clear", "custom-objects", "delete", "dry-run", "from-kit", "help", "json"),
        *("kit", "open", "output", "prune", "resume", "schema", "version"),
    )
)
"""Options that run others' code, remove something, or say what a command is for."""
CONTINUED_BY = ("--resume", "--from-kit")
"""Options that bring their own settings."""
ALWAYS = frozenset(("quiet", "verbose"))
"""Settings that count for a resumed run too."""
EXCLUSIVE = (frozenset(("retries", "batch-ladder")), frozenset(("quiet", "verbose")))
"""Options of which one excludes the others: a setting gives way to another one on the command line."""


@dataclass(frozen=True)
class Setting:
    """A default of an option; ``command`` is empty for all commands, ``source`` a variable or the path of a file."""

    command: str
    option: str
    value: Any
    source: str

    @property
    def key(self) -> str:
        """Return its name in messages: ``convert.images``."""
        return f"{self.command}.{self.option}" if self.command else self.option

    @property
    def is_variable(self) -> bool:
        """Return whether it is from an environment variable."""
        return self.source.startswith(PREFIX)

    @property
    def label(self) -> str:
        """Return what it sets and where it is from, in one line."""
        if self.is_variable:
            return f"{self.source}={self.value}"
        return f"{self.key} = {json.dumps(self.value, ensure_ascii=False, default=str)} in {self.source}"


def apply(
    command: click.Command,
    name: str,
    arguments: Sequence[str],
    commands: Mapping[str, Callable[[], click.Command]],
    meta: dict[str, Any],
) -> dict[str, Any]:
    """Return the defaults of a command from all settings, and note in ``meta`` which are used; set the folders.

    ``commands`` import the commands by name; they are called only to find out whether another command has an option.

    Raises:
        InputError: a file cannot be read, or a setting is wrong.
    """
    settings = read_settings(commands, Path.cwd())
    apply_folders(settings)
    defaults, used = default_map(command, name, arguments, settings)
    others = [
        setting
        for setting in settings
        if not setting.command and setting.option not in {*options_of(command), *FOLDERS}
    ]
    if others:
        every = {option for load in commands.values() for option in options_of(load())}
        for setting in others:
            _check_option(setting, every, "coremlbench")
    meta[SETTINGS_META] = used
    return defaults


def read_settings(commands: Iterable[str], folder: Path) -> list[Setting]:
    """Return all settings, those that count more before the others; empty values of variables are left out.

    Raises:
        InputError: a file cannot be read, or names a command that does not exist.
    """
    names = sorted(commands, key=len, reverse=True)  # convert-and-time before convert
    settings = list(_variables(names, os.environ))
    for path, content in settings_files(folder):
        tables = {name: value for name, value in content.items() if isinstance(value, dict)}
        for command, table in tables.items():
            if command not in names:
                raise InputError(f"{path}: there is no command {command!r}; {_similar(command, names)}")
            settings += [Setting(command, option, value, str(path)) for option, value in table.items()]
        settings += [Setting("", option, value, str(path)) for option, value in content.items() if option not in tables]
    return settings


def _variables(commands: Sequence[str], environment: Mapping[str, str]) -> Iterator[Setting]:
    """Yield the settings of variables, those of one command first; ``commands`` are sorted by length."""
    of_all = []
    for variable, value in sorted(environment.items()):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in OWN_VARIABLES or not value:
            continue
        words = name.lower().replace("_", "-")
        command = next((command for command in commands if words.startswith(f"{command}-")), "")
        setting = Setting(command, words.removeprefix(f"{command}-") if command else words, value, variable)
        if command:
            yield setting
        else:
            of_all.append(setting)
    yield from of_all


def apply_folders(settings: Sequence[Setting]) -> None:
    """Set the variables of folders that files name and that are not set; a relative path is relative to its file.

    Raises:
        InputError: the value is no path.
    """
    for setting in settings:
        variable = FOLDERS.get(setting.option)
        if setting.command or variable is None or os.environ.get(variable):
            continue
        if not isinstance(setting.value, str) or not setting.value:
            raise InputError(f"{setting.source}: {setting.key} must be the path of a folder, not {setting.value!r}.")
        os.environ[variable] = str(Path(setting.source).parent / Path(setting.value).expanduser())


def default_map(
    command: click.Command, name: str, arguments: Sequence[str], settings: Sequence[Setting]
) -> tuple[dict[str, Any], list[Setting]]:
    """Return the defaults of a command by the names of its parameters, and the settings that they are from.

    Raises:
        InputError: a setting of this command names no option of it, or its value is wrong.
    """
    options = options_of(command)
    given = {option for option in options for argument in arguments if argument.partition("=")[0] == f"--{option}"}
    continued = any(argument.partition("=")[0] in CONTINUED_BY for argument in arguments)
    context = click.Context(command, info_name=name)
    defaults: dict[str, Any] = {}
    used: list[Setting] = []
    for setting in settings:
        if setting.command not in {"", name} or (not setting.command and setting.option not in {*options} - {*FOLDERS}):
            continue
        _check_option(setting, options, f"coremlbench {name}")
        parameter = options[setting.option]
        value = checked_value(setting, parameter, context)
        gives_way = continued and setting.option not in ALWAYS
        gives_way |= any(setting.option in group and given & group - {setting.option} for group in EXCLUSIVE)
        if parameter.name and parameter.name not in defaults and not gives_way and setting.option not in given:
            defaults[parameter.name] = value
            used.append(setting)
    return defaults, used


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by their long names without dashes."""
    return {
        opt.removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for opt in parameter.opts
        if opt.startswith("--")
    }


def _check_option(setting: Setting, options: Iterable[str], where: str) -> None:
    if setting.option in FOLDERS and setting.command:
        variable = FOLDERS[setting.option]
        raise InputError(
            f"{setting.source}: {setting.option} is for all commands; set it above the tables or {variable}."
        )
    if setting.option in COMMAND_LINE_ONLY:
        raise InputError(f"{setting.source}: --{setting.option} is no setting; give it on the command line.")
    names = sorted(set(options) - COMMAND_LINE_ONLY)
    if setting.option not in names:
        raise InputError(
            f"{setting.source}: {where} has no option {setting.option!r}; {_similar(setting.option, names)}"
        )


def checked_value(setting: Setting, option: click.Option, context: click.Context) -> Any:
    """Return the value of a setting as click takes it.

    Raises:
        InputError: the option does not take it; the message names the file or variable.
    """
    value = setting.value
    prefix = setting.source if setting.is_variable else f"{setting.source}: {setting.key}"
    if isinstance(value, bool) and not option.is_flag:
        raise InputError(f"{prefix}: it takes a value, not {json.dumps(value)}.")
    if isinstance(value, list) and not (option.multiple or isinstance(option.type, CommaList)):
        raise InputError(f"{prefix}: it takes one value, not a list.")
    if isinstance(value, list) and isinstance(option.type, CommaList):
        value = ",".join(map(str, value))
    if isinstance(value, str) and option.multiple:
        value = [value]
    if not isinstance(value, list) and not (isinstance(value, bool) and option.is_flag):
        value = str(value)
    try:
        option.type_cast_value(context, value)
    except (click.BadParameter, InputError) as error:
        message = error.message if isinstance(error, click.BadParameter) else str(error)
        raise InputError(f"{prefix}: {message}") from error
    return value


def check_all(settings: Sequence[Setting], commands: Mapping[str, click.Command]) -> None:
    """Check the settings of all commands, also those that are for none of the options of the one that runs.

    Raises:
        InputError: a setting names no option, or its value is wrong.
    """
    every = {option for command in commands.values() for option in options_of(command)}
    for setting in settings:
        if setting.command:
            default_map(commands[setting.command], setting.command, (), [setting])
        elif setting.option not in FOLDERS:
            _check_option(setting, every, "coremlbench")
            for name, command in commands.items():
                default_map(command, name, (), [setting])


def _similar(name: str, names: Sequence[str]) -> str:
    """Return the end of a sentence that offers the name that is most like a wrong one, or all names."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"choose from {', '.join(names)}."
