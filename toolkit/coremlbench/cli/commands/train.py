"""``coremlbench train``: the TensorFlow experiments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.parameters import (
    LIMITS,
    Amount,
    CommaList,
    DatasetName,
    explicit_options,
    parse_numbers,
    run_options,
    source_option,
)

if TYPE_CHECKING:
    from coremlbench.training.job import Overrides
    from coremlbench.training.run import TensorFlowOptions
    from coremlbench.types.experiments import Experiment
    from coremlbench.types.training_records import TrainingRecord

    SavedRun = tuple[TrainingRecord, Path]


class ExperimentName(click.ParamType[str]):
    """The name of a TensorFlow experiment."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Return the TensorFlow experiments whose names start so."""
        del ctx, param
        from coremlbench.experiments.catalogue import EXPERIMENTS

        names = [experiment.name for experiment in EXPERIMENTS if experiment.family == "tensorflow"]
        return [click.shell_completion.CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command(short_help="The TensorFlow experiments, each in a process of its own.")
@click.argument("names", nargs=-1, type=ExperimentName(), metavar="[EXPERIMENT]...")
@click.option(
    "--experiment",
    "experiments",
    type=ExperimentName(),
    multiple=True,
    help="tinyvgg, efficientnetb0, lenet, mnist-cnn, fashion-mnist or cifar10-resnet50, like the arguments; "
    "may be repeated.  [default: all]",
)
@click.option("--dataset", type=DatasetName(), help="The images for tinyvgg and efficientnetb0.  [default: drawn-food]")
@source_option
@click.option(
    "--train",
    type=click.IntRange(min=1),
    metavar="N",
    help="Training images.  [default: the protocol's; a folder: all]",
)
@click.option(
    "--test", type=click.IntRange(min=1), metavar="N", help="Test images.  [default: the protocol's; a folder: all]"
)
@click.option(
    "--scale",
    type=Amount(min=0, max=1, min_open=True),
    metavar="F",
    help="Share of the images, for a quick first run; at 0.1 and below, 3 epochs at most. 0.02 runs all six in a few "
    "minutes.",
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Epochs.  [default: the protocol's]")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Batch size.  [default: the protocol's]")
@click.option(
    "--batch-ladder",
    "ladder",
    type=CommaList("sizes", partial(parse_numbers, noun="not a ladder of batch sizes", example="32,16,8,4")),
    help="Try these batch sizes, the largest first, each in a new process, until one fits in memory: 32,16,8,4.",
)
@click.option(
    "--learning-rate",
    type=Amount(min=0, min_open=True),
    metavar="F",
    help="Adam's learning rate.  [default: 0.001]",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=32),
    metavar="N",
    help="Image height and width in pixels.  [default: the protocol's]",
)
@click.option(
    "--weights",
    metavar="imagenet|random|FILE",
    help="Initial weights of EfficientNetB0; imagenet falls back to random with a note.  [default: imagenet]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Device to train on; auto uses a GPU if TensorFlow finds one.",
)
@click.option(
    "--check-device",
    is_flag=True,
    help="First train a few steps on CPU and GPU from the same seed; the run fails if the GPU's loss differs.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the weights and of the order of images.",
)
@run_options("each experiment")
def train(
    names: tuple[str, ...],
    experiments: tuple[str, ...],
    sources: tuple[tuple[str, str], ...],
    ladder: tuple[int, ...] | None,
    resume: str | None,
    retries: int,
    dry_run: bool,
    results: Path,
    as_json: bool,
    **changed: Any,
) -> None:
    """Run the TensorFlow counterparts of the Create ML run, each with its own protocol.

    Each experiment is trained, tested and saved in a process of its own. Its record is results/<id>/run.json, also
    when it fails: the seconds of each epoch (the first is not part of the compared figure), accuracies, peak memory,
    and the device that was used. After a failure the next experiment runs.

    \b
    coremlbench train --scale 0.02                           all six, in minutes
    coremlbench train lenet                                  one, with its protocol
    coremlbench train efficientnetb0 --batch-ladder 32,16,8,4
    coremlbench train --resume                               resume a failed run from its last epoch
    coremlbench compare                                      compare with the published figures

    Exit code 0 when all trained, 3 when one failed, 2 for wrong options or missing input, 130 after Ctrl-C.
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.cli.terminal.conditions import print_start_warnings
    from coremlbench.experiments.catalogue import select
    from coremlbench.system.tensorflow_extra import require_tensorflow
    from coremlbench.training.job import Overrides, tensorflow_experiments, training_exit_code

    require_tensorflow("Training")
    changes = Overrides(sources=dict(sources), **changed)
    chosen = select(names + experiments) if names + experiments else tensorflow_experiments()
    _check_exclusive(retries, ladder, resume)
    if dry_run:
        _show_plan(chosen, changes, resume, results, as_json=as_json)
        return
    print_start_warnings()
    if resume is not None:
        run = _resume(resume, chosen, changes, results)
        _print_each([run], as_json=as_json)
        raise SystemExit(training_exit_code([run[0]]))
    runs, errors = _train_all(chosen, changes, ladder or (), retries, results, as_json=as_json)
    _print_summary(runs, as_json=as_json)
    for message in errors:
        click.echo(message, err=True)
    raise SystemExit(training_exit_code([record for record, _ in runs]) or (2 if errors else 0))


def _show_plan(
    experiments: Sequence[Experiment], changes: Overrides, resume: str | None, results: Path, *, as_json: bool
) -> None:
    """Print what would run."""
    from coremlbench.cli.commands.dry_run import past_runs, show_plan, show_resumed
    from coremlbench.plans.trainings import plan_trainings
    from coremlbench.runs.resume_data import describe_progress, find_resumable_run
    from coremlbench.training.job import resolve_options

    if resume is not None:
        record, folder = find_resumable_run(results, [experiment.name for experiment in experiments], resume)
        show_resumed(record.id, describe_progress(folder), as_json=as_json)
        return
    runs = [resolve_options(experiment, changes, results) for experiment in experiments]
    show_plan(plan_trainings(runs, **past_runs(results)), as_json=as_json)


def _check_exclusive(retries: int, ladder: tuple[int, ...] | None, resume: str | None) -> None:
    """Raise ``InputError`` when more than one of --retries, --batch-ladder and --resume was given."""
    from coremlbench.types.errors import InputError

    if sum((bool(retries), bool(ladder), resume is not None)) > 1:
        raise InputError("--retries, --batch-ladder and --resume each say what the next run is; use one of them.")


def _train_all(
    experiments: Sequence[Experiment],
    changes: Overrides,
    ladder: Sequence[int],
    retries: int,
    results: Path,
    *,
    as_json: bool,
) -> tuple[list[SavedRun], list[str]]:
    """Return the runs of all experiments with their folders, and a message for each that had no usable data.

    The runs of an experiment are printed when it ends, unless ``as_json``. Ctrl-C ends the loop after its record.

    Raises:
        InputError: the data of the only experiment cannot be used.
    """
    from coremlbench.cli.commands.time_estimates import print_estimate, tensorflow_estimate
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.runs.lifecycle import INTERRUPTED
    from coremlbench.training.job import resolve_options, train_with_ladder, training_exit_code
    from coremlbench.types.errors import InputError

    plans = [resolve_options(experiment, changes, results) for experiment in experiments]
    print_estimate(tensorflow_estimate(plans, results))
    runs: list[SavedRun] = []
    errors: list[str] = []
    for options in plans:
        try:
            with Watch() as watch:
                attempts = train_with_ladder(
                    options, ladder, retries=retries, results=results, command=sys.argv, on_progress=watch
                )
        except InputError as error:
            if len(plans) == 1:
                raise
            errors.append(f"{options.experiment}: {error}")
            continue
        runs += attempts
        if not as_json:
            _print_each(attempts, as_json=False)
        if training_exit_code([attempts[-1][0]]) == INTERRUPTED:
            break
    return runs, errors


def _resume(run: str, experiments: Sequence[Experiment], changes: Overrides, results: Path) -> SavedRun:
    """Return the record and folder of a run that resumes a failed one: that with the id ``run``, or the newest if "".

    Raises:
        InputError: there is no such run, or an option on the command line differs from its settings.
    """
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.training.job import resolve_options, resume_training

    explicit = explicit_options(click.get_current_context())
    with Watch() as watch:
        return resume_training(
            run,
            [experiment.name for experiment in experiments],
            {name: getattr(changes, name) for name in LIMITS},
            lambda experiment: _explicit_settings(explicit, resolve_options(experiment, changes, results)),
            results=results,
            command=sys.argv,
            on_progress=watch,
        )


def _explicit_settings(explicit: frozenset[str], options: TensorFlowOptions) -> dict[str, Any]:
    """Return the settings that follow from the options on the command line, by their names in ``options``."""
    fields_of_option = {"image_size": ("input_shape",), "scale": ("train", "test", "epochs"), "sources": ("source",)}
    names = {field for name in explicit - LIMITS for field in fields_of_option.get(name, (name,))}
    return {name: value for name, value in asdict(options).items() if name in names - {"experiment"}}


def _print_each(runs: Sequence[SavedRun], *, as_json: bool) -> None:
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.cli.terminal.training import print_run

    if as_json:
        print_json([record for record, _ in runs])
        return
    for record, folder in runs:
        print_run(record, folder)


def _print_summary(runs: Sequence[SavedRun], *, as_json: bool) -> None:
    """Print all runs as JSON, or several runs as one table below what was printed of each."""
    from coremlbench.cli.terminal.training import print_runs

    if as_json:
        _print_each(runs, as_json=True)
    elif len(runs) > 1:
        print_runs([record for record, _ in runs])
