"""``coremlbench createml``: the Create ML image classification run."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coremlbench.cli.commands.parameters import (
    AUGMENTATION,
    LIMITS,
    Amount,
    ComputeUnits,
    DatasetName,
    explicit_options,
    run_options,
)

if TYPE_CHECKING:
    from coremlbench.createml.options import CreateMLOptions
    from coremlbench.types.training_records import TrainingRecord

EXTRACTORS = ("auto", "VisionFeaturePrint_Scene", "VisionFeaturePrint_Scene-2", "resnet-50", "squeezenet_v1.1")


@click.command(short_help="The Create ML image classification run.")
@click.option(
    "--dataset",
    type=DatasetName(),
    default="drawn-food",
    show_default=True,
    help="A dataset by name (see `coremlbench datasets`), or a folder: DIR/train/<class>/… with "
    "DIR/test/<class>/…, or DIR/<class>/… to be split.",
)
@click.option(
    "--source", type=click.Path(exists=True), help="A local copy of the dataset's archive, used instead of a download."
)
@click.option(
    "--train", type=click.IntRange(min=2), metavar="N", help="Training images.  [default: 7500; a folder: all]"
)
@click.option("--test", type=click.IntRange(min=1), metavar="N", help="Test images.  [default: 2500; a folder: all]")
@click.option(
    "--scale",
    type=Amount(min=0, max=1, min_open=True),
    metavar="F",
    help="Share of the images, for a quick first run: 0.1 is 750 and 250.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=25,
    show_default=True,
    help="Maximum number of solver iterations.",
)
@click.option(
    "--augment",
    type=AUGMENTATION,
    default="flip,rotation",
    show_default=True,
    help="Augmentation of the training images: crop, rotation, blur, exposure, noise, flip, or none.",
)
@click.option(
    "--extractor",
    type=click.Choice(EXTRACTORS),
    default="auto",
    show_default=True,
    help="The network that computes an image's features; the first two are part of macOS; auto takes the first one "
    "available, but not the second.",
)
@click.option(
    "--units",
    type=ComputeUnits(),
    help="Where Core ML runs an extractor that is part of macOS: cpu, gpu, ne or all, each with the CPU.  "
    "[default: all]",
)
@click.option(
    "--extraction",
    type=click.Choice(["pipelined", "turicreate"]),
    default="pipelined",
    show_default=True,
    help="What runs the extractor: the pipeline, on ONNX Runtime or Core ML, or Turi Create.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "turicreate", "builtin", "createml"]),
    default="auto",
    show_default=True,
    help="What trains the classifier: Turi Create, the same solver in NumPy (any platform), or Apple's Create ML "
    "(macOS); auto takes Turi Create where it runs natively, else builtin.",
)
@click.option(
    "--feature-revision",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="With --engine createml: the revision of Create ML's extractor; 1 is the review's, 2 needs macOS 14.",
)
@click.option(
    "--reuse-features",
    is_flag=True,
    help="With --engine createml: start from the features of an earlier run of the same images, augmentation and "
    "revision, if there are any, and keep them for the next run.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Train with Turi Create's and the built-in solver on the same features, and compare.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random seed; equal seeds give equal results.",
)
@run_options("the run")
def createml(
    train: int | None,
    test: int | None,
    scale: float | None,
    source: str | None,
    resume: str | None,
    retries: int,
    dry_run: bool,
    results: Path,
    as_json: bool,
    **settings: Any,
) -> None:
    """Reproduce the Create ML image classification run: train, test and save an image classifier.

    7500 training and 2500 test images in 10 classes; each training image becomes 12 flipped and rotated copies; an
    extractor computes the feature vector of each; a logistic regression is fitted in at most 25 iterations.
    The run is saved as results/<id>/run.json, also when it fails, and the classifier as model.mlpackage,
    or model.mlmodel with an extractor that is part of macOS.

    \b
    coremlbench createml                      the whole run
    coremlbench createml --scale 0.1          a tenth of it, in minutes
    coremlbench createml --dataset ~/Pictures/pets
    coremlbench createml --memory-limit 2GiB  like a machine with less memory
    coremlbench createml --resume             resume a failed run with the features it had extracted

    Exit code 0 when it trained, 3 when it failed, 2 for wrong options or missing input, 130 after Ctrl-C.
    """  # noqa: D301 - \b tells click to keep the lines
    from coremlbench.cli.commands.report import save_run_report
    from coremlbench.cli.commands.time_estimates import createml_estimate, print_estimate
    from coremlbench.cli.terminal.createml import print_createml_run
    from coremlbench.cli.terminal.tables import print_json
    from coremlbench.createml.engines.createml import check_no_extractor
    from coremlbench.createml.job import image_counts
    from coremlbench.createml.options import CreateMLOptions
    from coremlbench.runs.lifecycle import INTERRUPTED, exit_code_of
    from coremlbench.types.errors import InputError
    from coremlbench_datasets import find

    if resume is not None and retries:
        raise InputError("--resume goes on with one run and --retries begins anew; use one of them.")
    if settings["engine"] == "createml":
        check_no_extractor(explicit_options(click.get_current_context()))
    find(settings["dataset"])  # raises for an unknown name before any folder is created
    train, test = image_counts(settings["dataset"], train, test, scale)
    source = str(Path(source).absolute()) if source else None
    options = CreateMLOptions(train=train, test=test, source=source, **settings)
    if dry_run:
        _show_plan(options, resume, results, as_json=as_json)
        return
    if resume is None:
        print_estimate(createml_estimate(options, results))
    record, folder = _run(options, resume, retries, results, scaled=scale is not None)
    if as_json:
        print_json(record)
    else:
        print_createml_run(record, folder)
    if exit_code_of(record) != INTERRUPTED:
        save_run_report(results, folder, quiet=as_json)
    raise SystemExit(exit_code_of(record))


def _show_plan(options: CreateMLOptions, resume: str | None, results: Path, *, as_json: bool) -> None:
    """Print what would run."""
    from coremlbench.cli.commands.dry_run import past_runs, show_plan, show_resumed
    from coremlbench.plans.trainings import plan_createml
    from coremlbench.runs.resume_data import describe_progress, find_resumable_run

    if resume is not None:
        record, folder = find_resumable_run(results, ["createml"], resume)
        show_resumed(record.id, describe_progress(folder), as_json=as_json)
    else:
        show_plan(plan_createml(options, **past_runs(results)), as_json=as_json)


def _run(
    options: CreateMLOptions, resume: str | None, retries: int, results: Path, *, scaled: bool
) -> tuple[TrainingRecord, Path]:
    """Return the record and folder of the last attempt, or of the run that resumes the one with the id ``resume``.

    A resumed run must have the settings that are explicit on the command line; --scale (``scaled``) makes the numbers
    of images explicit.
    """
    from coremlbench.cli.terminal.conditions import print_start_warnings
    from coremlbench.cli.terminal.progress import Watch
    from coremlbench.createml.job import resume_createml, run_createml_with_retries

    print_start_warnings()
    with Watch() as watch:
        if resume is None:
            return run_createml_with_retries(options, retries, results=results, command=sys.argv, on_progress=watch)[-1]
        explicit = explicit_options(click.get_current_context()) | ({"train", "test"} if scaled else set())
        limits = {name: getattr(options, name) for name in LIMITS}
        expected = {name: value for name, value in asdict(options).items() if name in explicit - LIMITS}
        return resume_createml(resume, limits, expected, results=results, command=sys.argv, on_progress=watch)
