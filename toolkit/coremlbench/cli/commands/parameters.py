"""Parameter types and options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from coremlbench.cli.commands.dry_run import dry_run_option
from coremlbench.cli.verbosity import verbosity_options
from coremlbench.system.formatting import format_bytes
from coremlbench.system.paths import results_folder

MIN_MEMORY_BYTES = 2**20
"""Less cannot be meant: a number without a unit is in bytes."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


SHORT_UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ne": "CPU_AND_NE", "all": "ALL"}
"""Core ML's compute units as records name them, by short names."""


class Bytes(click.ParamType[int]):
    """An amount of memory such as 2GiB, 300MiB or 1.5G, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
        if not match or match[2].upper() not in _UNITS or float(match[1]) <= 0:
            self.fail(f"{value!r} is not an amount of memory; write it as 300MiB or 2GiB.", param, ctx)
        count = int(float(match[1]) * _UNITS[match[2].upper()])
        if count < MIN_MEMORY_BYTES:
            self.fail(
                f"{value!r} is {format_bytes(count)}, less than Python itself takes; for gigabytes write it as "
                f"{match[1]}GiB.",
                param,
                ctx,
            )
        return count


class Duration(click.ParamType[float]):
    """A time such as 90, 90s, 15m or 2h, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number of seconds."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(value))
        if not match or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a time; write it as 90s, 15m or 2h.", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class Age(click.ParamType[float]):
    """A time such as 12h, 30d or 8w, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number of seconds."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([hdw])\s*", str(value))
        if not match:
            self.fail(f"{value!r} is not an age; write it as 12h, 30d or 8w.", param, ctx)
        return float(match[1]) * 3600 * {"h": 1, "d": 24, "w": 24 * 7}[match[2]]


class Amount(click.FloatRange):
    """A finite number in a range; click's own type accepts NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class ComputeUnits(click.ParamType[str]):
    """Core ML's compute units, by their names in records or by short ones: cpu, gpu, ne, all."""

    name = "units"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name in records: CPU_ONLY, CPU_AND_GPU, CPU_AND_NE or ALL."""
        name = SHORT_UNITS.get(str(value).lower(), str(value).upper())
        if name not in SHORT_UNITS.values():
            self.fail(f"{value!r} are no compute units; choose from {', '.join(SHORT_UNITS)}.", param, ctx)
        return name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the short names that begin so."""
        del ctx, param
        return [CompletionItem(name) for name in SHORT_UNITS if name.startswith(incomplete)]


class CommaList(click.ParamType[tuple[Any, ...]]):
    """A list in one argument, converted by ``parse``; the shell completes its last name from ``completions()``.

    ``parse`` takes the whole argument and returns a tuple. It raises ``ValueError`` with a sentence for an argument
    that is wrong (click then names the option), or ``InputError``, whose sentence is shown as it is.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str], tuple[Any, ...]],
        completions: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.name = name
        self._parse = parse
        self._completions = completions

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the parsed list; a tuple, such as an option's default, is returned unchanged."""
        if isinstance(value, tuple):
            return value
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that can be added to those already typed, each with the typed part in front."""
        del ctx, param
        typed, comma, start = incomplete.rpartition(",")
        names = [name for name in self._completions() if name.startswith(start) and name not in typed.split(",")]
        return [CompletionItem(typed + comma + name) for name in names]


def split_names(value: str) -> tuple[str, ...]:
    """Return the names in "fp16, int8", without surrounding space and empty parts."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def parse_numbers(value: str, *, separator: str = ",", noun: str, example: str) -> tuple[int, ...]:
    """Return the whole numbers from 1 on in "1,8" or, with another separator, "224x224x3".

    Raises:
        ValueError: a part is no such number; ``noun`` and ``example`` complete the message.
    """
    parts = [part.strip() for part in value.split(separator)]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError(f"{value!r} is {noun}; write it as {example}.")
    return tuple(int(part) for part in parts)


def parse_augmentation(value: str) -> tuple[str, ...]:
    """Return augmentation options by name, in Create ML's order; "none" is the empty tuple.

    Raises:
        InputError: a name is unknown, or there is none.
    """
    from coremlbench.createml.augmentation import parse

    return parse(value)


def augmentation_names() -> tuple[str, ...]:
    """Return what can stand in an augmentation list."""
    from coremlbench.createml.augmentation import ORDER

    return *ORDER, "none"


AUGMENTATION = CommaList("options", parse_augmentation, augmentation_names)
BATCHES = CommaList("numbers", partial(parse_numbers, noun="no list of batch sizes", example="1,8"))


