"""``coremlbench convert-and-time``: where should a model run?"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.dry_run import dry_run_option, past_runs, show_plan, show_resumed
from coremlbench.cli.commands.model_file_options import INPUT_SHAPES, MODEL_FILE_OPTIONS, model_file_options
from coremlbench.cli.commands.parameters import (
    BATCHES,
    CommaList,
    DatasetName,
    Duration,
    json_option,
    limit_options,
    results_option,
    source_option,
    split_names,
)
from coremlbench.cli.verbosity import verbosity_options
from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.timing.convert_and_time import ConvertedAndTimed
    from coremlbench.timing.kit import Kit
    from coremlbench.timing.plan import TimingOptions
    from coremlbench.types.conversion import ModelSource, UnopenedModel
    from coremlbench.types.timing import TimingRecord

UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL", "host-cpu", "host-gpu")
RUNTIMES = ("coreml", "reference", "tensorflow")
RUNNERS = ("python", "native")
CONVERSION_OPTIONS = ("variants", "batches", "images", "data", "sources", *MODEL_FILE_OPTIONS)
"""The options of conversion and proof, which do not apply to the finished packages of a kit."""
RESUME_ERROR = "A matrix goes on with the settings it was begun with"
QUICK_IMAGES = 50


def _parse_choices(value: str, *, option: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(value.split(",")) if value else ()
    for name in names:
        if name not in known:
            raise InputError(f"{option} knows no {name!r}; choose from {', '.join(known)}.")
    return names


def _choices(option: str, known: tuple[str, ...]) -> CommaList:
    return CommaList("names", partial(_parse_choices, option=option, known=known), lambda: known)


@click.command(name="convert-and-time", short_help="Where a model should run: Neural Engine, GPU or CPU.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--variants",
    type=CommaList("names", split_names),
    metavar="NAMES",
    help="Variants separated by commas, or all.  [default: fp16]",
)
@click.option("--batch", "batches", type=BATCHES, metavar="N,…", help="Batch sizes separated by commas.  [default: 1]")
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Images for the proof.  [default: 500]")
@click.option("--data", type=DatasetName(), help="The images for the proof.  [default: the model's own dataset]")
@source_option
@partial(model_file_options, input_shape=INPUT_SHAPES)
@click.option("--quick", is_flag=True, help="A first look: 2 rounds of 50 calls and 1 s, 50 images for the proof.")
@click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="Processes for each cell.  [default: 5]")
@click.option("--calls", type=click.IntRange(min=1), metavar="N", help="Timed calls a round, at least.  [default: 200]")
@click.option("--seconds", type=Duration(), help="Timed seconds a round, at least.  [default: 5s]")
@click.option(
    "--units",
    type=_choices("--units", UNITS),
    metavar="NAMES",
    help=f"Some of {', '.join(UNITS)}.  [default: all that can run here]",
)
@click.option(
    "--runtimes",
    type=_choices("--runtimes", RUNTIMES),
    metavar="NAMES",
    help=f"Some of {', '.join(RUNTIMES)}.  [default: all]",
)
@click.option(
    "--runner",
    type=click.Choice(RUNNERS),
    help="What calls Core ML: Python, or a program in Swift that is compiled on the Mac.  [default: python]",
)
@click.option("--sustain", type=Duration(), help="Then run each cell this long without a pause: 10m.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of orders, inputs and random weights.  [default: 0]")
@click.option(
    "--kit",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a kit to this folder, which a Mac times with --from-kit.",
)
@click.option(
    "--from-kit",
    type=click.Path(file_okay=False, path_type=Path),
    help="Time the packages of this kit after checking its files.",
)
@click.option("--native", "native_kit", is_flag=True, help="With --kit: a kit for a Mac without Python.")
@click.option(
    "--collect",
    type=click.Path(path_type=Path),
    help="Record what a kit without Python brought back: its folder or results-….tar.gz.",
)
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value="",
    default=None,
    help="Resume an interrupted matrix.  [without RUN: the newest]",
)
@limit_options(
    memory="Stop a process that uses more memory than this: 2GiB.",
    timeout="Stop the whole matrix after this time; --resume continues it.",
    silence="Stop a process without output for this time.  [default: 15m]",
)
@dry_run_option
@verbosity_options
@results_option
@json_option
def convert_and_time(
    models: tuple[str, ...],
    kit: Path | None,
    from_kit: Path | None,
    collect: Path | None,
    resume: str | None,
    dry_run: bool,
    results: Path,
    as_json: bool,
    **settings: Any,
) -> None:
    """Convert models to Core ML, prove the packages, and time them on every compute unit of this machine.

    A MODEL is an experiment (its newest trained run), a run's id, or a file. Without one, every experiment is taken,
    with random weights where nothing was trained (timing only). Each round of each cell (a package on a unit) is a
    process of its own; the order is shuffled in each round, and results are saved after each. Core ML runs on macOS
    only: elsewhere the host's runtimes are timed, in separate tables, and --kit packs the packages for a Mac. A neural
    network or a pipeline, which only Core ML executes, is timed on a Mac or packed for one, without a proof.

    \b
    coremlbench convert-and-time --quick                     a first look, in minutes
    coremlbench convert-and-time lenet --variants fp16,int8
    coremlbench convert-and-time --kit kit                   here, and on a Mac:
    coremlbench convert-and-time --from-kit kit
    coremlbench convert-and-time --kit kit --native          for a Mac without Python, and then:
    coremlbench convert-and-time --collect results.tar.gz
    coremlbench convert-and-time --resume                    after Ctrl-C, a crash or a restart

    Exit code 0 when cells were timed, 3 when all failed or a package is wrong, 2 for wrong options, 130 after Ctrl-C.
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.timing.kit import read_kit
    from coremlbench.timing.matrix import matrix_exit_code

    _check_options(models, kit, from_kit, resume, settings)
    if collect is not None:
        _check_collect(models, kit, from_kit, resume, settings)
        record, folder = _collect(collect, results)
        _print_and_report(record, folder, None, results, as_json=as_json)
        raise SystemExit(matrix_exit_code(record))
    source = read_kit(from_kit) if from_kit is not None else None
    if dry_run:
        _show_plan(models, kit, source, resume, settings, results, as_json=as_json)
        return
    record, folder, conversion_exit_code = _measure(models, kit, source, resume, settings, results)
    _print_and_report(record, folder, kit, results, as_json=as_json)
    raise SystemExit(matrix_exit_code(record) or conversion_exit_code)


