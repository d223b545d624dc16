"""Look at a finished training before its figures are believed: a loss that is none, that exploded, or mere guessing.

``failures`` judges how a process ended; a process can end well and have learnt nothing. A plug-in that computes
nonsense does it fast, and a benchmark that took its seconds would praise it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from coremlbench.system.formatting import format_percent
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import Trained, TrainingRecord

R = TypeVar("R", TrainingRecord, ConversionRecord, TimingRecord)

DEVIATIONS = 3.09
"""Standard deviations to each side of the interval for an accuracy: one in a thousand lies beyond either end."""
LEARNT = 0.1
"""Of what there is between guessing and no mistake, the share below which nothing was learnt."""
EXPLODED = 10.0


@dataclass(frozen=True)
class Check:
    """One row: what a training is looked at for. ``look`` returns the evidence, none when all is well."""

    kind: str
    says: str
    look: Callable[[TrainingRecord, Trained], tuple[str, ...]]
    reason: str
    hint: str
    source: str
    protocol_only: bool = False


def check_training(record: R) -> R:
    """Return the record; a training whose result cannot be believed is a failure from here on.

    What must be so only under the experiment's protocol, as a few images or one epoch may well teach nothing, is
    judged there alone; elsewhere it is a note.
    """
    if not isinstance(record, TrainingRecord) or not isinstance(record.outcome, Trained):
        return record
    trained = record.outcome
    for check in CHECKS:
        evidence = check.look(record, trained)
        if not evidence:
            continue
        if check.protocol_only and not _as_in_the_protocol(record):
            said = f"{check.reason[:-1]} ({'; '.join(evidence)}); in a run that is not the protocol that is no failure."
            return replace(record, notes=(*record.notes, said))
        last = f"epoch {len(record.epochs)}" if record.epochs else ""
        failure = Failure(check.kind, check.reason, check.hint, Evidence(progress=last, matched=evidence))
        return replace(record, outcome=failure)
    return record


def _as_in_the_protocol(record: TrainingRecord) -> bool:
    """Return whether nothing stands between the run and its protocol but another known dataset or another extractor."""
    from coremlbench_datasets import DATASETS

    known = {f"dataset {name}" for name in DATASETS}
    return all(
        each in known or each.startswith(("extractor ", "extraction ", "processes ")) for each in record.deviations
    )


def _not_finite(record: TrainingRecord, trained: Trained) -> tuple[str, ...]:
    found = [f"epoch {row.epoch}: loss {row.loss}" for row in record.epochs if not math.isfinite(row.loss)]
    if not math.isfinite(trained.test_accuracy):
        found.append(f"test accuracy {trained.test_accuracy}")
    return tuple(found)


def _exploded(record: TrainingRecord, trained: Trained) -> tuple[str, ...]:
    """Return the losses when the last is far above what guessing scores, or rose above that from a lower one.

    Guessing among K classes scores ln K in cross-entropy, whatever the data.
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
    """Return the accuracy when it is surely no better than guessing.

    That is when the interval for it reaches down to guessing, and ends before a tenth of what there was to learn:
    few test images make a wide interval, and then nothing is said. Guessing is always saying the most frequent class.
    """
    images = sum(map(sum, trained.confusion))
    if len(trained.confusion) < 2 or not images:
        return ()
    chance = max(sum(row) for row in trained.confusion) / images
    low, high = interval(trained.test_accuracy, images)
    if low <= chance and high < chance + LEARNT * (1 - chance):
        return (
            f"test accuracy {format_percent(trained.test_accuracy)} of {images:,} images",
            f"guessing the most frequent class {format_percent(chance)}",
        )
    return ()


def interval(share: float, count: int, deviations: float = DEVIATIONS) -> tuple[float, float]:
    """Return Wilson's interval for a share of ``count``. Source: Wilson, JASA 22 (1927), 209-212."""
    square = deviations**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = deviations / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    # It holds the share and lies in [0, 1]; what is beyond is rounding.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


CHECKS: tuple[Check, ...] = (
    Check(
        "loss-nan",
        "an epoch's loss, or the accuracy, is not a number",
        _not_finite,
        "The loss or the accuracy was no longer a number; a bug of the GPU plug-in or of BatchNormalization is likely.",
        "Run it on the CPU, or with another optimizer.",
        "tensorflow_macos 231",
    ),
    Check(
        "loss-exploded",
        "the last epoch's loss is more than ten times what guessing scores (ln K for K classes), or one and a half "
        "times that and twice the lowest epoch's",
        _exploded,
        "The loss rose instead of falling; tensorflow-metal is known to do that on the GPU alone.",
        "Run it with --device cpu: if the loss falls there, the GPU's results are not to be trusted.",
        "tf-keras 140; tensorflow 92686",
    ),
    Check(
        "at-chance",
        "the test accuracy is surely no better than guessing: its 99.8% interval reaches down to guessing and ends "
        "before a tenth of what there was to learn",
        _at_chance,
        "The network learnt nothing: its test accuracy is that of guessing.",
        "Run it again with another --seed, and with --device cpu: a network whose units all died, or a device that "
        "computes nonsense, likely.",
        "tf-keras 140; tensorflow 92686",
        protocol_only=True,
    ),
)
