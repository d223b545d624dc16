"""``coremlbench convert``: trained models and files to Core ML packages, each compared with its original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from coremlbench.cli.commands.parameters import (
    Amount,
    Bytes,
    DatasetName,
    Duration,
    asked_for,
    json_option,
    results_option,
)
from coremlbench.cli.commands.train import Source
from coremlbench.conversion.variants import DEFAULT_TARGET, TARGETS, VARIANTS
from coremlbench.types.errors import InputError


def names_in(value: str) -> tuple[str, ...]:
    """Return the names that stand in a text with a comma between."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


class Names(click.ParamType[tuple[str, ...]]):
    """Variants with a comma between, or all."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names; whether there are such variants is told by the library."""
        del param, ctx
        return value if isinstance(value, tuple) else names_in(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Return the variants that can be added to those already typed."""
        del ctx, param
        typed, comma, start = incomplete.rpartition(",")
        names = [name for name in (*(plan.name for plan in VARIANTS), "all") if name.startswith(start)]
        return [click.shell_completion.CompletionItem(typed + comma + name) for name in names]


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 1 on with a comma or an x between: 1,8 or 224x224x3."""

    name = "numbers"

    def __init__(self, separator: str) -> None:
        self._separator = separator

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(self._separator)
        if not all(part.isdigit() and int(part) for part in parts):
            example = self._separator.join(["1", "8"] if self._separator == "," else ["224", "224", "3"])
            self.fail(f"{value!r} is no list of numbers; write it as {example}.", param, ctx)
        return tuple(int(part) for part in parts)


class Classes(click.ParamType[tuple[str, ...]]):
    """Names with a comma between, or a file with one a line."""

    name = "names|file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names in their order; that none stands there twice is seen to by the library."""
        if isinstance(value, tuple):
            return value
        path = Path(str(value)).expanduser()
        if path.is_file():
            try:
                names = path.read_text(encoding="utf-8-sig").rstrip().splitlines()  # Windows writes a mark first
            except (OSError, UnicodeDecodeError) as problem:
                self.fail(f"{path} cannot be read as a list of classes: {problem}.", param, ctx)
            blank = next((number for number, name in enumerate(names, 1) if not name.strip()), None)
            if blank:
                self.fail(f"Line {blank} of {path} is blank; name one class a line, in their order.", param, ctx)
        elif "," in str(value):
            names = str(value).split(",")
        else:
            self.fail(f"{value!r} is no file; name the classes as cat,dog or give a file with one a line.", param, ctx)
        return tuple(name.strip() for name in names)


@click.command(short_help="Models to Core ML packages in several precisions, each proven against its original.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--variants",
    type=Names(),
    default=("fp16",),
    show_default="fp16",
    help=f"{', '.join(plan.name for plan in VARIANTS)}, or all; with a comma between.",
)
@click.option("--batch", "batches", type=Numbers(","), default=(1,), show_default="1", help="Fixed batches: 1,8.")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=DEFAULT_TARGET,
    show_default=True,
    help="The oldest system that is to run the packages; a variant that needs a newer one gets it.",
)
@click.option(
    "--images", type=click.IntRange(min=1), default=500, show_default=True, metavar="N", help="Images to compare."
)
@click.option(
    "--data", type=DatasetName(), help="Images of this dataset or folder instead of those of the model's own dataset."
)
@click.option("--source", "sources", type=Source(), multiple=True, help="A local copy of a dataset; may be repeated.")
@click.option("--save-onnx", is_flag=True, help="Keep the ONNX graph that is executed, beside each package.")
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="PACKAGE",
    help="Make nothing: compare this ready package with MODEL.",
)
@click.option(
    "--scale",
    type=Amount(min=0, min_open=True),
    metavar="F",
    help="What a file's model wants pixels from 0 to 255 multiplied with (1/255 is 0.00392157); it then takes images.",
)
@click.option(
    "--classes",
    type=Classes(),
    default=(),
    help="What a file's model calls its classes, in their order: cat,dog or a file with one a line; they become the "
    "labels of packages that end in a softmax.  [default: those of --data, if as many]",
)
@click.option("--input-shape", type=Numbers("x"), metavar="HxWxC", help="The size for a model that takes any.")
@click.option(
    "--allow-code", is_flag=True, help="Open models that hold code, such as Lambda layers; only from whom you trust."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Models side by side.  [default: by the machine]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For random inputs and weights.")
@click.option("--random-weights", is_flag=True, help="Take networks with random weights for experiments, untrained.")
@click.option("--memory-limit", type=Bytes(), help="Stop a conversion that grows past it.")
@click.option("--timeout", type=Duration(), help="Stop each model after so long: 30m.")
@click.option("--silence", type=Duration(), help="Stop a conversion that says nothing for so long.  [default: 15m]")
@results_option
@json_option
def convert(
    models: tuple[str, ...],
    check: Path | None,
    sources: tuple[tuple[str, str], ...],
    random_weights: bool,
    results: Path,
    as_json: bool,
    **settings: Any,
) -> None:
    """Convert models to Core ML and prove each package against its original, on any machine.

    MODEL is an experiment (its newest trained run), the id of a run, or a file: .keras, .h5, a SavedModel folder, an
    .mlpackage or .mlmodel. Without one, the newest trained run of every experiment is converted.

    Each package is read back from disk, executed with ONNX Runtime and compared with its original on test images:
    errors, signal-to-noise ratio, how often both see the same class, and the accuracy before and after. A verdict
    follows from stated thresholds: proven, degraded, or wrong, and then the first op that parts from the original.

    \b
    coremlbench convert                                    all that was trained, fp16
    coremlbench convert lenet --variants all               one, in every variant
    coremlbench convert mine.keras --scale 0.00392157 --data DIR
    coremlbench convert --check its.mlpackage mine.keras   is this package that model?

    Exit code 0 when nothing is wrong, 3 when a variant is wrong or failed, 2 for wrong options or input, 130 after
    Ctrl-C.
    """  # noqa: D301 - the backspace is click's mark for lines to keep
    from coremlbench.cli.terminal.conversion import print_conversions
    from coremlbench.cli.terminal.progress import Watch, print_json
    from coremlbench.conversion.job import convert_models, exit_code
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.conversion.sources import named_sources

    given = asked_for(click.get_current_context()) & {"variants", "batches", "target"}
    if check and given:
        names = ", ".join(f"--{'batch' if name == 'batches' else name}" for name in sorted(given))
        raise InputError(f"--check makes nothing, so {names} would mean nothing; leave out what is not meant.")
    check = check.expanduser().absolute() if check else None  # --check=~/x.mlpackage: shells leave it as it is
    options = ConvertOptions(sources=dict(sources), check=str(check) if check else None, **settings)
    found = named_sources(
        models,
        results=results,
        allow_code=options.allow_code,
        random_seed=options.seed if random_weights else None,
        check=check,
    )
    with Watch() as watch:
        runs = convert_models(found, options, results=results, command=sys.argv, on_progress=watch)
    if as_json:
        print_json([record for record, _ in runs])
    else:
        print_conversions(runs)
    raise SystemExit(exit_code([record for record, _ in runs]))