def _show_plan(
    models: tuple[str, ...],
    kit: Path | None,
    source: Kit | None,
    resume: str | None,
    settings: dict[str, Any],
    results: Path,
    *,
    as_json: bool,
) -> None:
    """Print what would be converted and timed."""
    from coremlbench.plans.conversions import plan_kit, plan_matrix
    from coremlbench.timing.available_units import detect_units
    from coremlbench.timing.convert_and_time import sources_to_convert
    from coremlbench.timing.resume import describe_unfinished, find_unfinished
    from coremlbench.timing.sweep import name_by_shape

    if resume is not None:
        record = find_unfinished(resume, results)
        show_resumed(record.id, describe_unfinished(record), as_json=as_json)
        return
    timing, capabilities = _timing_options(settings, source), detect_units()
    if source is not None:
        plan = plan_kit(source, timing, capabilities, **past_runs(results))
    else:
        conversion = _conversion_options(settings, timing)
        shapes = settings["input_shape"] or ()
        sources: list[ModelSource | UnopenedModel] = []
        for shape in shapes or (conversion.input_shape,):
            conversion = replace(conversion, input_shape=shape)
            found, conversion = sources_to_convert(models, conversion, timing, capabilities, results=results, kit=kit)
            sources += name_by_shape(found, shape if len(shapes) > 1 else None)
        plan = plan_matrix(sources, conversion, timing, capabilities, **past_runs(results))
    show_plan(plan, as_json=as_json)


def _check_options(
    models: Collection[str], kit: Path | None, from_kit: Path | None, resume: str | None, settings: dict[str, Any]
) -> None:
    """Raise ``InputError`` for --resume or --from-kit together with options that do not apply to them."""
    explicit = {name for name, value in settings.items() if value is not None and value is not False and value != ()}
    if resume is not None and (explicit or models or kit or from_kit):
        raise InputError(f"{RESUME_ERROR}: give --resume without other options, or leave it out for a new matrix.")
    if settings["native_kit"] and kit is None:
        raise InputError("--native is for a kit without Python; name its folder with --kit.")
    if from_kit is not None and (models or kit or explicit & set(CONVERSION_OPTIONS)):
        raise InputError(
            "--from-kit times what is in the kit; leave out models, --kit and what is for conversions: "
            f"{', '.join(_option_name(name) for name in CONVERSION_OPTIONS)}."
        )


def _check_collect(
    models: Collection[str], kit: Path | None, from_kit: Path | None, resume: str | None, settings: dict[str, Any]
) -> None:
    """Raise ``InputError`` for --collect together with anything but --results and --json."""
    if models or kit or from_kit or resume is not None or any(settings.values()):
        raise InputError("--collect records what was measured; give no models and no other option than --results.")


