"""``coremlbench convert``: trained models and files to Core ML packages, each compared with its original."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.dry_run import dry_run_option, past_runs, show_plan
from coremlbench.cli.commands.model_file_options import model_file_options
from coremlbench.cli.commands.parameters import (
    BATCHES,
    CommaList,
    DatasetName,
    explicit_options,
    json_option,
    limit_options,
    results_option,
    source_option,
    split_names,
)
from coremlbench.cli.verbosity import verbosity_options
from coremlbench.conversion.variants import DEFAULT_TARGET, TARGETS, VARIANTS
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.types.conversion import ModelSource, UnopenedModel


def variant_names() -> tuple[str, ...]:
    """Return what can stand in a list of variants."""
    return *(variant.name for variant in VARIANTS), "all"


VARIANT_LIST = CommaList("names", split_names, variant_names)


@click.command(short_help="Models to Core ML packages in several precisions, each proven against its original.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--variants",
    type=VARIANT_LIST,
    default=("fp16",),
    show_default="fp16",
    help=f"{', '.join(variant.name for variant in VARIANTS)}, or all; separated by commas.",
)
@click.option("--batch", "batches", type=BATCHES, default=(1,), show_default="1", help="Fixed batch sizes: 1,8.")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=DEFAULT_TARGET,
    show_default=True,
    help="The oldest macOS or iOS release to support; a variant that needs a newer one gets that.",
)
@click.option(
    "--images", type=click.IntRange(min=1), default=500, show_default=True, metavar="N", help="Test images to compare."
)
@click.option(
    "--data", type=DatasetName(), help="Images of this dataset or folder instead of those of the model's own dataset."
)
@source_option
@click.option("--save-onnx", is_flag=True, help="Save the executed ONNX graph beside each package.")
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="PACKAGE",
    help="Convert nothing: compare this existing package with MODEL, which may be an .onnx or .npz file too.",
)
@model_file_options
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Models to convert in parallel.  [default: by cores and memory]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of random inputs and weights."
)
@click.option(
    "--random-weights", is_flag=True, help="Convert the experiments' networks with random weights, untrained."
)
@limit_options(
    memory="Stop a conversion that uses more memory than this.",
    timeout="Stop each model after this time: 30m.",
    silence="Stop a conversion without output for this time.  [default: 15m]",
)
@dry_run_option
@verbosity_options
@results_option
@json_option
def convert(
    models: tuple[str, ...],
    check: Path | None,
    sources: tuple[tuple[str, str], ...],
    random_weights: bool,
    dry_run: bool,
    results: Path,
    as_json: bool,
    **settings: Any,
) -> None:
    """Convert models to Core ML and prove each package against its original, on any machine.

    MODEL is an experiment (its newest trained run), the id of a run, or a file: .keras, .h5, a SavedModel folder, or an
    .mlpackage or .mlmodel that holds an ML Program (not a neural network or a pipeline, which only Core ML executes).
    Without one, the newest trained run of every experiment is converted. With --check it may also be an .onnx file, or
    an .npz file of inputs and outputs recorded in any framework (docs/originals.md).

    Each package is read back from disk, executed with ONNX Runtime and compared with its original on test images:
    errors, signal-to-noise ratio, share of images with the same class, and the accuracy before and after. The verdict
    follows from fixed thresholds: proven, proven with caveats (each is named), degraded, wrong (then the first op that
    differs is named), or not judged where the data or the original allow no verdict (exit code 0).

    \b
    coremlbench convert                                    every trained experiment, fp16
    coremlbench convert lenet --variants all               one, in every variant
    coremlbench convert mine.keras --scale 0.00392157 --data DIR
    coremlbench convert --check its.mlpackage mine.keras   is this package that model?
    coremlbench convert --check its.mlpackage io.npz       does it give what PyTorch gave?

    Exit code 0 when nothing is wrong, 3 when a variant is wrong or failed, 2 for wrong options or input, 130 after
    Ctrl-C.
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.cli.terminal.conversion import print_conversions
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.conversion.job import check_options, conversion_exit_code, convert_models
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.conversion.sources import named_sources

    _check_meaning(check)
    check = check.expanduser().absolute() if check else None  # shells do not expand the ~ in --check=~/x.mlpackage
    options = ConvertOptions(sources=dict(sources), check=str(check) if check else None, **settings)
    check_options(options)
    sources_to_convert = named_sources(
        models,
        results=results,
        options=options,
        random_seed=options.seed if random_weights else None,
        check=check,
    )
    if dry_run:
        _show_plan(sources_to_convert, options, results, as_json=as_json)
        return
    with Watch() as watch:
        runs = convert_models(sources_to_convert, options, results=results, command=sys.argv, on_progress=watch)
    if as_json:
        print_json([record for record, _ in runs])
    else:
        print_conversions(runs)
    raise SystemExit(conversion_exit_code([record for record, _ in runs]))


def _check_meaning(check: Path | None) -> None:
    """Raise ``InputError`` for --check with options that say what to make."""
    explicit = explicit_options(click.get_current_context()) & {"variants", "batches", "target"}
    if check and explicit:
        names = ", ".join(f"--{'batch' if name == 'batches' else name}" for name in sorted(explicit))
        raise InputError(f"--check makes nothing, so {names} would mean nothing; leave out what is not meant.")


def _show_plan(
    sources: Sequence[ModelSource | UnopenedModel], options: ConvertOptions, results: Path, *, as_json: bool
) -> None:
    """Print what would be converted."""
    from coremlbench.plans.conversions import plan_conversions

    show_plan(plan_conversions(sources, options, **past_runs(results)), as_json=as_json)
