"""Print how long a command will take before it begins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.createml.options import CreateMLOptions
    from coremlbench.runs.estimates import PhaseCost, TimeEstimate
    from coremlbench.timing.plan import TimingOptions
    from coremlbench.training.run import TensorFlowOptions

PROTOCOL_ITERATIONS = 25


def print_estimate(estimate: TimeEstimate | None) -> None:
    """Print an estimate to standard error, unless there is none or the work takes seconds only."""
    from coremlbench.runs.estimates import MIN_SHOWN_SECONDS

    if estimate is not None and estimate.seconds >= MIN_SHOWN_SECONDS:
        click.echo(f"estimate: {estimate.sentence}", err=True)


def createml_estimate(options: CreateMLOptions, results: Path) -> TimeEstimate | None:
    """Return the expected time of a Create ML run; ``None`` for a folder whose number of images is not known here."""
    from coremlbench.createml.augmentation import copies_per_image
    from coremlbench.createml.validation_split import validation_size
    from coremlbench.runs.estimates import CREATE_ML
    from coremlbench.system.paths import cache_folder
    from coremlbench_datasets import DATASETS, summaries

    if options.train is None or options.test is None or options.engine == "createml":
        return None
    validation = validation_size(options.train)
    rows = (options.train - validation) * copies_per_image(options.augment)
    total = options.train + options.test
    cached = total
    if options.dataset in DATASETS and options.source is None:
        rows_of_cache = {row.name: row.cached_images for row in summaries(cache_folder() / "datasets")}
        cached = rows_of_cache.get(options.dataset, total)
    expected = {
        "data": max(0, total - cached),
        "extract": rows + validation + options.test,
        "train": rows * options.iterations / PROTOCOL_ITERATIONS,
        "export": options.test,
    }
    chosen = {name: getattr(options, name) for name in ("extractor", "extraction") if getattr(options, name) != "auto"}
    return _training_estimate("createml", expected, CREATE_ML, chosen, results)


def tensorflow_estimate(plans: Sequence[TensorFlowOptions], results: Path) -> TimeEstimate | None:
    """Return the expected time of TensorFlow experiments, one after the other; ``None`` if one has none."""
    from coremlbench.runs.estimates import TimeEstimate, tensorflow_costs

    seconds, runs = 0.0, []
    for options in plans:
        if options.train is None or options.test is None:
            return None
        expected = {"train": options.train * options.epochs, "evaluate": options.test}
        chosen = {"batch": options.batch}
        costs = tensorflow_costs(options.experiment)
        estimate = _training_estimate(options.experiment, expected, costs, chosen, results)
        if estimate is None:
            return None
        seconds += estimate.seconds
        runs.append(estimate.runs)
    return TimeEstimate(seconds, sum(runs) if all(runs) else 0) if runs else None


def _training_estimate(
    experiment: str,
    expected: Mapping[str, float],
    costs: Mapping[str, PhaseCost],
    options: Mapping[str, object],
    results: Path,
) -> TimeEstimate | None:
    from coremlbench.runs.estimates import comparable_trainings, estimate_training, past_runs
    from coremlbench.runs.speed_probe import probes_before
    from coremlbench.system.machine import describe_machine
    from coremlbench.types.training_records import TrainingRecord

    records = past_runs(results, TrainingRecord, describe_machine().id, (experiment,))
    history = comparable_trainings([record for record in records if record.experiment == experiment], options)
    return estimate_training(expected, costs, history, _probe_now(), probes_before(_probe_file(), history))


@lru_cache(maxsize=1)
def _probe_now() -> float:
    """Return the probe's result for this command, which is noted for the estimates of later ones."""
    from coremlbench.runs.speed_probe import note_probe, probe

    gigaflops = probe()
    note_probe(_probe_file(), gigaflops, time.time())
    return gigaflops


def _probe_file() -> Path:
    from coremlbench.system.paths import cache_folder

    return cache_folder() / "probes.json"


def matrix_estimate(
    models: Sequence[str], conversion: ConvertOptions, timing: TimingOptions, results: Path
) -> TimeEstimate | None:
    """Return the expected time of ``convert-and-time``: conversions, and the processes of the matrix."""
    from coremlbench.experiments.catalogue import EXPERIMENTS
    from coremlbench.runs.estimates import estimate_matrix, past_runs
    from coremlbench.system.machine import describe_machine
    from coremlbench.types.conversion import ConversionRecord
    from coremlbench.types.timing import TimingRecord

    names = list(models) or [experiment.name for experiment in EXPERIMENTS]
    packages = len(conversion.variants) * len(conversion.batches)
    cells = len(names) * _cells_of_a_model(packages, timing)
    machine = describe_machine().id
    history = [
        *past_runs(results, ConversionRecord, machine, names),
        *past_runs(results, TimingRecord, machine, ("convert-and-time",)),
    ]
    each = timing.warmup_seconds + timing.seconds
    counts = dict.fromkeys(names, packages)
    return estimate_matrix(counts, cells, timing.rounds, each, history, _probe_now())


def _cells_of_a_model(packages: int, timing: TimingOptions) -> int:
    """Return how many cells the packages of a model and its original have, as far as it is known without a start.

    A GPU that only TensorFlow knows of is left out.
    """
    from coremlbench.timing.available_units import static_availability

    cells = 0
    for runtime, reasons in static_availability().items():
        units = [unit for unit, reason in reasons.items() if not reason and unit in (timing.units or (unit,))]
        units = [unit for unit in units if unit != "host-gpu"]
        if not timing.runtimes or runtime in timing.runtimes:
            cells += len(units) * (1 if runtime == "tensorflow" else packages)
    return cells