def _collect(path: Path, results: Path) -> tuple[TimingRecord, Path]:
    """Return the record of what a kit without Python brought back, and its folder."""
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.timing.native_collect import collect

    with Watch() as watch:
        return collect(path, results=results, command=sys.argv, on_progress=watch)


def _option_name(parameter: str) -> str:
    """Return the option that is passed under this name."""
    return {"batches": "--batch", "sources": "--source"}.get(parameter, f"--{parameter.replace('_', '-')}")


def _timing_options(settings: dict[str, Any], kit: Kit | None) -> TimingOptions:
    """Return the quick method, the kit's settings or the full method, with the explicit options replaced."""
    from coremlbench.timing.plan import FULL, QUICK

    base = QUICK if settings["quick"] else kit.options if kit is not None else FULL
    names = (
        "rounds",
        "calls",
        "seconds",
        "sustain",
        "seed",
        "memory_limit",
        "timeout",
        "silence",
        "runner",
        "native_kit",
    )
    return replace(
        base,
        units=settings["units"] or (),
        runtimes=settings["runtimes"] or (),
        allow_code=settings["allow_code"],  # from this command line only: a kit cannot allow its own code
        **{name: settings[name] for name in names if settings[name] is not None},
    )


def _conversion_options(settings: dict[str, Any], timing: TimingOptions) -> ConvertOptions:
    """Return the settings of conversion and proof: the explicit ones, and limits and seed of the timing."""
    from coremlbench.conversion.options import ConvertOptions

    changes: dict[str, Any] = {name: settings[name] for name in ("variants", "batches") if settings[name] is not None}
    if settings["images"] or timing.quick:
        changes["images"] = settings["images"] or QUICK_IMAGES
    if settings["data"]:
        changes["data"] = settings["data"]
    return replace(
        ConvertOptions(),
        sources=dict(settings["sources"]),
        **{name: settings[name] for name in MODEL_FILE_OPTIONS if name != "input_shape"},
        seed=timing.seed,
        silence=timing.silence,
        memory_limit=timing.memory_limit,
        **changes,
    )


def _measure(
    models: tuple[str, ...],
    kit: Path | None,
    source: Kit | None,
    resume: str | None,
    settings: dict[str, Any],
    results: Path,
) -> tuple[TimingRecord, Path, int]:
    """Return the record of a resumed matrix, of the kit ``source`` or of new packages, its folder, and an exit code.

    The exit code is that of the conversions, 0 when there was none. ``kit`` is the folder of a kit to be written.
    """
    from coremlbench.cli.commands.time_estimates import matrix_estimate, print_estimate
    from coremlbench.cli.terminal.conditions import print_start_warnings
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.cli.terminal.timing import round_line
    from coremlbench.timing import convert_and_time as story
    from coremlbench.timing.resume import resume as resume_matrix

    timing = _timing_options(settings, source)
    print_start_warnings()
    if resume is None and source is None:
        print_estimate(matrix_estimate(models, _conversion_options(settings, timing), timing, results))
    with Watch() as watch:
        arguments: dict[str, Any] = {
            "results": results,
            "command": sys.argv,
            "on_progress": watch,
            "on_round": lambda cell, finished_round: watch.print_line(round_line(cell, finished_round)),
        }
        if resume is not None:
            return *resume_matrix(resume, **arguments), 0
        if source is not None:
            return *story.time_kit(source, timing, **arguments), 0
        conversion = _conversion_options(settings, timing)
        outcome = story.convert_and_time(
            models, conversion, timing, shapes=settings["input_shape"] or (), kit=kit, **arguments
        )
        return *_require_timing(outcome), outcome.exit_code


def _require_timing(outcome: ConvertedAndTimed) -> tuple[TimingRecord, Path]:
    """Return the matrix; without one, print why no package could be timed and exit."""
    from coremlbench.cli.terminal.timing import print_no_package
    from coremlbench.runs.lifecycle import FAILED, INTERRUPTED

    if outcome.timing is None:
        print_no_package(outcome.timing_input.notes, interrupted=outcome.exit_code == INTERRUPTED)
        raise SystemExit(outcome.exit_code or FAILED)
    return outcome.timing


def _print_and_report(record: TimingRecord, folder: Path, kit: Path | None, results: Path, *, as_json: bool) -> None:
    """Print the matrix; save the HTML report of all records unless the matrix was interrupted."""
    from coremlbench.cli.commands.report import save_run_report
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.cli.terminal.timing import print_timing
    from coremlbench.runs.lifecycle import INTERRUPTED
    from coremlbench.timing.matrix import matrix_exit_code

    if as_json:
        print_json(record)
    else:
        print_timing(record, folder, kit)
    if matrix_exit_code(record) != INTERRUPTED:
        save_run_report(results, folder, quiet=as_json)
