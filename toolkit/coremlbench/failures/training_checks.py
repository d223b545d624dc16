"""Check finished trainings for a loss that is not a number, a loss that exploded, and an accuracy of guessing.

A process can end without an error and have learnt nothing, as with a GPU plug-in that computes wrong results. Such a
training is a failure, so that its times are not compared with others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from coremlbench.failures.rules.rule import Retry
from coremlbench.system.formatting import format_count, format_percent
from coremlbench.system.proportions import wilson_interval
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.deviations import parse_deviation
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import Trained, TrainingRecord

R = TypeVar("R", TrainingRecord, ConversionRecord, TimingRecord)

CONFIDENCE = 0.998
"""Confidence level of the interval for an accuracy."""
MIN_LEARNT = 0.1
"""The share of the way from guessing to no mistake below which a network has learnt nothing."""
EXPLODED = 10.0
"""A last loss above this multiple of the loss of guessing has exploded."""
OFTEN_CHANGED = ("extractor", "extraction", "processes")
"""Settings that may differ from the protocol without an effect on what is learnt."""


@dataclass(frozen=True)
class TrainingCheck:
    """One check. ``test`` returns the evidence of the failure, empty if there is none.

    ``description`` says in words what is tested. A check that is ``protocol_only`` adds a note instead of a failure to
    a run that deviates from its protocol.
    """

    kind: str
    description: str
    test: Callable[[TrainingRecord, Trained], tuple[str, ...]]
    reason: str
    hint: str
    source: str
    retry: Retry
    protocol_only: bool = False


def check_training(record: R) -> R:
    """Return the record; the outcome of a training that fails a check is a ``Failure``, its figures stay.

    A network that has learnt nothing is a failure only under the experiment's protocol. In another run, with fewer
    images or epochs, it may be normal, and is a note.
    """
    if not isinstance(record, TrainingRecord) or not isinstance(record.outcome, Trained):
        return record
    outcome = record.outcome
    for check in CHECKS:
        evidence = check.test(record, outcome)
        if not evidence:
            continue
        if check.protocol_only and not _follows_protocol(record):
            note = f"{check.reason[:-1]} ({'; '.join(evidence)}); in a run that is not the protocol that is no failure."
            return replace(record, notes=(*record.notes, note))
        progress = f"epoch {len(record.epochs)}" if record.epochs else ""
        failure = Failure(check.kind, check.reason, check.hint, Evidence(progress=progress, matched=evidence))
        return replace(record, outcome=failure)
    return record


def _follows_protocol(record: TrainingRecord) -> bool:
    """Return whether the run deviates from its protocol in nothing but a dataset of ours or its extraction."""
    from coremlbench_datasets import DATASETS

    deviations = map(parse_deviation, record.deviations)
    return all(
        deviation.setting in OFTEN_CHANGED or (deviation.setting == "dataset" and deviation.value in DATASETS)
        for deviation in deviations
    )


def _not_finite(record: TrainingRecord, trained: Trained) -> tuple[str, ...]:
    evidence = [f"epoch {row.epoch}: loss {row.loss}" for row in record.epochs if not math.isfinite(row.loss)]
    if not math.isfinite(trained.test_accuracy):
        evidence.append(f"test accuracy {trained.test_accuracy}")
    return tuple(evidence)


def _exploded(record: TrainingRecord, trained: Trained) -> tuple[str, ...]:
    """Return the losses if the last is far above that of guessing, or above it and far above the lowest.

    The cross-entropy of guessing among K classes is ln K, whatever the data.
    """
    classes = len(trained.confusion)
    if not record.epochs or classes < 2:
        return ()
    guessing, losses = math.log(classes), [row.loss for row in record.epochs]
    last, lowest = losses[-1], min(losses)
    if last > EXPLODED * guessing or (last > 1.5 * guessing and last > 2 * lowest):
        return (f"loss by epoch: {', '.join(f'{loss:.4g}' for loss in losses)}", f"guessing scores {guessing:.4g}")
    return ()


def _at_chance(_: TrainingRecord, trained: Trained) -> tuple[str, ...]:
    """Return the accuracy if it is that of guessing, which means to predict the most frequent class always.

    It is if its confidence interval contains guessing and ends below ``MIN_LEARNT``. The interval for few test images
    is wide, so that for them the check finds nothing.
    """
    images = sum(map(sum, trained.confusion))
    if len(trained.confusion) < 2 or not images:
        return ()
    chance = max(sum(row) for row in trained.confusion) / images
    low, high = accuracy_interval(round(trained.test_accuracy * images), images)
    if low <= chance and high < chance + MIN_LEARNT * (1 - chance):
        return (
            f"test accuracy {format_percent(trained.test_accuracy)} of {format_count(images, 'image')}",
            f"guessing the most frequent class {format_percent(chance)}",
        )
    return ()


def accuracy_interval(correct: int, images: int) -> tuple[float, float]:
    """Return Wilson's 99.8% confidence interval for the accuracy of ``correct`` predictions out of ``images``."""
    return wilson_interval(correct, images, CONFIDENCE)


CHECKS: tuple[TrainingCheck, ...] = (
    TrainingCheck(
        "loss-nan",
        "an epoch's loss, or the accuracy, is not a number",
        _not_finite,
        "The loss or the accuracy was no longer a number; a bug of the GPU plug-in or of BatchNormalization is likely.",
        "Run it on the CPU, or with another optimizer.",
        "tensorflow_macos 231",
        Retry.ON_CPU,
    ),
    TrainingCheck(
        "loss-exploded",
        "the last epoch's loss is more than ten times what guessing scores (ln K for K classes), or one and a half "
        "times that and twice the lowest epoch's",
        _exploded,
        "The loss rose instead of falling; tensorflow-metal is known to do that on the GPU alone.",
        "Run it with --device cpu: if the loss falls there, the GPU's results are not to be trusted.",
        "tf-keras 140; tensorflow 92686",
        Retry.ON_CPU,
    ),
    TrainingCheck(
        "at-chance",
        "the test accuracy is surely no better than guessing: its 99.8% interval reaches down to guessing and ends "
        "before a tenth of what there was to learn",
        _at_chance,
        "The network learnt nothing: its test accuracy is that of guessing.",
        "Run it again with another --seed, and with --device cpu: a network whose units all died, or a device that "
        "computes nonsense, likely.",
        "tf-keras 140; tensorflow 92686",
        Retry.ON_CPU_WITH_NEW_SEED,
        protocol_only=True,
    ),
)
