"""``coremlbench train``: the TensorFlow experiments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.parameters import LIMITS, Amount, DatasetName, asked_for, run_options

if TYPE_CHECKING:
    from coremlbench.training.job import Overrides
    from coremlbench.training.run import TensorFlowOptions
    from coremlbench.types.experiments import Experiment
    from coremlbench.types.training_records import TrainingRecord


class Ladder(click.ParamType[tuple[int, ...]]):
    """Batch sizes with a comma between: 32,16,8,4."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the batch sizes as they were given."""
        try:
            sizes = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            sizes = ()
        if not sizes or min(sizes) < 1:
            self.fail(f"{value!r} is not a ladder of batch sizes; write it as 32,16,8,4.", param, ctx)
        return sizes


class Source(click.ParamType[tuple[str, str]]):
    """A dataset's name and a local copy of it: cifar10=cifar-10-python.tar.gz."""

    name = "dataset=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the name and the path, which must exist."""
        name, separator, path = str(value).partition("=")
        if not separator or not name or not Path(path).expanduser().exists():
            self.fail(f"{value!r} names no local copy; write it as cifar10=PATH, and PATH must be there.", param, ctx)
        return name, str(Path(path).expanduser().absolute())


class ExperimentName(click.ParamType[str]):
    """A TensorFlow experiment's name."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Return the experiments that begin so."""
        del ctx, param
        from coremlbench.experiments.catalogue import EXPERIMENTS

        names = [each.name for each in EXPERIMENTS if each.family == "tensorflow"]
        return [click.shell_completion.CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command(short_help="The TensorFlow experiments, each in a process of its own.")
@click.argument("names", nargs=-1, type=ExperimentName(), metavar="[EXPERIMENT]...")
@click.option(
    "--experiment",
    "experiments",
    type=ExperimentName(),
    multiple=True,
    help="tinyvgg, efficientnetb0, lenet, mnist-cnn, fashion-mnist or cifar10-resnet50, as the arguments name them; "
    "may be repeated.  [default: all]",
)
@click.option(
    "--dataset", type=DatasetName(), help="The pictures for tinyvgg and efficientnetb0.  [default: drawn-food]"
)
@click.option(
    "--source",
    "sources",
    type=Source(),
    multiple=True,
    help="A local copy of a dataset, not downloaded then; may be repeated.",
)
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
    help="A share of the images, for a first look; at 0.1 and below, 3 epochs at most. 0.02 runs all six in a few "
    "minutes.",
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Epochs.  [default: the protocol's]")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Images in a batch.  [default: the protocol's]")
@click.option(
    "--batch-ladder",
    "ladder",
    type=Ladder(),
    help="Try these batches, the largest first, each in a fresh process, until one fits in memory: 32,16,8,4.",
)
@click.option(
    "--learning-rate",
    type=Amount(min=0, min_open=True),
    metavar="F",
    help="Adam's learning rate.  [default: 0.001]",
)
@click.option(
    "--image-size", type=click.IntRange(min=32), metavar="N", help="Side of the pictures.  [default: the protocol's]"
)
@click.option(
    "--weights",
    metavar="imagenet|random|FILE",
    help="What EfficientNetB0 starts from; imagenet falls back to random, and says so.  [default: imagenet]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Where to train; auto takes a GPU that TensorFlow sees.",
)
@click.option(
    "--check-device",
    is_flag=True,
    help="First train a few steps on CPU and GPU from the same seed; a GPU whose loss goes elsewhere fails the run.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same order.")
@run_options("each experiment")
def train(
    names: tuple[str, ...],
    experiments: tuple[str, ...],
    sources: tuple[tuple[str, str], ...],
    ladder: tuple[int, ...] | None,
    resume: str | None,
    retries: int,
    results: Path,
    as_json: bool,
    **changed: Any,
) -> None:
    """Run the TensorFlow counterparts of the Create ML run, each with its own protocol.

    Each experiment trains, is tested and saved in a process of its own, and is recorded as results/<id>/run.json
    whether it finishes or fails: the seconds of each epoch (the first is recorded and left out of the compared
    figure), accuracies, peak memory, and the device that really trained. The next experiment runs all the same.

    \b
    coremlbench train --scale 0.02                           all six, for a first look
    coremlbench train lenet                                  one, at its protocol
    coremlbench train efficientnetb0 --batch-ladder 32,16,8,4
    coremlbench train --resume                               goes on with a run that broke, from its last epoch
    coremlbench compare                                      beside the published figures

    Exit code 0 when all trained, 3 when one failed, 2 for wrong options or missing input, 130 after Ctrl-C.
    """  # noqa: D301 - the backspace is click's mark for lines to keep
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.cli.terminal.training import print_runs
    from coremlbench.experiments.catalogue import select
    from coremlbench.runs.lifecycle import INTERRUPTED
    from coremlbench.training.job import (
        Overrides,
        resolve_options,
        tensorflow_experiments,
        train_with_ladder,
        training_exit_code,
    )
    from coremlbench.types.errors import InputError

    changes = Overrides(sources=dict(sources), **changed)
    chosen = select(names + experiments) if names + experiments else tensorflow_experiments()
    _check_alone(retries, ladder, resume)
    if resume is not None:
        runs = [_resumed(resume, chosen, changes, results)]
        _show(runs, as_json=as_json)
        raise SystemExit(training_exit_code([record for record, _ in runs]))
    plans = [resolve_options(each, changes) for each in chosen]
    runs, missing = [], []
    for options in plans:
        try:
            with Watch() as watch:
                steps = train_with_ladder(
                    options, ladder or (), retries=retries, results=results, command=sys.argv, on_progress=watch
                )
        except InputError as error:
            if len(plans) == 1:
                raise
            missing.append(f"{options.experiment}: {error}")
            continue
        runs += steps
        if not as_json:
            _show(steps, as_json=False)
        if training_exit_code([steps[-1][0]]) == INTERRUPTED:
            break
    if as_json:
        _show(runs, as_json=True)
    elif len(runs) > 1:
        print_runs([record for record, _ in runs])
    for sentence in missing:
        click.echo(sentence, err=True)
    raise SystemExit(training_exit_code([record for record, _ in runs]) or (2 if missing else 0))


def _check_alone(retries: int, ladder: tuple[int, ...] | None, resume: str | None) -> None:
    """Raise ``InputError`` for options that each say what a second run is to be."""
    from coremlbench.types.errors import InputError

    if sum((bool(retries), bool(ladder), resume is not None)) > 1:
        raise InputError("--retries, --batch-ladder and --resume each say what the next run is; use one of them.")


def _resumed(
    wanted: str, experiments: Sequence[Experiment], changes: Overrides, results: Path
) -> tuple[TrainingRecord, Path]:
    """Return a run that goes on with a broken one; what stands on the command line must be as it was there."""
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.training.job import resolve_options, resume_training

    given = asked_for(click.get_current_context())
    with Watch() as watch:
        return resume_training(
            wanted,
            [each.name for each in experiments],
            {name: getattr(changes, name) for name in LIMITS},
            lambda experiment: _asked(given, resolve_options(experiment, changes)),
            results=results,
            command=sys.argv,
            on_progress=watch,
        )


def _show(runs: Sequence[tuple[TrainingRecord, Path]], *, as_json: bool) -> None:
    from coremlbench.cli.terminal.progress import print_json
    from coremlbench.cli.terminal.training import print_run

    if as_json:
        print_json([record for record, _ in runs])
        return
    for record, folder in runs:
        print_run(record, folder)


def _asked(given: frozenset[str], options: TensorFlowOptions) -> dict[str, Any]:
    """Return the settings that stand on the command line, as this experiment has them."""
    meant = {"image_size": ("input_shape",), "scale": ("train", "test", "epochs"), "sources": ("source",)}
    names = {field for name in given - LIMITS for field in meant.get(name, (name,))}
    return {name: value for name, value in asdict(options).items() if name in names - {"experiment"}}
