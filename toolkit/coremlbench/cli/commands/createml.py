"""``coremlbench createml``: the Create ML image classification run."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from coremlbench.cli.commands.parameters import LIMITS, Amount, Augmentation, DatasetName, asked_for, run_options

EXTRACTORS = ("auto", "VisionFeaturePrint_Scene", "resnet-50", "squeezenet_v1.1")


@click.command(short_help="The Create ML image classification run, through Turi Create.")
@click.option(
    "--dataset",
    type=DatasetName(),
    default="drawn-food",
    show_default=True,
    help="A dataset by name (see `coremlbench datasets`), or a folder: DIR/train/<class>/… with "
    "DIR/test/<class>/…, or DIR/<class>/… to be split.",
)
@click.option(
    "--source", type=click.Path(exists=True), help="A local copy of the dataset's archive, not downloaded then."
)
@click.option(
    "--train", type=click.IntRange(min=2), metavar="N", help="Training images.  [default: 7500; a folder: all]"
)
@click.option("--test", type=click.IntRange(min=1), metavar="N", help="Test images.  [default: 2500; a folder: all]")
@click.option(
    "--scale",
    type=Amount(min=0, max=1, min_open=True),
    metavar="F",
    help="A share of the images, for a first look: 0.1 is 750 and 250.",
)
@click.option(
    "--iterations", type=click.IntRange(min=1), default=25, show_default=True, help="The solver's iterations, at most."
)
@click.option(
    "--augment",
    type=Augmentation(),
    default="flip,rotation",
    show_default=True,
    help="Copies of the training images: crop, rotation, blur, exposure, noise, flip, or none.",
)
@click.option(
    "--extractor",
    type=click.Choice(EXTRACTORS),
    default="auto",
    show_default=True,
    help="The network that turns an image into features; auto takes the best that can be had.",
)
@click.option(
    "--extraction",
    type=click.Choice(["pipelined", "turicreate"]),
    default="pipelined",
    show_default=True,
    help="Who runs the extractor: our pipeline on ONNX Runtime, or Turi Create itself.",
)
@click.option(
    "--engine",
    type=click.Choice(["turicreate"]),
    default="turicreate",
    show_default=True,
    help="Who trains the classifier.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same result."
)
@run_options("the run")
def createml(
    dataset: str,
    source: str | None,
    train: int | None,
    test: int | None,
    scale: float | None,
    iterations: int,
    augment: tuple[str, ...],
    extractor: str,
    extraction: str,
    engine: str,
    seed: int,
    memory_limit: int | None,
    timeout: float | None,
    silence: float | None,
    resume: str | None,
    retries: int,
    results: Path,
    as_json: bool,
) -> None:
    """Reproduce the Create ML image classification run: train, test and save an image classifier.

    7500 training and 2500 test images in 10 classes; each training image becomes 12 flipped and rotated copies; an
    extractor turns each into a feature vector; Turi Create fits a logistic regression in at most 25 iterations. The
    run is saved as results/<id>/run.json whether it finishes or fails, and the classifier as model.mlpackage.

    \b
    coremlbench createml                      the whole run
    coremlbench createml --scale 0.1          a tenth of it, for a first look
    coremlbench createml --dataset ~/Pictures/pets
    coremlbench createml --memory-limit 2GiB  as a machine with less memory
    coremlbench createml --resume             goes on with a run that broke, from the features it had

    Exit code 0 when it trained, 3 when it failed, 2 for wrong options or missing input, 130 after Ctrl-C.
    """  # noqa: D301  \\b is click's mark for lines that are not to be joined
    from coremlbench.cli.commands.report import page_at_the_end
    from coremlbench.cli.terminal.progress import Watch, print_json, print_training
    from coremlbench.createml.job import image_counts, resume_createml, run_createml_with_retries
    from coremlbench.createml.options import CreateMLOptions
    from coremlbench.runs.lifecycle import INTERRUPTED, exit_code_of
    from coremlbench.types.errors import InputError
    from coremlbench_datasets import find

    if resume is not None and retries:
        raise InputError("--resume goes on with one run and --retries begins anew; use one of them.")
    find(dataset)  # a wrong name is told before anything is made
    train, test = image_counts(dataset, train, test, scale)
    options = CreateMLOptions(
        dataset=dataset,
        source=str(Path(source).absolute()) if source else None,
        train=train,
        test=test,
        iterations=iterations,
        augment=augment,
        extractor=extractor,
        extraction=extraction,
        seed=seed,
        timeout=timeout,
        silence=silence,
        memory_limit=memory_limit,
    )
    del engine  # one so far
    with Watch() as watch:
        if resume is None:
            runs = run_createml_with_retries(options, retries, results=results, command=sys.argv, on_progress=watch)
        else:
            given = asked_for(click.get_current_context()) | ({"train", "test"} if scale is not None else set())
            limits = {name: getattr(options, name) for name in LIMITS}
            same = {name: value for name, value in asdict(options).items() if name in given - LIMITS}
            runs = [
                resume_createml(resume, limits, same, results=results, command=sys.argv, on_progress=watch),
            ]
    record, folder = runs[-1]
    if as_json:
        print_json(record)
    else:
        print_training(record, folder)
    if exit_code_of(record) != INTERRUPTED:
        page_at_the_end(results, folder, quiet=as_json)
    raise SystemExit(exit_code_of(record))