class DatasetName(click.ParamType[str]):
    """A dataset's name, or a folder of pictures."""

    name = "name|dir"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return a dataset's name as given, a folder as an absolute path, so that --resume works from anywhere."""
        del param, ctx
        from coremlbench_datasets import DATASETS

        folder = Path(value).expanduser()
        return str(value) if value in DATASETS or not value or not folder.is_dir() else str(folder.absolute())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the datasets whose names start so, and let the shell complete folders."""
        del ctx, param
        from coremlbench_datasets import DATASETS

        names = [CompletionItem(name) for name in DATASETS if name.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type="dir")]


class Source(click.ParamType[tuple[str, str]]):
    """A dataset's name and a local copy of it: cifar10=cifar-10-python.tar.gz."""

    name = "dataset=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the name and the absolute path; a path that does not exist is an error."""
        name, separator, path = str(value).partition("=")
        if not separator or not name or not Path(path).expanduser().exists():
            self.fail(f"{value!r} names no local copy; write it as cifar10=PATH, and PATH must be there.", param, ctx)
        return name, str(Path(path).expanduser().absolute())


LIMITS = frozenset({"timeout", "silence", "memory_limit"})
"""Options that may differ between a resumed run and the failed one."""


def add_options(function: Any, options: Sequence[Callable[[Any], Any]]) -> Any:
    """Return a function with options added; ``--help`` lists them in this order.

    ``--help`` lists options from the outermost decorator to the innermost, so the last one is applied first.
    """
    for option in reversed(options):
        function = option(function)
    return function


def limit_options(*, memory: str, timeout: str, silence: str) -> Callable[[Any], Any]:
    """Return a decorator that adds --memory-limit, --timeout and --silence with these help texts."""
    return partial(
        add_options,
        options=(
            click.option("--memory-limit", type=Bytes(), help=memory),
            click.option("--timeout", type=Duration(), help=timeout),
            click.option("--silence", type=Duration(), help=silence),
        ),
    )


def source_option(function: Any) -> Any:
    """Add the option --source, local copies of datasets, passed as ``sources``, to a command."""
    return click.option(
        "--source",
        "sources",
        type=Source(),
        multiple=True,
        help="A local copy of a dataset, used instead of a download; may be repeated.",
    )(function)


def run_options(stopped: str) -> Callable[[Any], Any]:
    """Return a decorator that adds the options of every training run: limits, --resume, --retries, --results, --json.

    ``stopped`` names in the help text what a timeout ends, such as "the run".
    """
    return partial(
        add_options,
        options=(
            limit_options(
                memory="Stop a run that uses more memory than this, to simulate a smaller machine: 2GiB.",
                timeout=f"Stop {stopped} after this time: 30m.",
                silence="Stop a run without output for this time.  [default: by phase]",
            ),
            click.option(
                "--resume",
                is_flag=False,
                flag_value="",
                default=None,
                metavar="[ID]",
                help="Resume a failed run with its settings: the newest, or the one with this ID.",
            ),
            click.option(
                "--retries",
                type=click.IntRange(min=0, max=20),
                default=0,
                metavar="N",
                help="After a failure, try again up to N times in new processes, with a remedy where there is one: "
                "smaller batches, the CPU, more open files.",
            ),
            dry_run_option,
            verbosity_options,
            results_option,
            json_option,
        ),
    )


def explicit_options(context: click.Context) -> frozenset[str]:
    """Return the names of the parameters that were given on the command line, not by default or environment."""
    from click.core import ParameterSource

    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )


RESULTS_META = "coremlbench.results"
"""The key of the contexts' shared ``meta`` under which the command's folder of records is."""


def _note_results(context: click.Context, _parameter: click.Parameter, results: Path) -> Path:
    """Note the folder of records, so that a message on the interrupted command can name it."""
    context.meta[RESULTS_META] = results
    return results


def results_option(function: Any) -> Any:
    """Add the option --results, the folder of records, to a command."""
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        default=results_folder,
        show_default="./results",
        callback=_note_results,
        help="The folder of records.",
    )(function)


def json_option(function: Any) -> Any:
    """Add the flag --json, passed as ``as_json``, to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print only JSON on standard output.")(function)


def csv_option(what: str) -> Callable[[Any], Any]:
    """Return a decorator that adds the flag --csv, passed as ``as_csv``; ``what`` says what its lines are."""
    return click.option("--csv", "as_csv", is_flag=True, help=f"Print only CSV on standard output: {what}.")
