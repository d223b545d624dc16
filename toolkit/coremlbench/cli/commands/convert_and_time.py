"""``coremlbench convert-and-time``: where should a model run?"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.parameters import Bytes, DatasetName, Duration, json_option, results_option

if TYPE_CHECKING:
    from coremlbench.timing.plan import TimingOptions

UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL", "host-cpu", "host-gpu")
RUNTIMES = ("coreml", "reference", "tensorflow")
OF_A_CONVERSION = ("variants", "batches", "images", "data", "allow_code")
"""The options that say how to convert and prove, which a kit's packages are already."""
BEGUN_WITH = "A matrix goes on with the settings it was begun with"


@click.command(name="convert-and-time", short_help="Where a model should run: Neural Engine, GPU or CPU.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--variants", metavar="NAMES", help="Variants with a comma between, or all.  [default: fp16]")
@click.option("--batch", "batches", metavar="N,…", help="Batch sizes with a comma between.  [default: 1]")
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Images for the proof.  [default: 500]")
@click.option("--data", type=DatasetName(), help="The images for the proof.  [default: the model's own dataset]")
@click.option("--allow-code", is_flag=True, help="Load models that hold code of their own; only those you trust.")
@click.option("--quick", is_flag=True, help="A first look: 2 rounds of 50 calls and 1 s, 50 images for the proof.")
@click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="Fresh processes for each cell.  [default: 5]")
@click.option("--calls", type=click.IntRange(min=1), metavar="N", help="Timed calls, at least.  [default: 200]")
@click.option("--seconds", type=Duration(), help="Timed seconds a round, at least.  [default: 5s]")
@click.option("--units", metavar="NAMES", help=f"Some of {', '.join(UNITS)}.  [default: all that can run here]")
@click.option("--runtimes", metavar="NAMES", help=f"Some of {', '.join(RUNTIMES)}.  [default: all]")
@click.option("--sustain", type=Duration(), help="Then run each cell for so long without a pause: 10m.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the orders, the inputs and random weights.  [default: 0]")
@click.option(
    "--kit", type=click.Path(file_okay=False, path_type=Path), help="Leave a kit here that a Mac times with --from-kit."
)
@click.option(
    "--from-kit",
    type=click.Path(file_okay=False, path_type=Path),
    help="Time the packages of a kit, checked file by file.",
)
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value="",
    default=None,
    help="Go on with an interrupted matrix.  [without RUN: the newest]",
)
@click.option("--memory-limit", type=Bytes(), help="Stop a process that grows past it: 2GiB.")
@click.option("--timeout", type=Duration(), help="Stop the whole matrix after so long; --resume goes on.")
@click.option("--silence", type=Duration(), help="Stop a process that says nothing for so long.  [default: 15m]")
@results_option
@json_option
def convert_and_time(
    models: tuple[str, ...],
    kit: Path | None,
    from_kit: Path | None,
    resume: str | None,
    results: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Convert models to Core ML, prove the packages, and time them on every compute unit of this machine.

    A MODEL is an experiment (its newest trained run), a run's id, or a file; without one, every experiment is taken,
    with random weights where nothing was trained (timing only). Each round of each cell (a package on a unit) is a
    process of its own; the order is shuffled anew in each round; results are saved after each. Core ML runs on macOS
    only: elsewhere the host's runtimes are timed, in tables of their own, and --kit packs the rest for a Mac.

    \b
    coremlbench convert-and-time --quick                     a first look, in minutes
    coremlbench convert-and-time lenet --variants fp16,int8
    coremlbench convert-and-time --kit kit                   here, and on a Mac:
    coremlbench convert-and-time --from-kit kit
    coremlbench convert-and-time --resume                    after Ctrl-C, a crash or a restart

    Exit code 0 when cells were timed, 3 when all failed or a package is wrong, 2 for wrong options, 130 after Ctrl-C.
    """  # noqa: D301 - the backspace is click's mark for lines to keep
    from coremlbench.cli.commands.report import page_at_the_end
    from coremlbench.cli.terminal.progress import Watch, print_json
    from coremlbench.cli.terminal.timing import print_no_package, print_timing, round_line
    from coremlbench.runs.lifecycle import FAILED, INTERRUPTED
    from coremlbench.timing.convert_and_time import convert_and_time as run
    from coremlbench.timing.convert_and_time import time_kit
    from coremlbench.timing.kit import read_kit
    from coremlbench.timing.matrix import matrix_exit_code
    from coremlbench.timing.resume import resume as go_on
    from coremlbench.types.errors import InputError

    chosen = [name for name, value in given.items() if value is not None and value is not False]
    if resume is not None and (chosen or models or kit or from_kit):
        raise InputError(f"{BEGUN_WITH}: give --resume without other options, or leave it out for a new matrix.")
    if from_kit is not None and (models or kit or set(chosen) & set(OF_A_CONVERSION)):
        raise InputError(
            "--from-kit times what is in the kit; leave out models and --kit, --variants, --batch, --images, --data "
            "and --allow-code."
        )
    packed = read_kit(from_kit) if from_kit is not None else None
    timing = _timing(given, packed.options if packed is not None else None)
    failed = 0
    with Watch() as watch:
        common: dict[str, Any] = {
            "results": results,
            "command": sys.argv,
            "on_progress": watch,
            "on_round": lambda row, each: watch.tell(round_line(row, each)),
        }
        if resume is not None:
            record, folder = go_on(resume, **common)
        elif packed is not None:
            record, folder = time_kit(packed, timing, **common)
        else:
            done = run(models, _conversion(given, timing), timing, kit=kit, **common)
            failed = done.exit_code
            if done.timing is None:
                print_no_package(done.timing_input.notes, interrupted=failed == INTERRUPTED)
                raise SystemExit(failed or FAILED)
            record, folder = done.timing
    if as_json:
        print_json(record)
    else:
        print_timing(record, folder, kit)
    if matrix_exit_code(record) != INTERRUPTED:
        page_at_the_end(results, folder, quiet=as_json)
    raise SystemExit(matrix_exit_code(record) or failed)


def _timing(given: dict[str, Any], packed: TimingOptions | None) -> TimingOptions:
    """Return how much to measure: the full method, a kit's settings or a first look, with what was changed of it."""
    from coremlbench.timing.plan import FULL, QUICK

    base = QUICK if given["quick"] else packed or FULL
    names = ("rounds", "calls", "seconds", "sustain", "seed", "memory_limit", "timeout", "silence")
    changes = {name: given[name] for name in names if given[name] is not None}
    return replace(
        base,
        units=_names(given["units"], UNITS, "--units"),
        runtimes=_names(given["runtimes"], RUNTIMES, "--runtimes"),
        allow_code=given["allow_code"],  # by this command line only: a kit cannot allow its own code
        **changes,
    )


def _conversion(given: dict[str, Any], timing: TimingOptions) -> Any:
    """Return how to convert and prove before the timing."""
    from coremlbench.cli.commands.convert import names_in
    from coremlbench.conversion.options import ConvertOptions

    changes: dict[str, Any] = {"allow_code": given["allow_code"], "seed": timing.seed, "silence": timing.silence}
    if given["variants"] is not None:
        changes["variants"] = names_in(given["variants"])
    if given["batches"] is not None:
        changes["batches"] = _numbers(given["batches"])
    if given["images"] or timing.quick:
        changes["images"] = given["images"] or 50
    if given["data"]:
        changes["data"] = given["data"]
    return replace(ConvertOptions(), memory_limit=timing.memory_limit, **changes)


def _names(value: str | None, known: tuple[str, ...], option: str) -> Any:
    from coremlbench.types.errors import InputError

    names = tuple(value.split(",")) if value else ()
    for name in names:
        if name not in known:
            raise InputError(f"{option} knows no {name!r}; choose from {', '.join(known)}.")
    return names


def _numbers(value: str) -> tuple[int, ...]:
    from coremlbench.types.errors import InputError

    numbers = tuple(int(part) if part.isdigit() else 0 for part in value.split(","))
    if min(numbers) < 1:
        raise InputError(f"{value!r} is no list of batch sizes; write it as 1,8.")
    return numbers
