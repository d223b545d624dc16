"""The kinds of values that options take."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from coremlbench.system.paths import results_folder

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Bytes(click.ParamType[int]):
    """An amount of memory such as 2GiB, 300MiB or 1.5G, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
        if not match or match[2].upper() not in _UNITS or float(match[1]) <= 0:
            self.fail(f"{value!r} is not an amount of memory; write it as 300MiB or 2GiB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


class Duration(click.ParamType[float]):
    """A time such as 90, 90s, 15m or 2h, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number of seconds."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(value))
        if not match or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a time; write it as 90s, 15m or 2h.", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class Amount(click.FloatRange):
    """A number in a range; what is not a number, or not finite, is in none (click lets NaN pass)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Augmentation(click.ParamType[tuple[str, ...]]):
    """Augmentation options by name, with a comma between, or none."""

    name = "options"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the options in Create ML's order."""
        del param, ctx
        from coremlbench.createml.augmentation import parse

        return value if isinstance(value, tuple) else parse(str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the options that can be added to those already typed."""
        del ctx, param
        from coremlbench.createml.augmentation import ORDER

        typed, comma, start = incomplete.rpartition(",")
        names = [name for name in (*ORDER, "none") if name.startswith(start) and name not in typed.split(",")]
        return [CompletionItem(typed + comma + name) for name in names]


class DatasetName(click.ParamType[str]):
    """A dataset's name, or a folder of pictures."""

    name = "name|dir"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or the folder in full, as the record keeps it: --resume may come from another folder."""
        del param, ctx
        from coremlbench_datasets import DATASETS

        folder = Path(value).expanduser()
        return str(value) if value in DATASETS or not value or not folder.is_dir() else str(folder.absolute())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the known names, and let the shell complete folders."""
        del ctx, param
        from coremlbench_datasets import DATASETS

        names = [CompletionItem(name) for name in DATASETS if name.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type="dir")]


LIMITS = frozenset({"timeout", "silence", "memory_limit"})
"""What a resumed run need not share with the broken one."""


def run_options(stopped: str) -> Callable[[Any], Any]:
    """Add what every training run takes: its limits, how it goes on after a failure, and where its record goes.

    ``stopped`` says in the help what a timeout ends.
    """
    options = (
        click.option(
            "--memory-limit", type=Bytes(), help="Stop a run that grows past it, as a smaller machine would: 2GiB."
        ),
        click.option("--timeout", type=Duration(), help=f"Stop {stopped} after so long: 30m."),
        click.option(
            "--silence", type=Duration(), help="Stop a run that says nothing for so long.  [default: by phase]"
        ),
        click.option(
            "--resume",
            is_flag=False,
            flag_value="",
            default=None,
            metavar="[ID]",
            help="Go on with a broken run from what it had done, the newest unless ID says which; with its settings.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0, max=20),
            default=0,
            metavar="N",
            help="After a failure, try again up to N times in fresh processes, with its remedy where there is one: "
            "less at a time, the CPU, more open files.",
        ),
        results_option,
        json_option,
    )

    def add(function: Any) -> Any:
        # Options stand in the help in the order of decorators, whose last is applied first.
        for option in reversed(options):
            function = option(function)
        return function

    return add


def asked_for(context: click.Context) -> frozenset[str]:
    """Return the names of the options that stand on the command line."""
    from click.core import ParameterSource

    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )


def results_option(function: Any) -> Any:
    """Add --results."""
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        default=results_folder,
        show_default="./results",
        help="Where records are kept.",
    )(function)


def json_option(function: Any) -> Any:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, nothing else.")(
        function
    )
