"""Experiments, published figures, and the rows of their comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Metric = Literal["seconds per epoch", "total seconds", "pictures to model", "whole run"]
"""The time that is compared; ``whole run`` is for experiments of other releases, of which only that is known."""


@dataclass(frozen=True)
class Experiment:
    """An experiment of the article and its protocol.

    ``dataset`` is that of the protocol; an experiment that takes ``"images"`` can be run on any dataset of images.
    ``input_shape`` is (height, width, channels). ``validates`` says whether each epoch ends with an evaluation on the
    test images, which is included in the seconds that Keras prints for the epoch. ``weights`` names the published
    weights that the training starts from. The metric ``"seconds per epoch"`` excludes the first epoch.
    """

    name: str
    title: str
    family: Literal["create-ml", "tensorflow"]
    takes: Literal["images", "arrays"]
    dataset: str
    classes: int
    train: int
    test: int
    metric: Metric
    source: str
    network: str = ""
    input_shape: tuple[int, int, int] | None = None
    epochs: int = 0
    batch: int = 0
    learning_rate: float = 0.0
    validates: bool = False
    weights: str | None = None
    iterations: int = 0
    augmentation: tuple[str, ...] = ()
    extractor: str = ""


@dataclass(frozen=True)
class Published:
    """A figure that others published; it is always shown separately from measured ones.

    ``low`` and ``high`` are seconds, equal for a single figure, ``None`` if only success or failure is known.
    """

    experiment: str
    machine: str
    metric: Metric
    source: str
    low: float | None = None
    high: float | None = None
    failed: bool = False
    note: str = ""


@dataclass(frozen=True)
class ComparisonRow:
    """One figure of one experiment: published, or measured on this or another machine.

    ``seconds`` is the middle of a published range. ``ratio`` is ``seconds`` divided by the reference's: above 1 for a
    slower machine, ``None`` if their workloads differ. ``figure`` is the text to print, also for a failure.
    ``deviations`` are a measured run's from the protocol, ``accuracy`` is of the ``test_images`` of ``data``.
    """

    experiment: str
    metric: Metric
    kind: Literal["published", "measured"]
    machine: str
    figure: str
    source: str
    seconds: float | None = None
    ratio: float | None = None
    failed: bool = False
    this_machine: bool = False
    reference: bool = False
    accuracy: float | None = None
    deviations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    test_images: int = 0
    data: str = ""
